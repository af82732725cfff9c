"""Intervals and p-values, held against what they claim: drawn anew and counted."""

import time
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_scoring import entity, predict

from medner.documents import Document
from medner.errors import UserError
from medner.scoring.bootstrap import (
    compare,
    document_counts,
    draw,
    f1,
    holm,
    intervals,
    macro_f1,
    smallest_difference,
    weighted_f1,
)


def corpus(rng: np.random.Generator, documents: int, quality: float) -> np.ndarray:
    """Counts of documents that differ in length and difficulty, shape (documents, 2, 3)."""
    ease = rng.beta(8 * quality, 8 * (1 - quality), size=(documents, 1))
    gold = rng.poisson(6, size=(documents, 2)) + 1
    correct = rng.binomial(gold, ease)
    return np.stack([gold, correct + rng.binomial(gold - correct, 0.8), correct], axis=-1)


def test_counts_are_those_of_the_strict_score() -> None:
    documents = [
        Document("1", "x" * 30, (entity("A", (0, 2)), entity("B", (4, 6)))),
        Document("2", "x" * 30, (entity("A", (0, 2)),)),
        Document("3", "x" * 30),
    ]
    predictions = [predict("1", (0, 2, "A"), (4, 6, "A")), predict("3", (1, 2, "B"))]
    counts = document_counts(documents, predictions, ("A", "B"))
    assert counts.tolist() == [
        [[1, 2, 1], [1, 0, 0]],
        [[1, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 1, 0]],
    ]


def test_resamples_are_drawn_with_replacement() -> None:
    weights = draw(10, resamples=30_000, seed=1)
    assert (weights.sum(axis=1) == 10).all()
    for times in range(6):  # binomial: each of ten draws is this document one time in ten
        wanted = comb(10, times) * 0.1**times * 0.9 ** (10 - times)
        assert (weights == times).mean(axis=0) == pytest.approx(np.full(10, wanted), abs=0.01)
    together = np.cov(weights.T)[0, 1:]
    assert together == pytest.approx(np.full(9, -0.1), abs=0.03)
    assert (draw(10, 50, seed=1) == draw(10, 50, seed=1)).all()
    assert (draw(10, 50, seed=1) != draw(10, 50, seed=2)).any()
    with pytest.raises(UserError, match="9 documents are too few to draw from"):
        draw(9)


def test_intervals_are_quantiles_of_all_resamples() -> None:
    rng = np.random.default_rng(0)
    counts = corpus(rng, 4, 0.6)
    every = np.array([np.bincount(drawn, minlength=4) for drawn in product(range(4), repeat=4)])
    together = np.array([(row[:, None, None] * counts).sum(axis=(0, 1)) for row in every])
    wanted = np.quantile(f1(together), [0.025, 0.975])
    weights = every.astype(np.float32)  # each resample as often as it is drawn
    found = intervals(counts, ("A", "B"), weights)
    assert (found["f1"].low, found["f1"].high) == pytest.approx(tuple(wanted))
    weighted = [weighted_f1(row) for row in (every[:, :, None, None] * counts).sum(axis=1)]
    interval = found["weighted_f1"]
    assert (interval.low, interval.high) == pytest.approx(np.quantile(weighted, [0.025, 0.975]))


def test_figures_by_hand() -> None:
    counts = np.array([[10, 8, 6], [4, 2, 0], [0, 3, 0]])
    assert f1(counts).tolist() == pytest.approx([12 / 18, 0, 0])
    assert macro_f1(counts) == pytest.approx(12 / 18 / 2)  # the third type has no gold
    assert weighted_f1(counts) == pytest.approx(10 / 14 * 12 / 18)
    assert f1(np.zeros(3)) == 0


@pytest.mark.parametrize("documents", [30, 200])
def test_nineteen_of_twenty_intervals_hold_the_truth(documents: int) -> None:
    rng = np.random.default_rng(documents)
    truth = f1(corpus(rng, 200_000, 0.6).sum(axis=(0, 1)))
    weights = draw(documents, 1000)
    held = 0
    for _ in range(300):
        interval = intervals(corpus(rng, documents, 0.6), ("A", "B"), weights)["f1"]
        held += interval.low <= truth <= interval.high
    assert 0.90 <= held / 300 <= 0.985


