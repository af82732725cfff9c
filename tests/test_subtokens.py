"""Every token of a word with the word's tag: encoded, decoded, learned, kept in a checkpoint."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_datamodule import module_of, tokenizer
from test_decoding import LABELS, found, given_tags, log_softmax, total, viterbi
from test_module import LABELS as NOTE_LABELS
from test_module import NOTES, small_module, tokenizer_files, trainer

from medner.corpora import CorpusSource, read_corpus
from medner.datamodule import NerDataModule
from medner.decoding import decode, decode_words, predict, reachable
from medner.documents import Document, Entity
from medner.inference import Predictor
from medner.labels import Labels, copied
from medner.module import NerModule
from medner.prediction_files import read_predictions, write_predictions
from medner.scoring.matching import score
from medner.scoring.token_scores import token_scores
from medner.windows import TokenizedDocument
from medner.words import first_tokens, inside_word

__all__ = ["tokenizer", "tokenizer_files"]
O, B_AGE, I_AGE, B_SIGN, I_SIGN = range(5)  # noqa: E741
TEXT = "no dyspnoea, 64y"
PIECES = ((0, 2), (3, 6), (6, 7), (7, 11), (11, 12), (13, 15), (15, 16))


def pieces(*entities: Entity) -> TokenizedDocument:
    """no, dys ##p ##noea, a comma, 64 ##y."""
    offsets = np.array(PIECES, dtype=np.int32)
    ids = np.zeros(len(offsets), dtype=np.int32)
    return TokenizedDocument.of(Document("d", TEXT, entities), ids, offsets)


SIGN, AGE = Entity(((3, 11),), "Sign"), Entity(((13, 16),), "Age")


def test_the_first_token_of_each_word() -> None:
    starts, ends = np.array(PIECES).T
    inside = inside_word(TEXT, starts, ends)
    assert inside.tolist() == [False, False, True, True, False, False, True]
    assert first_tokens(inside).tolist() == [0, 1, 1, 1, 4, 5, 5]
    assert first_tokens(np.zeros(0, dtype=bool)).tolist() == []


def test_b_is_copied() -> None:
    tokens = pieces(SIGN, AGE)
    tags = LABELS.encode([SIGN, AGE], tokens.starts, tokens.ends)
    assert tags.tolist() == [O, B_SIGN, I_SIGN, I_SIGN, O, B_AGE, I_AGE]
    every = copied(tags, tokens.inside_word)
    assert every.tolist() == [O, B_SIGN, B_SIGN, B_SIGN, O, B_AGE, B_AGE]
    # of two words the second goes on, with I on all of its pieces
    both = LABELS.encode([Entity(((0, 11),), "Sign")], tokens.starts, tokens.ends)
    assert copied(both, tokens.inside_word)[:4].tolist() == [B_SIGN, I_SIGN, I_SIGN, I_SIGN]
    # what begins inside a word is lost: the word is what its first token is
    unit = LABELS.encode([Entity(((15, 16),), "Sign")], tokens.starts, tokens.ends)
    assert copied(unit, tokens.inside_word).tolist() == [O] * 7


def test_a_word_is_what_its_first_token_is() -> None:
    tokens = pieces()
    # the pieces of dyspnoea do not agree, and the last one of 64y would be a sign
    log_probs = given_tags(O, B_SIGN, O, B_AGE, O, B_AGE, B_SIGN)
    prediction = predict(tokens, log_probs, LABELS, "copied")
    assert found(prediction) == [(3, 11, "Sign"), (13, 16, "Age")]
    assert [span.tokens for span in prediction.spans] == [(1,), (5,)]
    assert [span.confidence for span in prediction.spans] == pytest.approx([0.9, 0.9])
    assert prediction.tokens.copied
    assert prediction.tokens.tags[3] == "B-Age"  # as the model has it


def test_a_stray_begin_inside_a_word_is_no_entity_of_its_own() -> None:
    every = given_tags(O, B_SIGN, B_SIGN, B_SIGN, O, O, O, sure=1 - 1e-6)
    assert found(predict(pieces(), every, LABELS, "copied")) == [(3, 11, "Sign")]
    assert len(found(predict(pieces(), every, LABELS))) == 3  # read as BIO


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 4))
def test_words_are_decoded_as_viterbi_would(seed: int, tokens: int, types: int) -> None:
    draw = np.random.default_rng(seed)
    scores = log_softmax(2 * draw.normal(size=(tokens, 1 + 2 * types)))
    inside = draw.random(tokens) < 0.4
    inside[:1] = False
    segments = decode_words(scores, ~inside)
    first = np.flatnonzero(~inside)
    word_of = {int(token): word for word, token in enumerate(first)} | {tokens: len(first)}
    by_word = [(kind, word_of[begin], word_of[after]) for kind, begin, after in segments]
    if tokens:
        assert total(scores[first], by_word) == pytest.approx(viterbi(scores[first])[0])
    assert by_word == decode(scores[first])


