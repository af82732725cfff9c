"""Published token classifiers: their tags read as ours, their weights through our windows."""

import json
import logging
import shutil
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from mirror import BERT, SPECIAL, write_byte_level
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    BertModel,
    DebertaV2Config,
    DebertaV2ForTokenClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForTokenClassification,
    pipeline,
)  # fmt: skip

from medner.decoding import decode
from medner.documents import Document
from medner.encoder import TokenizerFiles
from medner.errors import UserError
from medner.inference import Predictor
from medner.module import NerModule
from medner.predictions import Prediction
from medner.published import OwnTags, PublishedTagger

BIO = ("I-Drug", "O", "B-Sign", "B-Drug", "I-Sign")  # no order of ours
CONLL = ("B-LOC", "B-ORG", "I-LOC", "I-ORG", "I-PER", "O")  # IOB1: B-PER never came up
BIOBERT = ("[PAD]", "B", "I", "O", "X", "[CLS]", "[SEP]")
INVENTORIES = {
    "BIO": (BIO, "I-Drug O B-Sign B-Drug I-Sign", True),
    "underscores": (("B_Drug", "I_Drug", "O"), "B-Drug I-Drug O", True),
    "lower case": (("b-drug", "i-drug", "o"), "B-drug I-drug O", True),
    "BILOU": (
        ("U-Age", "L-Age", "O", "I-Age", "B-Age"), "B-Age I-Age O I-Age B-Age", True,
    ),
    "BIOES": (("O", "B-Age", "I-Age", "E-Age", "S-Age"), "O B-Age I-Age I-Age B-Age", True),
    "BMES": (("O", "B-Age", "M-Age", "E-Age", "S-Age"), "O B-Age I-Age I-Age B-Age", True),
    "twice": (("O", "B-Age", "I-Age", "I-Age"), "O B-Age I-Age I-Age", True),
    "IOB1": (CONLL, "B-LOC B-ORG I-LOC I-ORG I-PER O", False),
    "IO": (("O", "I-LOC", "I-PER"), "O I-LOC I-PER", False),
    "bare types": (("protein", "cell_line", "O"), "I-protein I-cell_line O", False),
    "bare types like prefixes": (("B_cell", "T_cell", "O"), "I-B_cell I-T_cell O", False),
    "species": (("O", "S_aureus", "E_coli"), "O I-S_aureus I-E_coli", False),
    "untyped": (BIOBERT, "O B-Entity I-Entity O O O O", True),
    "zero": (("B-DISEASE", "I-DISEASE", "0"), "B-DISEASE I-DISEASE O", True),
    "none beside O": (("O", "B-NONE", "I-NONE"), "O B-NONE I-NONE", True),
    "bare none beside O": (("none", "O", "Drug"), "I-none O I-Drug", False),
    "none": (("none", "Drug"), "O I-Drug", False),
    "outside with a prefix": (("O", "I-O", "B-PER", "I-PER"), "O O B-PER I-PER", True),
}  # fmt: skip


