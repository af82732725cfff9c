"""A model as a folder: plain transformers gives the same tags, MedNER the same spans."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MODELS, ROOT
from real_data import MIRROR, NO_MIRROR
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document
from medner.encoder import TokenizerFiles, encoder_config
from medner.errors import UserError
from medner.export_check import check_medner, check_transformers
from medner.exported import ExportedTagger, Settings, has_word_pieces, read_tagger, write_model
from medner.inference import Predictor
from medner.labels import Labels
from medner.module import NerModule
from medner.predictions import Prediction
from medner.published import PublishedTagger
from medner.scoring.temperature import Calibrator

LABELS = Labels(("Disease", "Drug: oral", "Sign"))
CALIBRATOR = Calibrator("minimum", 1.5, 120, {0.8: 0.25, 0.9: None})
NAMES = tuple(MODELS.values())
ODD = (
    "\n  Na\u00efve \u00c9P\u00c9E: 2.5mg (myalgia).  \U0001d6fd-blocker\u200b don't\n\n\tNo fever;"
)


def documents(count: int = 4) -> list[Document]:
    demo = CorpusSource("demo", "brat", str(ROOT / "demo" / "case_reports"))
    found = read_corpus(demo).documents[:count]
    return [Document("odd", ODD), Document("empty", ""), *found]


def outspoken(module: NerModule) -> NerModule:
    """Random weights so large that every tag comes up."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.encoder.parameters():
            if parameter.dim() == 2:
                parameter *= 3.0
        module.encoder.classifier.weight *= 10.0
        module.encoder.classifier.bias.normal_()
    return module.eval()


def module_of(encoder: Path, weights: Path | None, length: int = 128, **changes) -> NerModule:
    torch.manual_seed(0)
    config = encoder_config(encoder, LABELS.tags, None, length) | changes
    return outspoken(
        NerModule(
            types=LABELS.types,
            encoder=config,
            tokenizer_files=TokenizerFiles.load(encoder).files,
            window={"length": length, "context": 16},
            optimizer={},
            pretrained=weights,
        )
    )


def exported(module: NerModule, folder: Path) -> Path:
    folder.mkdir()
    write_model(folder, module, CALIBRATOR)
    return folder


def found(module: NerModule, texts: list[Document]) -> list[Prediction]:
    encoder = module.encoder
    predictions = Predictor(module, "32", "cpu", 3)(texts)
    module.encoder = encoder  # as it was
    return predictions


def spans(prediction: Prediction) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.type) for span in prediction.spans]


@pytest.mark.parametrize("name", NAMES)
def test_the_library_s_pipeline_gives_the_same_tags(
    mirror: Path, tmp_path: Path, name: str
) -> None:
    module = module_of(mirror / name, mirror / name)
    folder = exported(module, tmp_path / "model")
    library = pipeline("token-classification", model=str(folder))
    texts = [Document("odd", ODD), Document("short", documents(1)[2].text[:150])]
    tags = set()
    for document, own in zip(texts, found(module, texts), strict=True):
        assert len(own.tokens.tags) < 126  # one window
        tokens = zip(own.tokens.offsets, own.tokens.tags, own.tokens.confidence, strict=True)
        expected = [
            (document.text[slice(*offsets)], tag, pytest.approx(confidence, abs=1e-5))
            for offsets, tag, confidence in tokens
            if tag != "O"
        ]
        # the library counts the space before a word as part of it
        assert expected == [
            (document.text[one["start"] : one["end"]].strip(), one["entity"], one["score"])
            for one in library(document.text)
        ]
        tags |= {tag for _, tag, _ in expected}
    assert len(tags) > 2  # the weights are random


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_the_same_whatever_stands_before_the_classifier(
    mirror: Path, tmp_path: Path, name: str
) -> None:
    module = module_of(mirror / name, mirror / name)
    folder = exported(module, tmp_path / "model")
    model = AutoModelForTokenClassification.from_pretrained(folder)
    assert type(model) is type(module.encoder)
    own = module.encoder.state_dict()
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == {
        key: tensor.shape for key, tensor in own.items()
    }
    assert all(torch.equal(tensor, own[key]) for key, tensor in model.state_dict().items())
    ids = torch.randint(5, 200, (2, 40))
    with torch.inference_mode():
        plain, own = (each(input_ids=ids).logits for each in (model, module.encoder))
        torch.testing.assert_close(plain, own)  # their attention rounds in another way


