"""How sure a score is: the bootstrap over documents, for one system and between two.

Efron and Tibshirani 1993, chapters 13 and 16; for named entity recognition, Berg-Kirkpatrick et al.
2012 (https://aclanthology.org/D12-1091). Documents are drawn with replacement, never entities:
those of one document are not independent. Where a system was trained with several seeds, these are
drawn too.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medner.documents import Document
from medner.errors import UserError
from medner.predictions import Prediction
from medner.scoring.matching import score

RESAMPLES = 10_000
# With fewer documents a difference that is none seems to be one far more often than it should: of
# 3,000 simulated ones p < .05 had 17 % with 5 documents, 11 % with 10, 6 % with 20, 5 % with 100.
FEWEST = 10
LEVEL = 0.95
_GOLD, _PREDICTED, _CORRECT = range(3)
_POWER = 1.959964 + 0.841621  # standard errors: two-sided at .05, seen 8 times in 10


@dataclass(frozen=True, slots=True)
class Interval:
    """What the middle 95 % of the resamples span."""

    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> "Interval":
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(low), float(high))

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of one system less that of another on the same documents.

    ``p``: how often a difference as large comes about by the choice of documents (and seeds, each
    system's by themselves) alone, two-sided. ``smallest``: the difference that this test set would
    have shown to be one (p < .05) eight times in ten, by the normal approximation.
    """

    f1: float
    interval: Interval
    p: float
    smallest: float


def document_counts(
    documents: Iterable[Document], predictions: Iterable[Prediction], types: Sequence[str]
) -> NDArray[np.int64]:
    """Gold, predicted and correct (strict) of these types, shape (documents, types, 3).

    Documents without a prediction count as predicted empty.
    """
    predicted = {prediction.document: prediction for prediction in predictions}
    documents = list(documents)
    counts = np.zeros((len(documents), len(types), 3), dtype=np.int64)
    place = {type_: at for at, type_ in enumerate(types)}
    for row, document in zip(counts, documents, strict=True):
        own = [predicted[document.id]] if document.id in predicted else []
        for type_, found in score([document], own, allow_missing=True).by_type.items():
            if type_ in place:
                row[place[type_]] = found.gold, found.predicted, found.correct
    return counts


def draw(documents: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float32]:
    """How often each resample holds each document, shape (resamples, documents).

    Raises:
        UserError: if there are fewer documents than ``FEWEST``.
    """
    if documents < FEWEST:
        raise UserError(
            f"{documents} documents are too few to draw from: an interval needs {FEWEST}"
        )
    rng = np.random.default_rng(seed)
    drawn = rng.integers(documents, size=(resamples, documents), dtype=np.int32)
    drawn += np.arange(resamples, dtype=np.int32)[:, None] * documents
    return np.bincount(drawn.ravel(), minlength=resamples * documents).reshape(
        resamples, documents
    ).astype(np.float32)  # fmt: skip


def f1(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """F1 of counts whose last axis is gold, predicted, correct; 0 where nothing is correct."""
    return _ratio(2 * counts[..., _CORRECT], counts[..., _GOLD] + counts[..., _PREDICTED])


def macro_f1(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Mean F1 over the types (last axis but one) that have gold; 0 where none has."""
    there = counts[..., _GOLD] > 0
    return _ratio((f1(counts) * there).sum(axis=-1), there.sum(axis=-1))


def weighted_f1(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Mean F1 over types (last axis but one), weighted by their gold; 0 where there is none."""
    gold = counts[..., _GOLD]
    return _ratio((f1(counts) * gold).sum(axis=-1), gold.sum(axis=-1))


def intervals(
    counts: NDArray[np.int64], types: Sequence[str], weights: NDArray[np.float32]
) -> dict:
    """Intervals of the headline figures and of each type's F1.

    Args:
        counts: as of :func:`document_counts`.
        weights: as of :func:`draw`.
    """
    drawn = _resampled(counts, weights)
    together = drawn.sum(axis=1)
    return {
        "precision": Interval.of(_ratio(together[:, _CORRECT], together[:, _PREDICTED])),
        "recall": Interval.of(_ratio(together[:, _CORRECT], together[:, _GOLD])),
        "f1": Interval.of(f1(together)),
        "macro_f1": Interval.of(macro_f1(drawn)),
        "weighted_f1": Interval.of(weighted_f1(drawn)),
        "types": {type_: Interval.of(f1(drawn[:, at])) for at, type_ in enumerate(types)},
    }


def compare(
    system: Sequence[NDArray[np.int64]],
    other: Sequence[NDArray[np.int64]],
    weights: NDArray[np.float32],
    seed: int = 0,
) -> Difference:
    """Compare two systems on the same documents, by micro F1.

    Args:
        system, other: for each seed its counts, as of :func:`document_counts`, of the same
            documents in the same order; the systems need not have equally many seeds.
        weights: as of :func:`draw`.

    Returns:
        The difference of the mean F1 over seeds. Its p-value is that of the resampled differences,
        shifted to have the mean that the null hypothesis says, 0.
    """
    rng = np.random.default_rng(seed)
    difference = _mean_f1(system) - _mean_f1(other)
    resampled = _resampled_f1(system, weights, rng) - _resampled_f1(other, weights, rng)
    # the tolerance: equal systems have equal figures but for rounding
    as_large = np.abs(resampled - resampled.mean()) >= abs(difference) - 1e-9
    p = (1 + int(as_large.sum())) / (1 + len(resampled))
    deviation = float(resampled.std())
    return Difference(difference, Interval.of(resampled), p, _POWER * deviation)


def mean_interval(
    system: Sequence[NDArray[np.int64]], weights: NDArray[np.float32], seed: int = 0
) -> Interval:
    """Of a system's micro F1, the mean over its seeds; arguments as of :func:`compare`."""
    return Interval.of(_resampled_f1(system, weights, np.random.default_rng(seed)))


def _mean_f1(runs: Sequence[NDArray[np.int64]]) -> float:
    return float(np.mean([f1(counts.sum(axis=(0, 1))) for counts in runs]))


def _resampled_f1(
    runs: Sequence[NDArray[np.int64]], weights: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean F1 over seeds that are drawn, as the documents are, shape (resamples,)."""
    together = [counts.sum(axis=1).astype(np.float32) for counts in runs]
    by_seed = np.stack([f1(weights @ counts) for counts in together], axis=1)
    chosen = rng.integers(len(runs), size=by_seed.shape)
    return np.take_along_axis(by_seed, chosen, axis=1).mean(axis=1)


def smallest_difference(counts: NDArray[np.int64], weights: NDArray[np.float32]) -> float:
    """What an independent system of the same kind would have to be better by to show it.

    Two systems on the same documents err alike on many of them; the difference that a paired test
    can show is smaller, and told by :func:`compare`. This is the bound without a second system.
    """
    deviation = float(f1(_resampled(counts, weights).sum(axis=1)).std())
    return _POWER * math.sqrt(2) * deviation


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction (1979) for asking several questions at once, in the order given."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    corrected, largest = {}, 0.0
    for rank, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, p * (len(ordered) - rank)))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def _resampled(counts: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Counts of each resample, shape (resamples, types, 3); exact up to 2 ** 24."""
    flat = counts.reshape(len(counts), -1).astype(np.float32)
    return (weights @ flat).reshape(len(weights), *counts.shape[1:])


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
