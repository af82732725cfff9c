"""The tagger: streams, single failures, confidences, maps; and what importing it takes."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_module import NOTES, small_module, tokenizer_files
from words import WORDS, word_system

import medner
from medner.documents import Document
from medner.errors import ConfigError, OutOfMemoryError, UserError
from medner.inference import Predictor
from medner.prediction_files import read_predictions, write_predictions
from medner.predictions import Failure, Prediction
from medner.scoring.label_map import LabelMap
from medner.scoring.temperature import Calibrator
from medner.systems import System
from medner.tagger import Tagger, load

__all__ = ["tokenizer_files"]
ROOT = Path(__file__).resolve().parent.parent
FINDINGS = LabelMap("findings", {"Finding": ("Sign", "Disease")}, ("Drug",))
COOLER = Calibrator("minimum", 2.5, 100, {})


@pytest.fixture(scope="module")
def small(tokenizer_files: dict[str, str]) -> System:
    """A model of random weights, which finds much."""
    module = small_module(tokenizer_files)
    predict = Predictor(module, "32", "cpu", device_batch=2)
    return System("small", module.labels.types, Path("x"), Path("x"), predict)


def test_one_text_and_many() -> None:
    tagger = Tagger(word_system())
    text = "No fever, but gout."
    prediction = tagger(text)
    assert [(span.mention(text), span.type) for span in prediction.spans] == [
        ("fever", "Sign"), ("gout", "Disease")
    ]  # fmt: skip
    found = list(tagger.predict([text, Document("mine", "aspirin"), ""]))
    assert [each.document for each in found] == ["1", "mine", "3"]
    assert [len(each.spans) for each in found] == [2, 1, 0]
    assert tagger("").spans == ()
    assert tagger(Document("mine", text)) == replace(prediction, document="mine")
    assert tagger.types == tuple(sorted(WORDS.values()))


@pytest.mark.parametrize("given", [["fever", "gout"], [], iter("ab"), b"fever", None])
def test_many_texts_or_none_are_not_one(given: object) -> None:
    kind = type(given).__name__
    with pytest.raises(TypeError, match=rf"one text or Document, not {kind}; \.predict takes many"):
        Tagger(word_system())(given)


def test_a_stream_is_read_as_it_is_predicted() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"fever {taken}"

    found = Tagger(word_system(), device_batch=1).predict(endless())
    for number in range(1, 100):
        assert next(found).document == str(number)
        assert taken <= 16 * (1 + number // 16) + 1


def test_spans_that_are_not_sure_are_left_out() -> None:
    text = "fever, fever, fever"  # a word is the less sure the later it comes
    for least, kept in ((0.0, 3), (0.1, 2), (1.0, 1)):
        assert len(Tagger(word_system(), min_confidence=least)(text).spans) == kept
    with pytest.raises(ConfigError, match=r"min_confidence=1\.5: takes a number from 0 to 1"):
        Tagger(word_system(), min_confidence=1.5)


def test_a_label_map_is_applied_and_held_to_the_types() -> None:
    tagger = Tagger(word_system(), label_map=FINDINGS)
    assert [(span.start, span.type) for span in tagger("fever, aspirin, gout").spans] == [
        (0, "Finding"), (16, "Finding")
    ]  # fmt: skip
    assert tagger.types == ("Finding",)
    with pytest.raises(ConfigError, match="neither mapped nor left out: 'Drug'"):
        Tagger(word_system(), label_map=replace(FINDINGS, left_out=()))


def test_what_is_no_text_is_an_error() -> None:
    tagger = Tagger(word_system())
    with pytest.raises(ValueError, match="document 1 has half of a surrogate pair at character 6"):
        tagger("fever \ud83d")
    given = tagger.predict(iter([Document("a", "fever"), Document("b", "\udc80")]))
    with pytest.raises(ValueError, match="document b has half"):
        list(given)


# ---------------------------------------------------------------- failures


def documents(*texts: str) -> list[Document]:
    return [Document(f"d{number}", text) for number, text in enumerate(texts)]


def test_a_document_that_cannot_be_predicted_does_not_spoil_the_others() -> None:
    tagger = Tagger(word_system(bad="odd"))
    found = tagger.tag(documents("fever", "odd fever", "gout"))
    assert found[1] == Failure("d1", "no document with odd")
    assert [len(each.spans) for each in (found[0], found[2])] == [1, 1]
    assert tagger.tag(documents("odd")) == [Failure("d0", "no document with odd")]
    with pytest.raises(RuntimeError, match="no document with odd"):
        list(tagger.predict(["fever", "odd"]))


def test_what_goes_wrong_with_every_document_is_no_document_s_fault() -> None:
    with pytest.raises(RuntimeError, match="no document with odd"):
        Tagger(word_system(bad="odd")).tag(documents("odd", "odd too"))


def test_memory_that_does_not_suffice_is_no_document_s_fault() -> None:
    def predict(documents: list[Document]) -> list[Prediction]:
        raise OutOfMemoryError("out of memory")

    with pytest.raises(OutOfMemoryError):
        Tagger(replace(word_system(), predict=predict)).tag(documents("fever"))


def test_a_model_whose_output_is_no_number_says_so(
    tokenizer_files: dict[str, str],
) -> None:
    module = small_module(tokenizer_files)
    module.encoder.classifier.bias.data.fill_(float("nan"))
    predict = Predictor(module, "32", "cpu", device_batch=2)
    tagger = Tagger(System("bad", module.labels.types, Path("x"), Path("x"), predict))
    with pytest.raises(UserError, match=r"document note\d+: the model's output is not a number"):
        tagger.tag(NOTES)


STRANGE = (
    "a" * 100_000, "\u0301" * 5000, "\u200d\ufeff\u202e" * 1000, "\x00" * 1000, "🏴󠁧󠁢󠁥󠁮󠁧󠁿" * 500,
    "".join(map(chr, range(1, 0xD800, 7))), "\U0010ffff" * 100, "[CLS] [SEP] [PAD] [MASK]" * 200,
)  # fmt: skip


def test_strange_texts_are_predicted_with_spans_inside_them(small: System) -> None:
    for text, found in zip(STRANGE, Tagger(small).tag(documents(*STRANGE)), strict=True):
        assert isinstance(found, Prediction), found
        assert found.end <= len(text)
        assert all(span.mention(text).strip() == span.mention(text) for span in found.spans)


# ---------------------------------------------------------------- confidence


def read_again(predictions: list[Prediction], folder: Path) -> list[Prediction]:
    """As an evaluation has them, from a file that rounds."""
    write_predictions(folder / "predictions.jsonl", predictions, NOTES)
    return read_predictions(folder / "predictions.jsonl", NOTES)


def test_confidences_are_those_of_an_evaluation(small: System, tmp_path: Path) -> None:
    raw = read_again(small.predict(NOTES), tmp_path)
    assert sum(len(each.spans) for each in raw) > 20
    for calibrator in (None, COOLER):
        expected = calibrator.apply(raw) if calibrator else raw
        found = list(Tagger(small, calibrator, device_batch=2).predict(NOTES))
        assert [
            (each.document, [(s.start, s.end, s.type, s.confidence) for s in each.spans])
            for each in found
        ] == [
            (each.document, [(s.start, s.end, s.type, s.confidence) for s in each.spans])
            for each in expected
        ]
        assert not any(span.tokens for each in found for span in each.spans)
        assert all(each.tokens is None for each in found)


def test_confidences_of_joined_spans_are_those_of_all_their_tokens(
    small: System, tmp_path: Path
) -> None:
    """Mapped first, then after the temperature."""
    joined = LabelMap(
        "joined", {"Drug": ("Medication",)}, ("Sign_symptom",), {"Drug": ("Sign_symptom",)}
    )
    mapped = [
        joined.apply(prediction, note.text)
        for prediction, note in zip(read_again(small.predict(NOTES), tmp_path), NOTES, strict=True)
    ]
    expected = [span.confidence for each in COOLER.apply(mapped) for span in each.spans]
    found = Tagger(small, COOLER, joined, device_batch=2).predict(NOTES)
    assert [span.confidence for each in found for span in each.spans] == expected
    assert any(len(span.tokens) > 3 for each in mapped for span in each.spans)


# ---------------------------------------------------------------- from Python


def test_the_package_is_imported_light_and_has_its_names() -> None:
    program = (
        "import sys, medner; "
        "assert not {'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules), sys.modules; "
        "from medner import Tagger, load; "
        "assert not {'torch', 'transformers', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    assert medner.load is load and medner.Tagger is Tagger
    with pytest.raises(AttributeError, match="module 'medner' has no attribute 'lod'"):
        _ = medner.lod
    assert (ROOT / "medner" / "py.typed").is_file()


def test_a_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="no run with a finished best checkpoint"):
        load(output_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"model .*nothing is not to be had"):
        load(tmp_path / "nothing", hub_mirror=str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("no: run")
    with pytest.raises(UserError, match="not the options of a run"):
        load(tmp_path / "run")
    (tmp_path / "it.ckpt").write_text("no checkpoint")
    with pytest.raises(UserError, match="not a checkpoint of this program"):
        load(tmp_path / "it.ckpt")
    with pytest.raises(ConfigError, match="label_map=x: takes a LabelMap, or disease_and_chemical"):
        load(tmp_path / "it.ckpt", label_map="x")