@pytest.mark.parametrize("name", INVENTORIES)
def test_a_tag_inventory_is_read(name: str) -> None:
    names, expected, marks_begin = INVENTORIES[name]
    tags = OwnTags.read(names)
    assert [tags.labels.tags[at] for at in tags.meaning] == expected.split()
    assert tags.labels.types == tuple(sorted({tag[2:] for tag in expected.split() if tag != "O"}))
    assert tags.marks_begin == marks_begin


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("LABEL_0", "LABEL_1"), r"labels have no names \(LABEL_0, LABEL_1\); write them into"),
        (("B-Drug", "I-Drug"), r"none of its labels \(B-Drug, I-Drug\) is the outside"),
        (("POSITIVE", "NEGATIVE"), r"is the outside of entities \(O, 0, OUT, OUTSIDE, NONE\)"),
        (("O", "X", "[CLS]"), r"none of its labels \(O, X, \[CLS\]\) is an entity"),
        (("O", "B-O"), "is an entity"),
        (("O", "B-Drug", "Sign"), r"have a prefix \(B-Drug\) and some have none \(Sign\)"),
    ],
)
def test_an_inventory_that_says_nothing(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        OwnTags.read(names)


def probabilities(rows: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array(rows) / np.sum(rows, axis=1, keepdims=True)


@st.composite
def documents_of_tags(
    draw, inventories=tuple(INVENTORIES)
) -> tuple[OwnTags, np.ndarray, np.ndarray]:
    """Tags, probabilities of some tokens, and which go on with a word."""
    tags = OwnTags.read(INVENTORIES[draw(st.sampled_from(inventories))][0])
    tokens = draw(st.integers(1, 9))
    one = st.lists(st.integers(1, 999), min_size=len(tags.meaning), max_size=len(tags.meaning))
    rows = draw(st.lists(one, min_size=tokens, max_size=tokens))
    inside = draw(st.lists(st.booleans(), min_size=tokens, max_size=tokens))
    return tags, probabilities(rows), np.array([False, *inside[1:]])


@given(documents_of_tags())
def test_probabilities_stay_probabilities(drawn: tuple) -> None:
    tags, own, inside_word = drawn
    ours = np.exp(tags.log_probs(own, inside_word))
    np.testing.assert_allclose(ours.sum(axis=1), 1.0)
    types = np.hstack((ours[:, :1], ours[:, 1::2] + ours[:, 2::2]))
    first = np.maximum.accumulate(np.where(inside_word, 0, np.arange(len(own))))
    np.testing.assert_allclose(types, types[first])  # the pieces of a word agree
    assert ours[inside_word, 1::2].max(initial=0) < 1e-30  # and only the first one begins
    names = ["O", *tags.labels.types]
    for index, type_ in enumerate(names):  # each type has what its tags have together
        own_of_type = [tag for tag, at in enumerate(tags.meaning) if (at + 1) // 2 == index]
        np.testing.assert_allclose(
            types[:, index], own[first][:, own_of_type].sum(axis=1), err_msg=type_
        )
    if tags.marks_begin:
        whole = ~inside_word
        by_tag = np.stack(
            [own[:, tags.meaning == at].sum(axis=1) for at in range(ours.shape[1])], axis=1
        )
        np.testing.assert_allclose(ours[whole], by_tag[whole], atol=1e-30)


@given(documents_of_tags(("IO", "bare types", "bare types like prefixes", "none")))
def test_without_beginnings_neighbours_of_a_type_are_one_entity(drawn: tuple) -> None:
    tags, own, inside_word = drawn
    first = np.maximum.accumulate(np.where(inside_word, 0, np.arange(len(own))))
    kinds = ((tags.meaning + 1) // 2)[own.argmax(axis=1)][first]
    assume(all(np.sort(row)[-1] > np.sort(row)[-2] for row in own))
    expected, at = [], 0
    for kind, run in groupby(kinds.tolist()):
        after = at + len(list(run))
        if kind:
            expected.append((kind - 1, at, after))
        at = after
    assert decode(tags.log_probs(own, inside_word), inside_word) == expected


def test_beginnings_by_hand() -> None:
    tags = OwnTags.read(CONLL)
    loc, org, per = (tags.labels.types.index(name) for name in ("LOC", "ORG", "PER"))
    sure = {name: np.eye(len(CONLL))[at] for at, name in enumerate(CONLL)}
    said = ["O", "I-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-LOC", "I-ORG", "I-PER"]
    own = np.array([sure[name] for name in said])
    assert decode(tags.log_probs(own, np.zeros(len(said), bool))) == [
        (per, 1, 3), (loc, 4, 5), (loc, 5, 7), (org, 7, 8), (per, 8, 9),
    ]  # fmt: skip


def test_last_and_unit_tags_by_hand() -> None:
    tags = OwnTags.read(INVENTORIES["BILOU"][0])
    own = probabilities([(40, 0, 35, 0, 25), (0, 30, 30, 25, 15), (0, 0, 100, 0, 0)])
    # neither U nor B is as likely as O, both together are; so with L and I
    np.testing.assert_allclose(
        np.exp(tags.log_probs(own, np.zeros(3, bool)))[:2], [[0.35, 0.65, 0], [0.3, 0.15, 0.55]],
        atol=1e-30,
    )  # fmt: skip


def write_vocabulary(folder: Path, pieces: Sequence[str], **settings: object) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*SPECIAL, *pieces]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    settings = {"do_lower_case": False, "tokenizer_class": "BertTokenizer", **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return vocabulary


def named(names: Sequence[str]) -> dict[str, dict]:
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }


def write_word_tagger(folder: Path, names: Sequence[str], said: dict[str, str]) -> Path:
    """A checkpoint that gives each word piece the tag it is said to have, wherever it stands."""
    vocabulary = write_vocabulary(folder, list(said))
    size = len(vocabulary)
    config = BertConfig(
        vocab_size=size, hidden_size=size, num_hidden_layers=0, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=24, **named(names),
    )  # fmt: skip
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.bert.embeddings.parameters():
            if parameter.dim() == 2:
                parameter.zero_()
        model.bert.embeddings.word_embeddings.weight += torch.eye(size)
        model.classifier.weight.zero_()
        for word, name in said.items():
            model.classifier.weight[names.index(name), vocabulary.index(word)] = 2.0
    model.save_pretrained(folder)
    return folder


def found(folder: Path, *texts: str, **options: int) -> list[Prediction]:
    module = PublishedTagger(folder, **options)
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    return Predictor(module, "32", "cpu", device_batch=3)(documents)


def mentions(prediction: Prediction, text: str) -> list[tuple[str, str]]:
    return [(span.mention(text), span.type) for span in prediction.spans]


def test_the_pieces_of_a_word_say_what_its_first_one_says(tmp_path: Path) -> None:
    said = {
        "my": "B-Sign", "##al": "O", "##gia": "B-Drug", "has": "O", "##te": "B-Drug",
        "severe": "B-Sign", "pa": "I-Sign", "##in": "B-Sign", "aspirin": "B-Drug",
        "-": "O", ",": "O", ";": "O",
    }  # fmt: skip
    text = "myalgia, haste - aspirin-aspirin; severe painin pain"
    (prediction,) = found(write_word_tagger(tmp_path, BIO, said), text)
    assert mentions(prediction, text) == [
        ("myalgia", "Sign"), ("aspirin", "Drug"), ("aspirin", "Drug"),
        ("severe painin pain", "Sign"),
    ]  # fmt: skip
    assert prediction.spans[0].confidence > 0.9
    assert prediction.tokens.tags[:3] == ("B-Sign", "I-Sign", "I-Sign")
    assert prediction.tokens.classes == 5


def test_bare_types_have_whole_confidence(tmp_path: Path) -> None:
    said = {"heart": "Sign", "failure": "Sign", "of": "O", "aspirin": "Drug"}
    text = "heart failure aspirin of heart heart"
    (prediction,) = found(write_word_tagger(tmp_path, ("Drug", "O", "Sign"), said), text)
    assert mentions(prediction, text) == [
        ("heart failure", "Sign"), ("aspirin", "Drug"), ("heart heart", "Sign")
    ]  # fmt: skip
    assert all(span.confidence > 0.99 for span in prediction.spans)
    for span in prediction.spans:  # what a temperature is fitted to
        np.testing.assert_allclose(
            np.exp(span.log_probs).sum(axis=1), 1.0, atol=3e-4
        )  # of four digits


def test_long_documents_go_through_windows(tmp_path: Path) -> None:
    said = {"O": "O", "severe": "B-Sign", "pain": "I-Sign", "aspirin": "B-Drug"}
    rng = np.random.default_rng(0)
    texts = [
        " ".join(rng.choice(["O", "aspirin", "severe", "severe pain", "severe pain pain"], size))
        for size in (1, 9, 60, 300)
    ]
    folder = write_word_tagger(tmp_path, BIO, said)
    module = PublishedTagger(folder)
    assert module.hparams.window == {"length": 24, "context": 6}  # the encoder takes no more
    predictions = found(folder, *texts)
    assert [p.document for p in predictions] == ["0", "1", "2", "3"]
    for prediction, text in zip(predictions, texts, strict=True):
        expected = [word for word in text.replace(" pain", "_pain").split() if word != "O"]
        assert [span.mention(text).replace(" ", "_") for span in prediction.spans] == expected
        # every token is there, and is tagged as one long forward pass would
        assert [text[start:end] for start, end in prediction.tokens.offsets] == text.split()
        assert list(prediction.tokens.tags) == [said[word] for word in text.split()]


WORDS = ["fever", "cough", "aspirin", "of", "the", "heart", "severe", "no", ",", "."]


@pytest.fixture(scope="module")
def random_bio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights and tags in no order of ours."""
    folder = tmp_path_factory.mktemp("random") / "model"
    size = len(write_vocabulary(folder, WORDS))
    torch.manual_seed(3)
    config = BertConfig(vocab_size=size, **BERT, **named(BIO))
    model = BertForTokenClassification(config)
    with torch.no_grad():  # so large that every tag comes up
        for parameter in model.parameters():
            parameter *= 5.0 if parameter.dim() == 2 else 1.0
        model.classifier.weight *= 5.0
    model.save_pretrained(folder)
    return folder


def random_texts(count: int, most: int, seed: int = 1) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, most))) for _ in range(count)]


def test_spans_are_those_of_a_module_of_ours_with_the_same_weights(random_bio: Path) -> None:
    texts = random_texts(20, 120)
    module = PublishedTagger(random_bio, window_length=40, context=8)
    ours = NerModule(
        types=module.labels.types,
        encoder=module.encoder.config.to_dict(),
        tokenizer_files=TokenizerFiles.load(random_bio).files,
        window={"length": 40, "context": 8},
        optimizer={},
        pretrained=random_bio,
    )
    order = [BIO.index(tag) for tag in ours.labels.tags]
    with torch.no_grad():
        ours.encoder.classifier.weight.copy_(ours.encoder.classifier.weight[order])
        ours.encoder.classifier.bias.copy_(ours.encoder.classifier.bias[order])
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    expected = Predictor(ours, "32", "cpu", device_batch=3)(documents)
    actual = found(random_bio, *texts, window_length=40, context=8)
    assert sum(len(prediction.spans) for prediction in expected) > 100
    assert {span.type for prediction in expected for span in prediction.spans} == {"Drug", "Sign"}
    for mine, theirs in zip(actual, expected, strict=True):
        assert [(s.start, s.end, s.type) for s in mine.spans] == [
            (s.start, s.end, s.type) for s in theirs.spans
        ]
        assert mine.tokens.tags == theirs.tokens.tags
        for span, other in zip(mine.spans, theirs.spans, strict=True):
            np.testing.assert_allclose(span.log_probs, other.log_probs, atol=1e-4)


def test_well_formed_tags_give_the_spans_of_the_library(random_bio: Path) -> None:
    texts = random_texts(300, 9)
    library = pipeline("token-classification", str(random_bio), aggregation_strategy="simple")
    # where the tags as they come are well-formed BIO, all decoders agree
    agreed = 0
    for text, prediction in zip(texts, found(random_bio, *texts), strict=True):
        tags = prediction.tokens.tags
        before = ("O", *tags[:-1])
        stray = [
            t[0] == "I" and b not in (t, f"B{t[1:]}") for t, b in zip(tags, before, strict=True)
        ]
        if any(stray):
            continue
        expected = [
            (group["start"], group["end"], group["entity_group"])
            for group in library(text)
            if group["entity_group"] != "O"
        ]
        assert [(span.start, span.end, span.type) for span in prediction.spans] == expected
        agreed += len(expected)
    assert agreed > 50


TEXT = "No fever, but 2.5 mg aspirin was given.\n\nSevere  pain in the elbow (myalgia) went on. "


def write_roberta(folder: Path, names: Sequence[str]) -> PreTrainedModel:
    """With its positions behind the padding's own, and its byte-level tokens."""
    ids = write_byte_level(folder, [TEXT])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.RobertaProcessing(
        ("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]), add_prefix_space=False
    )
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16, pad_id=ids["[PAD]"], pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = RobertaConfig(
        vocab_size=len(ids), **(BERT | {"max_position_embeddings": 40}), **named(names),
        pad_token_id=ids["[PAD]"], bos_token_id=ids["[CLS]"], eos_token_id=ids["[SEP]"],
    )  # fmt: skip
    return RobertaForTokenClassification(config)


def write_deberta(folder: Path, names: Sequence[str]) -> PreTrainedModel:
    """With relative positions, and SentencePiece's tokens."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "pad", "mask", "unk")}
    settings = {**tokens, "tokenizer_class": "DebertaV2TokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = DebertaV2Config(
        vocab_size=len(ids), **(BERT | {"max_position_embeddings": 39}), **named(names),
        relative_attention=True, position_biased_input=False, pos_att_type=["p2c", "c2p"],
        pad_token_id=ids["[PAD]"],
    )  # fmt: skip
    return DebertaV2ForTokenClassification(config)


@pytest.mark.parametrize("write", [write_roberta, write_deberta])
def test_other_architectures_and_tokenizers(write, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "model"
    model = write(folder, BIO)
    with torch.no_grad():
        model.classifier.weight *= 10
    model.save_pretrained(folder)
    texts = ["Severe paint (myalgie)", *(TEXT * times for times in range(1, 20))]
    predictions = found(folder, *texts)
    for prediction, text in zip(predictions, texts, strict=True):
        offsets = prediction.tokens.offsets
        assert {at for start, end in offsets for at in range(start, end)} == {
            at for at, character in enumerate(text) if not character.isspace()
        }
    module = PublishedTagger(folder)
    assert module.hparams.window == {"length": 39, "context": 9}
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    data = module.datamodule({"all": documents}, flatten_rule="longest_first")
    assert max(map(len, data.windows["all"])) == 37  # as long as it takes, with [CLS] and [SEP]

    # the library's own way, which wants no windows for a short text
    library = AutoTokenizer.from_pretrained(folder)
    library.backend_tokenizer.no_truncation()
    library.backend_tokenizer.no_padding()
    with torch.inference_mode():
        logits = model.eval()(**library(texts[0], return_tensors="pt")).logits[0, 1:-1]
    first_pieces = ~data.tokenised["all"][0].inside_word
    assert len(logits) == len(first_pieces) > first_pieces.sum()
    confidence, best = logits.softmax(dim=-1)[first_pieces].max(dim=-1)
    tags, own = (np.array(predictions[0].tokens.tags), predictions[0].tokens.confidence)
    assert tags[first_pieces].tolist() == [BIO[at] for at in best.tolist()]
    np.testing.assert_allclose(np.array(own)[first_pieces], confidence, rtol=1e-4)
    assert confidence.max() > confidence.min() + 0.001  # it is no constant


def changed(folder: Path, to: Path, **settings: object) -> Path:
    """A copy with other settings in config.json; None takes one out."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text()) | settings
    config = {key: value for key, value in config.items() if value is not None}
    (to / "config.json").write_text(json.dumps(config))
    return to


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"id2label": None}, "names no labels"),
        ({"id2label": []}, "names no labels"),
        ({"id2label": {"0": "O", "2": "B-Drug"}}, "a printable name for each of 0 to 1"),
        ({"id2label": {"0": "O", "1": "B-\nDrug"}}, "a printable name for each of 0 to 1"),
        ({"id2label": {"0": "O", "1": 7}}, "a printable name for each of 0 to 1"),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "have no names"),
        ({"id2label": {"0": "O", "1": "B-Drug"}}, "does id2label name all"),
        ({"hidden_size": 16}, "other shapes than config.json says"),
        ({"model_type": "no-such-thing"}, "no encoder"),
    ],
)
def test_a_configuration_that_does_not_fit(
    random_bio: Path, tmp_path: Path, settings: dict, problem: str
) -> None:
    folder = changed(random_bio, tmp_path / "changed", **settings)
    with pytest.raises(UserError, match=problem) as raised:
        PublishedTagger(folder)
    assert str(raised.value).startswith(f"{folder}: ") and "\n" not in str(raised.value)


