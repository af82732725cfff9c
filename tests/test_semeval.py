"""The four matchings: nervaluate as the oracle on disjoint spans, by hand on all others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from test_scoring import TYPES, disturb, entity, flat, predict

from medner.documents import Document, Entity
from medner.predictions import Prediction, Span
from medner.scoring.matching import score
from medner.scoring.semeval import MODES, Tally, tallies

NAMES = {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}


@st.composite
def corpora(draw: st.DrawFn) -> list[tuple[list, list]]:
    """(gold, predicted) disjoint flat spans of a few documents."""
    rng = draw(st.randoms(use_true_random=False))
    corpus = []
    for _ in range(draw(st.integers(1, 6))):
        length = rng.randint(1, 40)
        gold = flat(rng, length)
        corpus.append((gold, disturb(rng, gold) if rng.random() < 0.7 else flat(rng, length)))
    return corpus


def made(corpus: list[tuple[list, list]]) -> tuple[list[Document], list[Prediction]]:
    documents, predictions = [], []
    for number, (gold, predicted) in enumerate(corpus):
        entities = tuple(entity(name, (start, end)) for start, end, name in gold)
        documents.append(Document(str(number), "x" * 50, entities))
        predictions.append(predict(str(number), *predicted))
    return documents, predictions


def whole(result) -> tuple[int, ...]:
    return (
        result.possible, result.actual, result.correct, result.partial, result.incorrect,
        result.missed, result.spurious,
    )  # fmt: skip


def ours(tally: Tally) -> tuple[int, ...]:
    return (
        tally.gold, tally.predicted, tally.correct, tally.partial, tally.incorrect,
        tally.missed, tally.spurious,
    )  # fmt: skip


@given(corpora())
def test_nervaluate_counts_the_same_on_disjoint_spans(corpus: list) -> None:
    counts = tallies(*made(corpus))
    gold, predicted = (
        [[{"label": n, "start": a, "end": b - 1} for a, b, n in row[side]] for row in corpus]
        for side in (0, 1)
    )
    results = Evaluator(gold, predicted, tags=list(TYPES), loader="dict").evaluate()
    for mode, theirs in NAMES.items():
        assert ours(counts[mode].get(None, Tally())) == whole(results["overall"][theirs])
        assert counts[mode].get(None, Tally()).f1 == pytest.approx(results["overall"][theirs].f1)
        for type_, by_mode in results["entities"].items():
            assert ours(counts[mode][type_]) == whole(by_mode[theirs])


@given(corpora(), st.randoms(use_true_random=False))
def test_sums_and_order(corpus: list, rng) -> None:
    documents, predictions = made(corpus)
    counts = tallies(documents, predictions)
    strict = score(documents, predictions)
    assert counts["strict"].get(None, Tally()).correct == strict.overall.correct
    for type_, found in strict.by_type.items():
        assert counts["strict"][type_].correct == found.correct
    rng.shuffle(documents)
    rng.shuffle(predictions)
    assert tallies(documents, predictions) == counts
    # two halves add up
    half = len(documents) // 2
    parts = [
        tallies(part, [p for p in predictions if p.document in {d.id for d in part}])
        for part in (documents[:half], documents[half:])
    ]
    for mode in MODES:
        for type_, tally in counts[mode].items():
            assert sum((part[mode].get(type_, Tally()) for part in parts), Tally()) == tally
    order = [counts[mode].get(None, Tally()).f1 for mode in ("strict", "exact", "partial")]
    assert order == sorted(order)


@given(corpora())
def test_perfect_is_one_and_empty_is_zero(corpus: list) -> None:
    documents, _ = made([(gold, gold) for gold, _ in corpus])
    _, perfect = made([(gold, gold) for gold, _ in corpus])
    entities = sum(len(document.entities) for document in documents)
    for mode in MODES:
        assert tallies(documents, perfect)[mode].get(None, Tally()).f1 == (1 if entities else 0)
        assert tallies(documents, [])[mode].get(None, Tally()).f1 == 0


def of(gold: list[Entity], spans: list[Span]) -> dict[str, tuple[int, int, int]]:
    """(correct, partial, incorrect) by mode."""
    counts = tallies([Document("d", "x" * 99, tuple(gold))], [Prediction("d", tuple(spans))])
    return {
        m: (t.correct, t.partial, t.incorrect) for m, t in ((m, counts[m][None]) for m in MODES)
    }


def test_a_gap_is_no_overlap() -> None:
    gold = [entity("A", (0, 4), (10, 14))]
    assert of(gold, [Span(5, 9, "A")]) == dict.fromkeys(MODES, (0, 0, 0))
    found = of(gold, [Span(0, 14, "A", gaps=((4, 10),))])
    assert found == dict.fromkeys(MODES, (1, 0, 0))
    found = of(gold, [Span(0, 14, "A")])
    assert found == {
        "strict": (0, 0, 1),
        "exact": (0, 0, 1),
        "partial": (0, 1, 0),
        "type": (1, 0, 0),
    }


def test_what_is_alike_is_matched_before_what_overlaps() -> None:
    # the first prediction would take the inner entity
    gold = [entity("A", (0, 20)), entity("B", (5, 9))]
    found = of(gold, [Span(4, 9, "A"), Span(5, 9, "B")])
    assert found["strict"] == (1, 0, 1)
    assert found["type"] == (2, 0, 0)


def test_each_entity_is_matched_once() -> None:
    gold = [entity("A", (0, 10))]
    found = of(gold, [Span(0, 10, "A"), Span(0, 10, "A"), Span(2, 4, "A")])
    assert found == dict.fromkeys(MODES, (1, 0, 0))
    twice = of([*gold, *gold], [Span(0, 10, "A"), Span(0, 10, "A")])
    assert twice == dict.fromkeys(MODES, (2, 0, 0))
