import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from real_data import CORPORA, NO_CORPORA
from seqeval.scheme import IOB2, Entities

from medner.documents import Document, Entity
from medner.errors import UserError
from medner.predictions import Prediction, Span
from medner.scoring.matching import Counts, Scores, score, table

TYPES = ("Disease", "Chemical", "Sign")


def entity(type_, *fragments):
    return Entity(fragments, type_)


def predict(document, *spans):
    return Prediction(document, tuple(Span(start, end, name, 0.5) for start, end, name in spans))


def flat(rng, length):
    """Random disjoint (first token, last token + 1, type), many of them adjacent."""
    spans, at = [], 0
    while at < length:
        width = rng.randint(1, 4)
        if rng.random() < 0.5:
            spans.append((at, min(at + width, length), rng.choice(TYPES)))
        at += width
    return spans


def disturb(rng, spans):
    """Some of the spans as they are, some lost, some of another type, some cut short."""
    result = []
    for start, end, name in spans:
        kind = rng.random()
        if kind < 0.2:
            continue
        if kind < 0.4:
            name = rng.choice(TYPES)
        elif kind < 0.6:
            end = rng.randint(start + 1, end)
        result.append((start, end, name))
    return result


def tags(spans, length):
    result = ["O"] * length
    for start, end, name in spans:
        result[start:end] = [f"B-{name}"] + [f"I-{name}"] * (end - start - 1)
    return result


def conlleval(gold, predicted):
    """Counts by type with CoNLL's chunk rule: in one pass, a chunk is correct if gold and
    prediction begin it together, stay together, and end it together."""

    def chunk_ends(tag, following):
        return tag != "O" and not following.startswith("I")

    counts = {name: [0, 0, 0] for name in TYPES}
    in_correct = None
    for index, (g, p) in enumerate(zip(gold, predicted, strict=True)):
        next_g, next_p = ([*tags_, "O"][index + 1] for tags_ in (gold, predicted))
        if g.startswith("B"):
            counts[g[2:]][0] += 1
        if p.startswith("B"):
            counts[p[2:]][1] += 1
        if g.startswith("B") or p.startswith("B"):
            in_correct = g[2:] if g == p else None
        if in_correct and chunk_ends(g, next_g) | chunk_ends(p, next_p):
            counts[in_correct][2] += chunk_ends(g, next_g) and chunk_ends(p, next_p)
            in_correct = None
    return counts


@pytest.fixture(scope="module", params=range(5))
def flat_corpus(request):
    """Token spans (gold, predicted) of documents, most of them with something correct."""
    rng = random.Random(request.param)
    corpus = []
    for _ in range(40):
        length = rng.randint(1, 40)
        gold = flat(rng, length)
        predicted = disturb(rng, gold) if rng.random() < 0.8 else flat(rng, length)
        corpus.append((length, gold, predicted))
    return corpus


@pytest.fixture(scope="module")
def flat_scores(flat_corpus):
    """The same with one character and one space a token."""
    documents, predictions = [], []
    for number, (length, gold, predicted) in enumerate(flat_corpus):
        entities = tuple(entity(name, (2 * a, 2 * b - 1)) for a, b, name in gold)
        documents.append(Document(str(number), "x " * length, entities))
        spans = [(2 * a, 2 * b - 1, name) for a, b, name in predicted]
        predictions.append(predict(str(number), *spans))
    return score(documents, predictions)


def test_same_counts_as_seqeval_strict(flat_corpus, flat_scores):
    gold, predicted = (
        Entities([tags(row[side], row[0]) for row in flat_corpus], IOB2) for side in (1, 2)
    )
    for name in TYPES:
        wanted, found = gold.filter(name), predicted.filter(name)
        assert flat_scores.by_type[name] == Counts(len(wanted), len(found), len(wanted & found))


def test_same_counts_as_nervaluate_strict(flat_corpus, flat_scores):
    gold, predicted = (
        [
            [{"label": name, "start": a, "end": b - 1} for a, b, name in row[side]]
            for row in flat_corpus
        ]
        for side in (1, 2)
    )
    results = Evaluator(gold, predicted, tags=list(TYPES), loader="dict").evaluate()
    figures = {name: results["entities"][name]["strict"] for name in TYPES}
    for name, counts in [*flat_scores.by_type.items(), ("overall", flat_scores.overall)]:
        theirs = results["overall"]["strict"] if name == "overall" else figures[name]
        assert counts == Counts(theirs.possible, theirs.actual, theirs.correct)
        assert counts.precision == pytest.approx(theirs.precision)
        assert counts.recall == pytest.approx(theirs.recall)
        assert counts.f1 == pytest.approx(theirs.f1)