@pytest.mark.parametrize(("documents", "least", "most"), [(100, 0.02, 0.09), (20, 0.04, 0.12)])
def test_one_of_twenty_equal_systems_looks_different(
    documents: int, least: float, most: float
) -> None:
    """With few documents some more, as the page on scores says."""
    rng = np.random.default_rng(3)
    weights = draw(documents, 1000)
    pairs = ([[corpus(rng, documents, 0.6)] for _ in range(2)] for _ in range(400))
    p = [compare(one, other, weights).p for one, other in pairs]
    assert least <= np.mean(np.array(p) < 0.05) <= most
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_the_smallest_difference_is_seen_eight_times_in_ten() -> None:
    rng = np.random.default_rng(4)
    weights = draw(150, 500)
    smallest = np.mean([smallest_difference(corpus(rng, 150, 0.6), weights) for _ in range(20)])
    better = 0.6 + smallest
    # F1 follows from the quality: here it is nearly the same
    apart = f1(corpus(rng, 100_000, better).sum(axis=(0, 1))) - f1(
        corpus(rng, 100_000, 0.6).sum(axis=(0, 1))
    )
    seen = [
        compare([corpus(rng, 150, better)], [corpus(rng, 150, 0.6)], weights).p < 0.05
        for _ in range(200)
    ]
    assert apart == pytest.approx(smallest, rel=0.15)
    assert 0.7 <= np.mean(seen) <= 0.92


def test_a_paired_comparison_sees_more() -> None:
    rng = np.random.default_rng(5)
    one = corpus(rng, 100, 0.6)
    other = one.copy()
    other[::4, 0, 2] = np.maximum(other[::4, 0, 2] - 1, 0)  # a little worse where it is alike
    weights = draw(100)
    difference = compare([one], [other], weights)
    assert difference.f1 == pytest.approx(f1(one.sum(axis=(0, 1))) - f1(other.sum(axis=(0, 1))))
    assert difference.p < 0.001
    assert difference.interval.low > 0
    assert difference.smallest < smallest_difference(one, weights) / 3
    back = compare([other], [one], weights)
    assert (back.f1, back.p) == (pytest.approx(-difference.f1), difference.p)
    same = compare([one], [one], weights)
    assert (same.f1, same.p) == (0, 1)


def test_seeds_are_drawn_too() -> None:
    """One seed each shows a difference, which other seeds of the same systems do not bear out."""
    rng = np.random.default_rng(6)
    base = corpus(rng, 200, 0.6)

    def seed(change: int) -> np.ndarray:
        counts = base.copy()
        counts[:, 0, 2] = np.clip(
            counts[:, 0, 2] + change * (np.arange(200) % 2), 0, counts[:, 0, :2].min(axis=1)
        )
        return counts

    weights = draw(200, 2000)
    assert compare([seed(1)], [seed(-1)], weights).p < 0.01
    several = compare([seed(1), seed(-1), seed(0)], [seed(-1), seed(0), seed(1)], weights)
    assert several.f1 == pytest.approx(0)
    assert several.p > 0.5
    assert several.interval.low < -0.02 < 0.02 < several.interval.high


def test_holm_by_hand() -> None:
    # Holm 1979: the smallest times 3, the next times 2, never less than the one before
    assert holm({"a": 0.02, "b": 0.01, "c": 0.04}) == pytest.approx(
        {"a": 0.04, "b": 0.03, "c": 0.04}
    )
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06}
    )
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.text(), st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers(p_values: dict[str, float]) -> None:
    corrected = holm(p_values)
    assert list(corrected) == list(p_values)
    assert all(p_values[name] <= p <= 1 for name, p in corrected.items())
    ordered = sorted(p_values, key=p_values.get)
    assert [corrected[name] for name in ordered] == sorted(corrected.values())


def test_ten_thousand_resamples_of_500_documents_take_less_than_two_seconds() -> None:
    counts = corpus(np.random.default_rng(0), 500, 0.8)
    start = time.process_time()
    weights = draw(500)
    intervals(counts, ("A", "B"), weights)
    compare([counts], [counts], weights)
    assert time.process_time() - start < 2
