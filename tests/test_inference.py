"""The predictor: pools, order, precision; what Lightning's own loop gives."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
import pytorch_lightning as pl
from hypothesis import given
from hypothesis import strategies as st
from test_module import NOTES, small_module, tokenizer_files

from medner.datamodule import Batch
from medner.documents import Document
from medner.inference import Predictor
from medner.module import NerModule
from medner.pools import pools
from medner.predictions import Prediction
from medner.windows import Stitcher

__all__ = ["tokenizer_files"]


@given(st.lists(st.integers(0, 20_000), max_size=60), st.integers(1, 2))
def test_pools_are_the_stream_in_stretches_of_bounded_size(sizes: list[int], batch: int) -> None:
    found = list(pools(sizes, lambda size: size, batch))
    assert [size for pool in found for size in pool] == sizes
    for pool in found:
        assert 1 <= len(pool) <= 16 * batch
        assert len(pool) == 1 or sum(pool) <= 16 * batch * 4096
    for pool, following in pairwise(found):  # no smaller than need be
        assert len(pool) == 16 * batch or sum(pool) + following[0] > 16 * batch * 4096


def test_a_pool_is_given_before_the_stream_goes_on() -> None:
    taken = []

    def stream() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    first = next(pools(stream(), lambda _: 1, device_batch=1))
    assert first == list(range(16))
    assert len(taken) == 17  # one more, to know that the pool is full


def many(count: int, seed: int = 0) -> list[Document]:
    """Notes put together, of very different length; some ids and texts more than once."""
    drawn = random.Random(seed)
    texts = [
        " ".join(drawn.choices([n.text for n in NOTES], k=drawn.randint(1, 6)))
        for _ in range(count)
    ]
    return [Document(f"d{number % 7}", text) for number, text in enumerate([*texts, *texts[:3]])]


class Lightning(pl.LightningModule):
    """The module as its trainer would run it, one batch after another."""

    def __init__(self, module: NerModule) -> None:
        super().__init__()
        self.module, self.stitcher, self.found = module, Stitcher(), {}

    def predict_step(self, batch: Batch) -> None:
        found = self.module.decode(batch, self.module(batch), self.stitcher)
        self.found |= {tokens.document.id: prediction for tokens, prediction in found}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_predictions_are_those_of_lightning_s_loop(
    tokenizer_files: dict[str, str], precision: str
) -> None:
    module = small_module(tokenizer_files)
    data = module.datamodule({"all": NOTES}, flatten_rule="longest_first", device_batch=4)
    wrapped = Lightning(module)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, precision=precision, logger=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.predict(wrapped, data.evaluation_dataloader("all"), return_predictions=False)
    predict = Predictor(small_module(tokenizer_files), precision, "cpu", device_batch=4)
    found = predict(NOTES)
    assert {prediction.document: prediction for prediction in found} == wrapped.found
    assert sum(len(prediction.spans) for prediction in found) > 10


def test_order_is_kept_and_ids_may_come_twice(tokenizer_files: dict[str, str]) -> None:
    predict = Predictor(small_module(tokenizer_files), "32", "cpu", device_batch=1)
    documents = many(40)
    found = predict(documents)
    assert [prediction.document for prediction in found] == [each.id for each in documents]
    alone = [predict([document])[0] for document in documents]
    for one, other, document in zip(found, alone, documents, strict=True):
        assert places(one) == places(other)
        assert one.end <= len(document.text)
    assert found[:3] != found[40:]  # the same texts under other ids
    assert [places(each) for each in found[:3]] == [places(each) for each in found[40:]]


def places(prediction: Prediction) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.type) for span in prediction.spans]


def test_a_stretch_of_a_stream_is_predicted_as_it_is_in_the_whole(
    tokenizer_files: dict[str, str],
) -> None:
    """To the bit: so a run that goes on where it was killed ends as if nothing had happened."""
    predict = Predictor(small_module(tokenizer_files), "32", "cpu", device_batch=1)
    documents = many(40, seed=1)
    stretches = list(pools(documents, lambda each: len(each.text), 1))
    assert len(stretches) == 3
    apart = [prediction for pool in stretches for prediction in predict(pool)]
    assert apart == predict(documents)


def test_texts_without_a_token_are_predicted_empty(tokenizer_files: dict[str, str]) -> None:
    predict = Predictor(small_module(tokenizer_files), "32", "cpu", device_batch=4)
    found = predict(
        [Document("a", ""), NOTES[0], Document("b", " \n\t"), Document("c", "\x00\x07")]
    )
    assert [prediction.spans for prediction in found if prediction.document in "abc"] == [()] * 3
    assert predict([]) == []