def test_same_counts_as_conlleval(flat_corpus, flat_scores):
    totals = {name: Counts() for name in TYPES}
    for length, gold, predicted in flat_corpus:
        for name, counts in conlleval(tags(gold, length), tags(predicted, length)).items():
            totals[name] += Counts(*counts)
    assert flat_scores.by_type == totals
    assert 0 < flat_scores.overall.correct < flat_scores.overall.gold


@st.composite
def scored_documents(draw):
    """Documents with any gold at all: overlapping, nested, equal, discontinuous."""
    pairs = []
    fragments = st.lists(st.integers(0, 12), min_size=2, max_size=6, unique=True).map(
        lambda cuts: tuple(zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))
    )
    entities = st.lists(st.builds(Entity, fragments, st.sampled_from(TYPES)), max_size=6)
    for number in range(draw(st.integers(0, 6))):
        document = Document(str(number), "x" * 12, tuple(draw(entities)))
        cuts = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
        spans = [
            (a, b, draw(st.sampled_from(TYPES)))
            for a, b in zip(cuts[::2], cuts[1::2], strict=False)
        ]
        pairs.append((document, predict(document.id, *spans)))
    return pairs


@given(scored_documents(), st.randoms())
def test_order_does_not_matter_and_parts_add_up(pairs, rng):
    documents, predictions = [list(side) for side in zip(*pairs, strict=True)] or [[], []]
    whole = score(documents, predictions)
    rng.shuffle(documents)
    rng.shuffle(predictions)
    assert score(documents, predictions) == whole

    half = len(pairs) // 2
    parts = [
        score([d for d, _ in part], [p for _, p in part]).by_type
        for part in (pairs[:half], pairs[half:])
    ]
    for name, counts in whole.by_type.items():
        assert sum((part.get(name, Counts()) for part in parts), Counts()) == counts


@given(scored_documents())
def test_counts_by_exhaustive_pairing(pairs):
    scores = score([d for d, _ in pairs], [p for _, p in pairs])
    correct = Counter()
    for document, prediction in pairs:
        unmatched = list(document.entities)
        for span in prediction.spans:
            wanted = Entity(((span.start, span.end),), span.type)
            if wanted in unmatched:
                unmatched.remove(wanted)
                correct[span.type] += 1
    assert {name: c.correct for name, c in scores.by_type.items() if c.correct} == dict(correct)
    assert scores.overall.gold == sum(len(d.entities) for d, _ in pairs)
    assert scores.overall.predicted == sum(len(p.spans) for _, p in pairs)


def test_overlapping_and_discontinuous_gold_is_missed():
    document = Document(
        "d",
        "left and right lung pain",
        (
            entity("Structure", (0, 4), (15, 19)),
            entity("Structure", (9, 19)),
            entity("Sign", (9, 24)),
        ),
    )
    scores = score([document], [predict("d", (0, 4, "Structure"), (9, 19, "Structure"))])
    assert scores.by_type == {"Sign": Counts(1, 0, 0), "Structure": Counts(2, 2, 1)}
    # the hull of a discontinuous entity does not match it either
    hull = score([document], [predict("d", (0, 19, "Structure"))])
    assert hull.overall == Counts(3, 1, 0)


def test_equal_gold_is_matched_once():
    document = Document("d", "pain", (entity("Sign", (0, 4)),) * 2)
    assert score([document], [predict("d", (0, 4, "Sign"))]).overall == Counts(2, 1, 1)


def test_the_type_and_both_ends_must_agree():
    document = Document("d", "chest pain", (entity("Sign", (0, 10)),))
    for span in [(0, 9, "Sign"), (1, 10, "Sign"), (0, 10, "Disease")]:
        assert score([document], [predict("d", span)]).overall == Counts(1, 1, 0)
    assert score([document], [predict("d", (0, 10, "Sign"))]).overall == Counts(1, 1, 1)


def test_a_span_counts_in_its_own_document_only():
    documents = [Document("a", "pain", (entity("Sign", (0, 4)),)), Document("b", "pain")]
    swapped = [predict("b", (0, 4, "Sign")), predict("a")]
    assert score(documents, swapped).overall == Counts(1, 1, 0)


def test_figures():
    counts = Counts(gold=8, predicted=5, correct=4)
    assert (counts.precision, counts.recall) == (0.8, 0.5)
    assert counts.f1 == pytest.approx(2 * 0.8 * 0.5 / 1.3)
    for nothing in (Counts(), Counts(gold=3), Counts(predicted=3)):
        assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)
    by_type = {"a": counts, "b": Counts(2, 0, 0), "unknown": Counts(0, 9, 0)}
    scores = Scores(by_type, documents=3)
    assert scores.overall == Counts(10, 14, 4)
    assert scores.macro_f1 == pytest.approx(counts.f1 / 2)  # types without gold do not count
    assert Scores({}, documents=0).macro_f1 == 0