def test_an_encoder_is_no_token_classifier(random_bio: Path, tmp_path: Path) -> None:
    folder = changed(random_bio, tmp_path / "encoder")
    BertModel.from_pretrained(random_bio).save_pretrained(tmp_path / "bare")
    shutil.copy(tmp_path / "bare/model.safetensors", folder)
    with pytest.raises(UserError, match=r"its weights lack classifier\.bias, classifier\.weight;"):
        PublishedTagger(folder)


def test_weights_that_are_broken(random_bio: Path, tmp_path: Path) -> None:
    folder = changed(random_bio, tmp_path / "broken")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="its weights cannot be loaded"):
        PublishedTagger(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_older_files_of_weights(random_bio: Path, tmp_path: Path, zipped: bool) -> None:
    folder = changed(random_bio, tmp_path / "older")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    assert found(folder, *random_texts(3, 9)) == found(random_bio, *random_texts(3, 9))
    del tensors["classifier.bias"]
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"its weights lack classifier\.bias;"):
        PublishedTagger(folder)


def test_weights_in_several_files(random_bio: Path, tmp_path: Path) -> None:
    folder = changed(random_bio, tmp_path / "sharded")
    (folder / "model.safetensors").unlink()
    model = BertForTokenClassification.from_pretrained(random_bio)
    model.save_pretrained(folder, max_shard_size="40KB")
    assert (folder / "model.safetensors.index.json").is_file()
    assert found(folder, *random_texts(3, 9)) == found(random_bio, *random_texts(3, 9))