@pytest.mark.parametrize("name", NAMES)
def test_medner_reads_it_as_it_was(mirror: Path, tmp_path: Path, name: str) -> None:
    module = module_of(mirror / name, mirror / name)
    tagger = read_tagger(exported(module, tmp_path / "model"))
    assert isinstance(tagger, ExportedTagger)
    assert tagger.labels == LABELS and tagger.calibrator == CALIBRATOR
    assert tagger.hparams.window == {"length": 128, "context": 16, "truncate": False}
    assert tagger.hparams.subtokens == "bio"
    texts = documents()
    own, again = found(module, texts), found(tagger, texts)
    assert [spans(one) for one in own] == [spans(one) for one in again]
    assert sum(len(one.spans) for one in own) > 100
    for one, other in zip(own, again, strict=True):
        assert one.tokens.tags == other.tokens.tags
        np.testing.assert_allclose(one.tokens.confidence, other.tokens.confidence, atol=1e-6)
    # and once more
    twice = ExportedTagger(exported(tagger, tmp_path / "again"))
    assert [spans(one) for one in found(twice, texts)] == [spans(one) for one in own]


@pytest.mark.skipif(not MIRROR, reason=NO_MIRROR)
@pytest.mark.parametrize("name", [name for name in NAMES if "bioformer-16L" not in name])
def test_with_the_true_tokenizers(tmp_path: Path, name: str) -> None:
    """The encoders' own vocabularies and settings, in small."""
    small = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2}
    small |= {"intermediate_size": 48} | {"n_layers": 2, "dim": 32, "n_heads": 2, "hidden_dim": 64}
    small |= {"layer_types": ["full_attention", "sliding_attention"]}
    encoder = Path(MIRROR, name)
    config = encoder_config(encoder, LABELS.tags, None, 128)
    module = module_of(encoder, None, **{key: small[key] for key in small.keys() & config.keys()})
    folder = exported(module, tmp_path / "model")
    same = check_transformers(folder, module, documents())
    assert same.documents == 6 and same.tokens > 400 and same.difference < 1e-4
    same = check_medner(folder, module, documents())
    assert same.spans > 100 and same.difference < 1e-4
    assert has_word_pieces(module) == (name != "answerdotai/ModernBERT-base")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 128
    own = TokenizerFiles(module.hparams.tokenizer_files).tokenizer()
    for document in documents():
        assert tokenizer(document.text)["input_ids"] == own.encode(document.text).ids


@pytest.fixture
def biobert(mirror: Path, tmp_path: Path) -> tuple[NerModule, Path]:
    """A model, and where it was exported to."""
    module = module_of(mirror / NAMES[0], mirror / NAMES[0])
    return module, exported(module, tmp_path / "model")


def test_long_texts_are_cut_or_read_whole(biobert: tuple[NerModule, Path]) -> None:
    text = documents(1)[2].text
    cut = pipeline("token-classification", model=str(biobert[1]))
    whole = pipeline(
        "token-classification", model=str(biobert[1]), aggregation_strategy="average", stride=32
    )
    assert cut(text)[-1]["end"] < len(text) / 2 < len(text) * 0.9 < whole(text)[-1]["end"]


def test_the_folder_says_what_the_tags_are_and_nothing_of_this_machine(
    biobert: tuple[NerModule, Path], mirror: Path
) -> None:
    folder = biobert[1]
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
    assert config["id2label"] == {str(at): tag for at, tag in enumerate(LABELS.tags)}
    assert config["label2id"] == {tag: at for at, tag in enumerate(LABELS.tags)}
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "medner.json"
    }  # fmt: skip
    modes = {path.stat().st_mode for path in folder.iterdir()}
    assert len(modes) == 1
    for path in folder.iterdir():
        assert str(mirror).encode() not in path.read_bytes()
        assert b"local" not in path.read_bytes()