def test_without_pieces_it_is_the_same_scheme() -> None:
    scores = log_softmax(np.random.default_rng(0).normal(size=(300, 83)))
    assert decode_words(scores, np.ones(300, dtype=bool)) == decode(scores)


def test_what_it_can_express() -> None:
    tokens = pieces(SIGN, AGE, Entity(((15, 16),), "Sign"))
    assert found(reachable(tokens, LABELS, "longest_first", "copied")) == [
        (3, 11, "Sign"), (13, 16, "Age"),
    ]  # fmt: skip
    inside = pieces(Entity(((15, 16),), "Sign"))
    assert found(reachable(inside, LABELS, "longest_first")) == [(15, 16, "Sign")]
    assert found(reachable(inside, LABELS, "longest_first", "copied")) == []


def test_the_batches_carry_it(tokenizer) -> None:
    documents = [Document("a", TEXT, (SIGN, AGE))]
    labels = Labels(("Age", "Sign"))
    tags = {
        scheme: module_of(tokenizer, documents, subtokens=scheme) for scheme in ("bio", "copied")
    }
    by_word: dict[str, dict[str, list[str]]] = {}
    for scheme, data in tags.items():
        (tokens,) = data.tokenised["train"]
        first = first_tokens(tokens.inside_word)
        names = [labels.tags[tag] for tag in data.tags[tokens]]
        by_word[scheme] = {
            TEXT[tokens.starts[at] :].split()[0]: [n for n, f in zip(names, first, strict=True)
                                                  if f == at]
            for at in np.unique(first)
        }  # fmt: skip
    assert by_word["bio"]["dyspnoea,"][0] == by_word["copied"]["dyspnoea,"][0] == "B-Sign"
    assert set(by_word["bio"]["dyspnoea,"][1:]) == {"I-Sign"}
    assert set(by_word["copied"]["dyspnoea,"][1:]) == {"B-Sign"}


@pytest.fixture(scope="module")
def learnt(tokenizer_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a small model that has learned its notes by heart, tags copied."""
    module = small_module(tokenizer_files, dropout=0.0, learning_rate=1e-2)
    module.hparams.subtokens = "copied"
    folder = tmp_path_factory.mktemp("learnt")
    fitting = trainer(folder, max_epochs=30)
    fitting.fit(module, data_of(module))
    fitting.save_checkpoint(folder / "best.ckpt")
    return folder / "best.ckpt"


def data_of(module: NerModule) -> NerDataModule:
    return module.datamodule(
        {"train": NOTES, "validation": NOTES[:6]},
        flatten_rule="longest_first", effective_batch=4, device_batch=4,
    )  # fmt: skip


def test_a_model_learns_it_and_its_checkpoint_knows(learnt: Path, tmp_path: Path) -> None:
    module = NerModule.load(learnt)
    assert module.hparams.subtokens == "copied"
    data = data_of(module)
    predictions = Predictor(module, "32", "cpu", 8)(NOTES)
    assert score(NOTES, predictions).overall.f1 > 0.9  # strict spans on the original gold
    found_tags = [tag for p in predictions for tag in p.tokens.tags]
    copies = sum(
        tokens.inside_word[at] and data.tags[tokens][at] % 2 == 1
        for tokens in data.tokenised["train"]
        for at in range(len(tokens))
    )
    assert copies > 20  # there are words in pieces to learn it on
    assert found_tags.count("B-Medication") > len(
        [e for d in NOTES for e in d.entities if e.type == "Medication"]
    )
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, predictions, NOTES)
    again = read_predictions(path, NOTES)
    assert all(prediction.tokens.copied for prediction in again)
    # against gold that is tagged as the model was taught
    assert token_scores(NOTES, again, None, NOTE_LABELS.types).accuracy > 0.95


def test_other_predictions_do_not_say_so(tokenizer_files: dict[str, str], tmp_path: Path) -> None:
    module = small_module(tokenizer_files)
    predictions = Predictor(module, "32", "cpu", 8)(NOTES)
    write_predictions(tmp_path / "p.jsonl", predictions, NOTES)
    assert "copied" not in (tmp_path / "p.jsonl").read_text()
    assert not any(p.tokens.copied for p in read_predictions(tmp_path / "p.jsonl", NOTES))


def test_the_demo_s_words_keep_nearly_all_entities(tokenizer) -> None:
    source = CorpusSource("demo", "brat", str(Path(__file__).parents[1] / "demo/case_reports"))
    documents = list(read_corpus(source).documents)
    data = module_of(tokenizer, documents, length=512, context=64, subtokens="copied")
    counts = score(documents, data.reachable()[: len(documents)]).overall
    assert counts.recall > 0.9
