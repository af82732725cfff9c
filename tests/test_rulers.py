"""One model's predictions under other rulers: by hand, and against seqeval itself."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import real
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora
from seqeval.metrics import f1_score
from test_scoring import conlleval, disturb, flat, tags
from test_token_scores import tagged

from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document, Entity
from medner.predictions import Prediction, Span, Tokens
from medner.scoring.rulers import FIRST_TOKENS, Rulers, f1_by_ruler, first_tokens_of, rulers
from medner.scoring.selection import Selection
from medner.scoring.token_scores import lenient_by_piece, lenient_by_word

# "no dyspnoea, 64y of age": no, dys ##p ##noea, a comma, 64 ##y, of, age
TEXT = "no dyspnoea, 64y of age"
PIECES = ((0, 2), (3, 6), (6, 7), (7, 11), (11, 12), (13, 15), (15, 16), (17, 19), (20, 23))
SIGN, AGE = Entity(((3, 11),), "Sign"), Entity(((13, 23),), "Age")
GOLD = Document("d", TEXT, (SIGN, AGE))


def said(*found: str, copied: bool = False, spans: tuple[Span, ...] = ()) -> Prediction:
    tokens = Tokens(PIECES, found, (0.5,) * len(found), None, copied)
    return Prediction("d", spans, tokens)


BIO = ("O", "B-Sign", "I-Sign", "I-Sign", "O", "B-Age", "I-Age", "I-Age", "I-Age")
COPIED = ("O", "B-Sign", "B-Sign", "B-Sign", "O", "B-Age", "B-Age", "I-Age", "I-Age")


def test_by_word_the_first_piece_speaks() -> None:
    assert lenient_by_word([GOLD], [said(*BIO)])["f1"] == 1
    assert lenient_by_word([GOLD], [said(*COPIED, copied=True)])["f1"] == 1
    # what the later pieces say does not matter
    careless = ("O", "B-Sign", "O", "B-Age", "O", "B-Age", "O", "I-Age", "I-Age")
    assert lenient_by_word([GOLD], [said(*careless)])["f1"] == 1
    # a beginning that is an I is one to seqeval as it comes
    stray = ("O", "I-Sign", "I-Sign", "I-Sign", "O", "I-Age", "I-Age", "I-Age", "I-Age")
    assert lenient_by_word([GOLD], [said(*stray)])["f1"] == 1
    # and a word too few is an error
    short = (*BIO[:-1], "O")
    assert lenient_by_word([GOLD], [said(*short)]) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_by_piece_each_copied_b_is_an_entity() -> None:
    """Sign is three; 64y of age is two, ``64`` and ``y of age``."""
    assert lenient_by_piece([GOLD], [said(*BIO)])["f1"] == 1  # its first pieces' tags, copied
    assert lenient_by_piece([GOLD], [said(*COPIED, copied=True)])["f1"] == 1
    no_sign = ("O", "O", "O", "O", "O", "B-Age", "B-Age", "I-Age", "I-Age")
    by_piece = lenient_by_piece([GOLD], [said(*no_sign, copied=True)])
    assert (by_piece["precision"], by_piece["recall"]) == (1, pytest.approx(2 / 5))
    assert lenient_by_word([GOLD], [said(*no_sign, copied=True)])["recall"] == pytest.approx(1 / 2)
    # of a model that was taught so, every piece speaks for itself
    one_wrong = ("O", "B-Sign", "O", "B-Sign", "O", "B-Age", "B-Age", "I-Age", "I-Age")
    assert lenient_by_piece([GOLD], [said(*one_wrong, copied=True)])["recall"] == pytest.approx(0.8)
    assert lenient_by_piece([GOLD], [said(*one_wrong)])["recall"] == 1


def test_a_long_word_counts_more_often_than_a_short_one() -> None:
    """What sub-token scores are: the pieces of words that a tokenizer cuts."""
    only_sign = said("O", *["B-Sign"] * 3, "O", "O", "O", "O", "O", copied=True)
    assert lenient_by_word([GOLD], [only_sign])["recall"] == pytest.approx(1 / 2)
    assert lenient_by_piece([GOLD], [only_sign])["recall"] == pytest.approx(3 / 5)


def test_it_is_seqeval_on_the_words() -> None:
    rng = random.Random(0)
    for _ in range(20):
        gold = flat(rng, 40)
        predicted = tags(disturb(rng, gold), 40)
        document, prediction = tagged(gold, predicted)  # each token a word
        by_word = lenient_by_word([document], [prediction])
        assert by_word["f1"] == pytest.approx(f1_score([tags(gold, 40)], [predicted]))
        assert lenient_by_piece([document], [prediction]) == by_word
        parts = conlleval(tags(gold, 40), predicted).values()
        total, found, correct = (sum(column) for column in zip(*parts, strict=True))
        assert by_word["f1"] == pytest.approx(2 * correct / (total + found))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_it_is_seqeval_on_the_pieces(seed: int) -> None:
    """Words of one to three pieces, tagged by a loop as such scripts do."""
    rng = random.Random(seed)
    gold = flat(rng, 25)
    wanted, given_tags = tags(gold, 25), tags(disturb(rng, gold), 25)
    text, offsets, starts, wanted_pieces, found = "", [], [], [], []
    for word in range(25):
        number = rng.randint(1, 3)
        starts.append(len(text))
        offsets += [(len(text) + at, len(text) + at + 1) for at in range(number)]
        text += "x" * number + " "
        wanted_pieces += [wanted[word]] * number
        found += [rng.choice([given_tags[word], given_tags[word], "O"]) for _ in range(number)]
    ends = [*starts[1:], len(text)]
    entities = tuple(
        Entity(((starts[first], ends[after - 1] - 1),), name) for first, after, name in gold
    )
    document = Document("d", text, entities)
    tokens = Tokens(tuple(offsets), tuple(found), (0.5,) * len(found), None, True)
    by_piece = lenient_by_piece([document], [Prediction("d", (), tokens)])
    assert by_piece["f1"] == pytest.approx(f1_score([wanted_pieces], [found], zero_division=0))


def long_document() -> tuple[Document, Document, Prediction]:
    """600 words: an entity of two words at every tenth; found are those at every twentieth, and one
    that is none at 505 and 595. Of the conversion half of them are left."""
    text = "w " * 600
    starts = range(0, 600, 10)

    def place(at: int) -> tuple[int, int]:
        return 2 * at, 2 * at + 3

    found = [*range(0, 600, 20), 505, 595]
    names = ["O"] * 600
    for at in found:
        names[at : at + 2] = ["B-Age", "I-Age"]
    offsets = tuple((2 * at, 2 * at + 1) for at in range(600))
    full = Document("long", text, tuple(Entity((place(at),), "Age") for at in starts))
    converted = replace(full, entities=full.entities[::2])
    spans = tuple(Span(*place(at), "Age", 0.5, (), (at, at + 1), ((-1.0,),) * 2) for at in found)
    return full, converted, Prediction("long", spans, Tokens(offsets, tuple(names), (0.5,) * 600))


def test_f1_by_ruler() -> None:
    alone = {"lost_labels": {"f1": 0.4}, "truncation": {"f1": 0.6}, "scorer": {"f1": 0.7}}
    path = {"lost_labels": {"f1": 0.4}, "truncation": {"f1": 0.45}, "scorer": {"f1": 0.55}}
    chosen = Selection(best=0.6, elsewhere=0.55, last=0.5, epochs=4)
    found = f1_by_ruler(Rulers({"f1": 0.5}, alone, path, chosen).to_dict())
    assert found == pytest.approx({
        "strict": 0.5, "lost labels": 0.4, "truncation": 0.6, "scorer": 0.7,
        "... + truncation": 0.45, "... + scorer": 0.55, "selection": 0.05,
    })  # fmt: skip
    assert "selection" not in f1_by_ruler(Rulers({"f1": 0.5}, alone, path).to_dict())


def test_each_factor_and_the_path_by_hand() -> None:
    full, converted, prediction = long_document()
    found = rulers([full], [prediction], [converted])
    assert found.strict == {"precision": 30 / 32, "recall": 30 / 60, "f1": pytest.approx(60 / 92)}
    # of 510 tokens: entities at 0, 10, ... 500; found at 0, 20, ... 500 and 505
    within = {"precision": 26 / 27, "recall": 26 / 51, "f1": pytest.approx(52 / 78)}
    assert found.alone["truncation"] == within
    lost = {"precision": 30 / 32, "recall": 1.0, "f1": pytest.approx(60 / 62)}
    assert found.alone["lost_labels"] == found.path["lost_labels"] == lost
    assert found.alone["scorer"] == pytest.approx(found.strict)  # tags and spans agree here
    both = {"precision": 26 / 27, "recall": 1.0, "f1": pytest.approx(52 / 53)}
    assert found.path["truncation"] == both
    for name in ("scorer", "subtokens"):  # each token is a word
        assert found.path[name] == pytest.approx(both)
    assert list(found.path) == list(found.alone) == [
        "lost_labels", "truncation", "scorer", "subtokens",
    ]  # fmt: skip


def test_an_entity_that_the_cut_goes_through_is_not_counted_whole() -> None:
    full, _, prediction = long_document()
    through = Entity(((2 * 509, 2 * 511 + 1),), "Sign")
    document = replace(full, entities=(*full.entities, through))
    found = rulers([document], [prediction])
    assert found.alone["truncation"]["recall"] == pytest.approx(26 / 51)
    cut = first_tokens_of(prediction)
    # to a scorer of tags there is a piece of it left
    assert lenient_by_word([document], [cut])["recall"] == pytest.approx(26 / 52)


def test_what_is_shorter_is_not_cut() -> None:
    prediction = said(*BIO, spans=(Span(3, 11, "Sign"), Span(13, 23, "Age")))
    assert first_tokens_of(prediction) == prediction
    nothing = Prediction("d", (), Tokens((), (), ()))
    assert first_tokens_of(nothing) == nothing
    found = rulers([GOLD], [nothing])
    assert found.alone["truncation"]["recall"] == 0


def test_the_bytes_of_a_character_at_the_cut() -> None:
    """Two tokens with one end: the span on the second goes with it."""
    offsets = (*((at, at + 1) for at in range(FIRST_TOKENS - 1)), (600, 601), (600, 601))
    spans = (Span(600, 601, "Age", 0.5, (), (FIRST_TOKENS,), ((-1.0,),)),)
    names = ("O",) * len(offsets)
    cut = first_tokens_of(Prediction("d", spans, Tokens(offsets, names, (0.5,) * len(offsets))))
    assert len(cut.tokens.offsets) == FIRST_TOKENS
    assert cut.spans == ()


def test_without_a_conversion_there_is_no_such_row() -> None:
    full, _, prediction = long_document()
    found = rulers([full], [prediction])
    assert list(found.path) == ["truncation", "scorer", "subtokens"]
    assert found.lines()[1].startswith("strict spans, whole documents ")
    assert found.to_dict()["selection"] is None


def test_the_table() -> None:
    full, converted, prediction = long_document()
    found = rulers([full], [prediction], [converted], Selection(0.7, 0.66, 0.65, 16))
    assert [line.split()[-4:] for line in found.lines()[2:4]] == [
        ["0.968", "+0.316", "0.968", "+0.316"], ["0.667", "+0.014", "0.981", "+0.013"],
    ]  # fmt: skip
    assert found.lines()[-1] == (
        "these documents chose the epoch: 0.700 (strict, the run's own gold), which gains +0.040 "
        "on 0.660 where others choose it; with the last of 16 epochs 0.650"
    )
    assert found.to_dict()["selection"] == {
        "best": 0.7, "elsewhere": 0.66, "last": 0.65, "epochs": 16,
    }  # fmt: skip


@needs_corpora
def test_the_gold_itself_on_real_reports() -> None:
    """A tagger without a fault, on white-space words: what each ruler makes of full marks."""
    source = CorpusSource("m", "brat", str(Path(CORPORA, "maccrobat2020")), {}, "maccrobat2020")
    converted = {
        document.id: document for document in read_corpus(source, converted=True).documents
    }
    full = real("maccrobat").documents[:20]
    predictions = []
    for document in full:
        flat_ones = [e for e in document.entities if not e.discontinuous]
        spans = tuple(Span(e.start, e.end, e.type) for e in flat_ones)
        predictions.append(Prediction(document.id, spans, tokens_of(document)))
    found = rulers(full, predictions, [converted[document.id] for document in full])
    entities = sum(len(document.entities) for document in full)
    kept = sum(len(converted[document.id].entities) for document in full)
    assert found.strict["precision"] == 1
    assert found.alone["lost_labels"]["recall"] == 1
    assert found.alone["lost_labels"]["precision"] == pytest.approx(
        kept / round(found.strict["recall"] * entities)
    )


def tokens_of(document: Document) -> Tokens:
    """White-space words that say nothing."""
    offsets, at = [], 0
    for word in document.text.split():
        start = document.text.index(word, at)
        at = start + len(word)
        offsets.append((start, at))
    return Tokens(tuple(offsets), ("O",) * len(offsets), (0.5,) * len(offsets))
