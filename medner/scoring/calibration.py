"""How far confidences can be relied on: calibration error, Brier score, risk and coverage.

All of it takes ``correct``, booleans, and ``confidence``, in [0, 1], of the same spans (or tokens),
shape (spans,), and sees them as a set: those of equal confidence are never told apart, so that
the order of documents does not matter. Everything raises ValueError if there are none, or if a
confidence is missing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medner.scoring.matching import Counts

_POINTS = 200  # of a risk-coverage curve in a file


@dataclass(frozen=True, slots=True)
class Bin:
    """How many there are, their mean confidence, and what share of them is correct."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Mean confidence and accuracy, the Brier score (the mean squared difference between confidence
    and 0 or 1), and reliability: the same in bins of equally many (``equal_mass``), and of equal
    width; bins without any are left out."""

    count: int
    confidence: float
    accuracy: float
    brier: float
    equal_mass: tuple[Bin, ...]
    equal_width: tuple[Bin, ...]

    @property
    def ece_mass(self) -> float:
        """Expected calibration error with bins of equal mass: between confidence and accuracy, the
        mean distance in a bin, weighted by count (Nguyen and O'Connor 2015, EMNLP)."""
        return _expected_error(self.equal_mass)

    @property
    def ece_width(self) -> float:
        """With bins of equal width (Naeini et al. 2015, AAAI)."""
        return _expected_error(self.equal_width)

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self) | {
            "equal_mass": [asdict(bin_) for bin_ in self.equal_mass],
            "equal_width": [asdict(bin_) for bin_ in self.equal_width],
            "ece_mass": self.ece_mass,
            "ece_width": self.ece_width,
        }


def calibration(correct: ArrayLike, confidence: ArrayLike, bins: int = 10) -> Calibration:
    """Measure it.

    Bins of equal width are [0, 1/bins), [1/bins, 2/bins) and so on, the last with 1. With equal
    mass, each confidence goes where the middle of those that share it belongs.
    """
    levels = _Levels.of(correct, confidence)
    total = int(levels.counts.sum())
    before = np.cumsum(levels.counts) - levels.counts
    by_mass = (2 * before + levels.counts) * bins // (2 * total)
    inner_edges = np.linspace(0, 1, bins + 1)[1:-1]
    by_width = np.searchsorted(inner_edges, levels.values, side="right")
    wrong = levels.counts - levels.correct
    squares = levels.correct * (1 - levels.values) ** 2 + wrong * levels.values**2
    whole = levels.bins(np.zeros_like(by_mass))[0]
    return Calibration(
        total,
        whole.confidence,
        whole.accuracy,
        float(squares.sum() / total),
        levels.bins(by_mass),
        levels.bins(by_width),
    )


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """If only what is at least as sure as ``thresholds``, descending, is kept: what share that is
    (``coverage``), and what share of it is wrong (``risk``). ``aurc``, the area under the curve,
    is the risk averaged over all spans, each kept with all that are at least as sure (Geifman et
    al. 2019, ICLR)."""

    thresholds: tuple[float, ...]
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    aurc: float

    def to_dict(self) -> dict:
        """For JSON, with at most 200 points of the curve, at even steps of coverage."""
        kept = range(len(self.coverage))
        if len(kept) > _POINTS:
            wanted = np.linspace(self.coverage[0], 1, _POINTS)
            kept = np.unique(np.searchsorted(self.coverage, wanted)).tolist()
        columns = {"thresholds": self.thresholds, "coverage": self.coverage, "risk": self.risk}
        thinned = {name: [column[at] for at in kept] for name, column in columns.items()}
        return {"aurc": self.aurc, **thinned}


def risk_coverage(correct: ArrayLike, confidence: ArrayLike) -> RiskCoverage:
    """The whole curve, with a point for each confidence that occurs."""
    levels = _Levels.of(correct, confidence)
    kept, right = levels.from_the_surest()
    coverage, risk = kept / kept[-1], 1 - right / kept
    return RiskCoverage(
        tuple(levels.values[::-1].tolist()),
        tuple(coverage.tolist()),
        tuple(risk.tolist()),
        float((risk * levels.counts[::-1]).sum() / kept[-1]),
    )


def threshold_for(
    correct: ArrayLike, confidence: ArrayLike, precision: float, fewest: int = 1
) -> float | None:
    """The lowest threshold with which what is kept, at least as sure, has the wanted precision:
    the one that keeps most. None if there is none, or it keeps less than ``fewest``."""
    levels = _Levels.of(correct, confidence)
    kept, right = levels.from_the_surest()
    reached = np.flatnonzero((right / kept >= precision) & (kept >= fewest))
    return float(levels.values[::-1][reached[-1]]) if len(reached) else None


def kept_at(correct: ArrayLike, confidence: ArrayLike, threshold: float, gold: int) -> Counts:
    """Counts of what is at least as sure as the threshold; ``gold`` is the number of entities."""
    kept = np.asarray(confidence) >= threshold
    return Counts(gold, int(kept.sum()), int((kept & np.asarray(correct, dtype=bool)).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """The confidences that occur, ascending, how often, and how often correct; shape (levels,)."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]
    correct: NDArray[np.int64]

    @classmethod
    def of(cls, correct: ArrayLike, confidence: ArrayLike) -> "_Levels":
        confidence = np.asarray(confidence, dtype=np.float64)
        if not len(confidence) or not ((confidence >= 0) & (confidence <= 1)).all():
            raise ValueError("confidences are needed, each in [0, 1]")
        values, level, counts = np.unique(confidence, return_inverse=True, return_counts=True)
        right = np.bincount(level, weights=np.asarray(correct, dtype=bool), minlength=len(values))
        return cls(values, counts, right.astype(np.int64))

    def bins(self, numbers: NDArray[np.int64]) -> tuple[Bin, ...]:
        """The bins that levels are put into by ``numbers``, shape (levels,), ascending."""
        count, right = np.bincount(numbers, self.counts), np.bincount(numbers, self.correct)
        total = np.bincount(numbers, self.counts * self.values)
        return tuple(
            Bin(int(count[at]), float(total[at] / count[at]), float(right[at] / count[at]))
            for at in np.flatnonzero(count)
        )

    def from_the_surest(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """By level, descending: how many are at least as sure, and how many of them correct."""
        return np.cumsum(self.counts[::-1]), np.cumsum(self.correct[::-1])


def _expected_error(bins: Sequence[Bin]) -> float:
    total = sum(bin_.count for bin_ in bins)
    return sum(bin_.count * abs(bin_.confidence - bin_.accuracy) for bin_ in bins) / total