def test_weights_that_are_not_used_are_named(
    random_bio: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="medner.published"):
        PublishedTagger(random_bio)
    assert not caplog.records
    folder = changed(random_bio, tmp_path / "crf")
    tensors = load_file(folder / "model.safetensors") | {"crf.transitions": torch.zeros(5, 5)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING, logger="medner.published"):
        PublishedTagger(folder)
    assert "1 tensor of its weights, which no BertForTokenClassification has (crf" in caplog.text


def test_iob1_tags_are_noticed_and_can_be_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = {"O": "O", "severe": "B-Sign", "pain": "I-Sign", "aspirin": "I-Drug"}
    text = "severe pain O aspirin O pain"
    folder = write_word_tagger(tmp_path / "iob1", BIO, said)
    with caplog.at_level(logging.WARNING, logger="medner.published"):
        found(folder, text)
    assert "2 entities begin with I and 1 with B: was it trained on IOB1 tags?" in caplog.text
    caplog.clear()
    names = {str(at): name.replace("B-", "I-") for at, name in enumerate(BIO)}
    folder = changed(folder, tmp_path / "named", id2label=names)
    with caplog.at_level(logging.WARNING, logger="medner.published"):
        (prediction,) = found(folder, text)
    assert mentions(prediction, text) == [
        ("severe pain", "Sign"), ("aspirin", "Drug"), ("pain", "Sign")
    ]  # fmt: skip
    assert not caplog.records