def test_a_model_that_differs_is_noticed(biobert: tuple[NerModule, Path]) -> None:
    module, folder = biobert
    tensors = load_file(folder / "model.safetensors")
    first = next(name for name in tensors if name.endswith("layer.0.output.dense.weight"))
    save_file(tensors | {first: -tensors[first]}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="plain transformers gives other tags than the run's own"):
        check_transformers(folder, module, documents())
    # by which first is a matter of the vocabulary, whose learning is not the same each time
    with pytest.raises(UserError, match=r"the folder gives other (spans|probabilities) "):
        check_medner(folder, module, documents())


def test_probabilities_that_differ_are_noticed(biobert: tuple[NerModule, Path]) -> None:
    module, folder = biobert
    with torch.no_grad():  # every tag stays as it is
        module.encoder.classifier.weight *= 1.01
        module.encoder.classifier.bias *= 1.01
    with pytest.raises(UserError, match=r"gives other probabilities \(by 0\.0\d+\) than"):
        check_transformers(folder, module, documents())


def test_a_tie_may_fall_otherwise(mirror: Path, tmp_path: Path) -> None:
    """Two tags are as likely but for the last digits."""
    module = module_of(mirror / NAMES[0], mirror / NAMES[0])
    head = module.encoder.classifier
    drug, sign = (LABELS.tags.index(f"B-{type_}") for type_ in LABELS.types[1:])
    with torch.no_grad():
        for parameter in (head.weight, head.bias):
            parameter[sign] = parameter[drug]
    folder = exported(module, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][sign] += 1e-5
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    same = check_transformers(folder, module, documents())
    assert same.ties > 1 and same.difference < 2e-5
    assert f"in {same.ties} of them a tie fell otherwise" in str(same)
    assert check_medner(folder, module, documents()).ties > 1
    tensors["classifier.bias"][sign] += 0.1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="gives other tags than the run's own model"):
        check_transformers(folder, module, documents())


def test_without_its_settings_it_is_any_published_model(biobert: tuple[NerModule, Path]) -> None:
    (biobert[1] / "medner.json").unlink()
    tagger = read_tagger(biobert[1])
    assert isinstance(tagger, PublishedTagger)
    assert tagger.labels == LABELS


def _settings(**changes: object) -> str:
    """A medner.json with some of its values changed."""
    window = {"length": 9, "context": 0, "truncate": False}
    window |= {name: value for name, value in changes.items() if name in window}
    record = {"format": 1, "window": window, "subtokens": "bio", "calibration": None}
    return json.dumps(record | {name: value for name, value in changes.items() if name in record})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "JSONDecodeError"),
        ("[1]", "TypeError"),
        ("{}", "KeyError: 'window'"),
        (_settings(format=2), "a newer"),
        (_settings(context=3), "cannot be"),
        (_settings(context=-1), "cannot be"),
        (_settings(length="9"), "cannot be"),
        (_settings(length=True), "cannot be"),
        (_settings(truncate=0), "truncate is true or false"),
        (_settings(subtokens="odd"), "subtokens one of its names"),
        (_settings(calibration=[]), "calibration"),
    ],
)
def test_settings_that_cannot_be(biobert: tuple[NerModule, Path], text: str, problem: str) -> None:
    path = biobert[1] / "medner.json"
    path.write_text(text)
    with pytest.raises(UserError, match=problem) as raised:
        ExportedTagger(biobert[1])
    assert str(raised.value).startswith(f"{path}: cannot be read (")
    assert "\n" not in str(raised.value)


def test_settings_come_back(tmp_path: Path) -> None:
    for settings in (
        Settings(512, 64, False, "bio", CALIBRATOR),
        Settings(20, 0, True, "copied", None),
    ):
        (tmp_path / "medner.json").write_text(json.dumps(settings.to_dict()))
        assert Settings.read(tmp_path) == settings


def test_labels_that_are_not_ours(biobert: tuple[NerModule, Path]) -> None:
    path = biobert[1] / "config.json"
    config = json.loads(path.read_text())
    config["id2label"] |= {"1": "I-Disease", "2": "B-Disease"}
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="its labels are not those of a model of MedNER"):
        ExportedTagger(biobert[1])


def test_a_window_that_the_encoder_does_not_take(biobert: tuple[NerModule, Path]) -> None:
    path = biobert[1] / "medner.json"
    path.write_text(json.dumps(Settings(1024, 0, False, "bio", None).to_dict()))
    with pytest.raises(UserError, match="bert takes at most 512 tokens"):
        ExportedTagger(biobert[1])
