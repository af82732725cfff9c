"""``window.truncate``: the first window of a document, and nothing behind it."""

from pathlib import Path

import pytest
import torch
from test_datamodule import module_of, tokenizer
from test_module import NOTES, small_module, tokenizer_files, trainer

from medner.datamodule import Batch
from medner.documents import Document, Entity
from medner.encoding_report import describe_encoding, encoding_lines
from medner.inference import Predictor
from medner.labels import IGNORED
from medner.module import NerModule
from medner.reach import BEYOND, INSIDE_TOKEN
from medner.scoring.matching import score

__all__ = ["tokenizer", "tokenizer_files"]

WORDS = "one two three four five six seven eight nine ten"
AGES = tuple(Entity(((start, end),), "Age") for start, end in ((0, 3), (14, 23), (28, 33)))
LONG = Document("long", WORDS, AGES)
SHORT = Document("short", "one two", (Entity(((4, 7),), "Age"),))


def test_the_tokens_end_with_the_first_window(tokenizer) -> None:
    # eight tokens with the two special ones: one to six
    data = module_of(tokenizer, [LONG, SHORT], length=8, context=2, truncate=True)
    long, short = data.tokenised["train"]
    assert [WORDS[s:e] for s, e in zip(long.starts, long.ends, strict=True)] == WORDS.split()[:6]
    assert long.document is LONG  # with its whole text and gold
    assert len(short) == 2
    assert [len(window) for window in data.windows["train"]] == [6, 2]
    assert data.whole == {"train": 12, "validation": 12}
    (batch,) = data.evaluation_dataloader("train")
    assert batch.input_ids.shape == (2, 8)
    assert int((batch.labels != IGNORED).sum()) == 8
    untouched = module_of(tokenizer, [LONG, SHORT], length=8, context=2)
    assert [len(tokens) for tokens in untouched.tokenised["train"]] == [10, 2]


def test_the_gold_behind_it_is_out_of_reach(tokenizer) -> None:
    data = module_of(tokenizer, [LONG, SHORT], length=8, context=2, truncate=True)
    counts = score([LONG, SHORT], data.reachable()[:2]).overall
    assert (counts.gold, counts.correct) == (4, 3)


def test_the_report_says_what_is_cut_and_why(tokenizer) -> None:
    other = Document("other", "ones", (Entity(((0, 3),), "Age"),))  # inside a token
    data = module_of(tokenizer, [LONG, SHORT, other], length=8, context=2, truncate=True)
    encoding = describe_encoding(
        "longest_first", {"train": [LONG, SHORT, other]}, {"train": data.windows["train"]},
        data.whole, data.reachable()[:3],
    )  # fmt: skip
    assert (encoding["tokens"], encoding["tokens_cut"]) == ({"train": 9}, {"train": 4})
    assert {loss["document"]: loss["why"] for loss in encoding["lost_entities"]} == {
        "long": BEYOND, "other": INSIDE_TOKEN,
    }  # fmt: skip
    assert encoding["read_to_the_end"] == 2
    assert encoding_lines({"encoding": encoding})[1] == (
        "truncated (window.truncate): 30.8% of the tokens and 20.0% of the entities (1 of 5) are "
        "cut off, and nothing is found there"
    )


@pytest.fixture
def truncating(tokenizer_files: dict[str, str], tmp_path: Path) -> Path:
    """The checkpoint of a model that was trained on first windows."""
    module = small_module(tokenizer_files, dropout=0.0)
    module.hparams.window["truncate"] = True
    data = module.datamodule(
        {"train": NOTES, "validation": NOTES[:6]},
        flatten_rule="longest_first", effective_batch=4, device_batch=4,
    )  # fmt: skip
    fitting = trainer(tmp_path, max_epochs=1)
    fitting.fit(module, data)
    fitting.save_checkpoint(tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_a_checkpoint_knows_that_it_truncates(
    truncating: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = NerModule.load(truncating)
    # no flag is given here

    def everything(module: NerModule, batch: Batch) -> torch.Tensor:
        logits = torch.zeros(*batch.input_ids.shape, len(module.labels.tags))
        logits[..., 1] = 9.0  # B on every token
        return logits

    monkeypatch.setattr(NerModule, "forward", everything)
    predictions = Predictor(module, "32", "cpu", 4)(NOTES)
    assert [p.document for p in predictions] == [note.id for note in NOTES]
    lengths = [len(prediction.tokens.offsets) for prediction in predictions]
    assert max(lengths) == 22  # of 24, two are special
    longest = max(zip(NOTES, predictions, strict=True), key=lambda pair: len(pair[0].text))
    read_to = longest[1].tokens.offsets[-1][1]
    assert read_to < len(longest[0].text) - 20
    assert max(span.end for span in longest[1].spans) <= read_to
    # what is behind counts as missed
    assert score([longest[0]], [longest[1]]).overall.gold == len(longest[0].entities)
    assert any(entity.start > read_to for entity in longest[0].entities)