def test_missing_documents_must_be_allowed():
    documents = [Document(str(i), "pain", (entity("Sign", (0, 4)),)) for i in range(6)]
    predictions = [predict("3", (0, 4, "Sign"))]
    with pytest.raises(UserError, match=r"5 of 6 documents have no prediction \(0, 1, 2, \.\.\.\)"):
        score(documents, predictions)
    scores = score(documents, predictions, allow_missing=True)
    assert scores.overall == Counts(6, 1, 1)
    assert (scores.documents, scores.missing) == (6, 5)


def test_documents_and_predictions_must_fit():
    document = Document("a", "pain")
    with pytest.raises(UserError, match=r"1 of 2 predictions .* does not have \(b\)"):
        score([document], [predict("a"), predict("b")], allow_missing=True)
    with pytest.raises(UserError, match="document a is predicted twice"):
        score([document], [predict("a"), predict("a")])
    with pytest.raises(UserError, match=r"documents occur twice \(a\)"):
        score([document, document], [predict("a")])


def test_to_dict_goes_into_json_in_full():
    by_type = {"Sign": Counts(3, 2, 1), "Lab": Counts(1, 0, 0)}
    record = json.loads(json.dumps(Scores(by_type, documents=7, missing=2).to_dict()))
    assert record["types"]["Sign"] == {
        "gold": 3,
        "predicted": 2,
        "correct": 1,
        "precision": 1 / 2,
        "recall": 1 / 3,
        "f1": 2 / 5,
    }
    assert record["overall"]["f1"] == 2 / 6
    assert record["macro_f1"] == 1 / 5
    assert (record["documents"], record["missing_documents"]) == (7, 2)


def test_table():
    by_type = {
        "Age": Counts(1, 1, 1),
        "Sign_symptom": Counts(120, 90, 60),
        "Area": Counts(1, 0, 0),
        "Mass": Counts(0, 2, 0),
    }
    assert table(Scores(by_type, documents=9)).splitlines() == [
        "type          gold  predicted  correct  precision  recall     F1",
        "Sign_symptom   120         90       60      0.667   0.500  0.571",
        "Age              1          1        1      1.000   1.000  1.000",
        "Area             1          0        0      0.000   0.000  0.000",
        "Mass             0          2        0      0.000   0.000  0.000",
        "overall        122         93       61      0.656   0.500  0.567",
    ]


def test_scoring_is_fast():
    entities = tuple(entity(TYPES[i % 3], (4 * i, 4 * i + 3)) for i in range(50))
    documents = [Document(str(i), "pain" * 50, entities) for i in range(500)]
    spans = [(e.start, e.end, e.type) for e in entities]
    predictions = [predict(document.id, *spans) for document in documents]
    times = []
    for _ in range(3):
        begin = time.process_time()
        scores = score(documents, predictions)
        times.append(time.process_time() - begin)
    assert scores.overall == Counts(25_000, 25_000, 25_000)
    assert min(times) < 0.1  # 0.02 s on a free machine


@pytest.fixture(scope="module")
def maccrobat():
    """The reports with every text-bound annotation, straight from the files."""
    if not CORPORA:
        pytest.skip(NO_CORPORA)
    documents = []
    for path in sorted(Path(CORPORA, "maccrobat2020").glob("*.ann")):
        entities = []
        for row in path.read_bytes().decode("utf-8").split("\n"):
            if row.startswith("T"):
                name, offsets = row.split("\t")[1].split(" ", 1)
                fragments = [tuple(map(int, pair.split())) for pair in offsets.split(";")]
                entities.append(entity(name, *fragments))
        text = path.with_suffix(".txt").read_bytes().decode("utf-8")
        documents.append(Document(path.stem, text, tuple(entities)))
    return documents


def test_gold_as_prediction_loses_what_a_flat_prediction_cannot_hold(maccrobat):
    kept, predictions = [], []
    for document in maccrobat:
        end, flat_entities = 0, []
        for item in document.entities:
            if not item.discontinuous and item.start >= end:
                flat_entities.append(item)
                end = item.end
        spans = [(item.start, item.end, item.type) for item in flat_entities]
        predictions.append(predict(document.id, *spans))
        kept.append(Document(document.id, document.text, tuple(flat_entities)))
    flat_gold, original = score(kept, predictions), score(maccrobat, predictions)
    assert flat_gold.overall.f1 == flat_gold.macro_f1 == 1.0
    assert original.overall.gold == 20_360
    assert original.overall.precision == 1.0
    assert 0.9 < original.overall.recall < 1.0
    assert len(original.by_type) == 41


def test_empty_predictions_score_nothing(maccrobat):
    scores = score(maccrobat, [Prediction(document.id) for document in maccrobat])
    assert scores.overall == Counts(20_360, 0, 0)
    assert scores.overall.f1 == scores.macro_f1 == 0.0
