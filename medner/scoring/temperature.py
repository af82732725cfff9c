"""A temperature, and thresholds after it, fitted on validation and kept with the run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medner.errors import ConfigError, UserError
from medner.predictions import Prediction
from medner.scoring.calibration import threshold_for
from medner.scoring.confidence import (
    CONFIDENCES,
    DEFAULT,
    Evidence,
    Outcomes,
    confidences,
    evidence,
)

LOWEST, HIGHEST = 0.1, 10.0  # temperatures that are searched
FEWEST = 30  # spans to fit a temperature or a threshold on
PRECISIONS = (0.8, 0.9, 0.95)
_STEPS = 16  # of the search's first pass over the range
_PRECISE = 1e-4  # relative error of a temperature
_CERTAIN = 1e-12  # how near to 0 and 1 the log loss lets a confidence come


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A run's ``calibration.json``.

    ``confidence`` is a name of ``CONFIDENCES``, ``spans`` the number of validation spans that it
    was fitted on, ``temperature`` None if they were not enough. ``thresholds``: by precision, the
    confidence, after the temperature, that spans must reach to have it; None if no 30 spans do.
    Raises ConfigError on another name.
    """

    confidence: str
    temperature: float | None
    spans: int
    thresholds: Mapping[float, float | None]

    def __post_init__(self) -> None:
        if self.confidence not in CONFIDENCES:
            raise ConfigError(
                f"there is no confidence {self.confidence!r}; it is one of {', '.join(CONFIDENCES)}"
            )

    @property
    def at_bound(self) -> bool:
        """Whether the best temperature lies at the end of the range that is searched, or beyond."""
        if self.temperature is None:
            return False
        return not LOWEST * (1 + _PRECISE) < self.temperature < HIGHEST * (1 - _PRECISE)

    def confidences(self, said: Evidence) -> NDArray[np.float64]:
        """Of spans, after the temperature; those given if spans lack tokens. Shape (spans,)."""
        return confidences(said, self.confidence, self.temperature or 1.0)

    def apply(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """The predictions with these confidences; nothing else changes."""
        said = evidence(predictions)
        if said.classes is None:
            return list(predictions)
        values = iter(self.confidences(said).tolist())
        return [
            replace(
                prediction,
                spans=tuple(replace(span, confidence=next(values)) for span in prediction.spans),
            )
            for prediction in predictions
        ]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "confidence": self.confidence,
            "temperature": self.temperature,
            "spans": self.spans,
            "thresholds": {str(wanted): value for wanted, value in self.thresholds.items()},
        }

    @classmethod
    def from_dict(cls, record: object) -> "Calibrator":
        """What ``to_dict`` gave. Raises UserError that says what is wrong with it."""
        fields = {"confidence", "temperature", "spans", "thresholds"}
        if not isinstance(record, dict) or set(record) != fields:
            raise _unreadable(f"it must have {', '.join(sorted(fields))}, and no more")
        if record["confidence"] not in list(CONFIDENCES):  # which needs no hash
            raise _unreadable(f"there is no confidence {record['confidence']!r}")
        temperature, spans, thresholds = (record[n] for n in ("temperature", "spans", "thresholds"))
        if temperature is not None and not _number(temperature, LOWEST, HIGHEST):
            raise _unreadable(f"temperature is {temperature!r}, not in [{LOWEST}, {HIGHEST}]")
        if type(spans) is not int or spans < 0:
            raise _unreadable(f"spans is {spans!r}, not a number of spans")
        if not isinstance(thresholds, dict):
            raise _unreadable(f"thresholds is {thresholds!r}, not thresholds by precision")
        read = {}
        for wanted, value in thresholds.items():
            try:
                precision = float(wanted)
            except (TypeError, ValueError):
                precision = math.nan
            if not (0 < precision <= 1 and (value is None or _number(value, 0, 1))):
                raise _unreadable(f"thresholds has {value!r} for precision {wanted!r}")
            read[precision] = value
        return cls(record["confidence"], temperature, spans, read)


def fit(validation: Outcomes, name: str = DEFAULT) -> Calibrator:
    """Temperature, and thresholds after it. Raises ConfigError if there is no such confidence."""
    spans = len(validation.correct)
    untempered = Calibrator(name, None, spans, {})
    fitted = replace(untempered, temperature=fit_temperature(validation, name))
    values = fitted.confidences(validation.evidence)
    known = spans and not np.isnan(values).any()
    thresholds = {
        wanted: threshold_for(validation.correct, values, wanted, FEWEST) if known else None
        for wanted in PRECISIONS
    }
    return replace(fitted, thresholds=thresholds)


def fit_temperature(validation: Outcomes, name: str = DEFAULT) -> float | None:
    """The temperature, from 0.1 to 10, with the least log loss of 'the span is strictly correct'.

    What is fitted is what is reported: not whether tokens' tags are right, but whether spans are.
    None if there are fewer than 30 spans, all of them right or all wrong, or some without tokens.
    """
    correct = validation.correct
    if validation.evidence.classes is None or len(correct) < FEWEST:
        return None
    if correct.all() or not correct.any():
        return None

    def loss(log_temperature: float) -> float:
        values = confidences(validation.evidence, name, math.exp(log_temperature))
        values = np.clip(np.where(correct, values, 1 - values), _CERTAIN, None)
        return -float(np.log(values).mean())

    # the loss may have several valleys: find the lowest on a grid, then its lowest point
    grid = np.linspace(math.log(LOWEST), math.log(HIGHEST), _STEPS + 1)
    lowest = int(np.argmin([loss(point) for point in grid]))
    low, high = grid[max(lowest - 1, 0)], grid[min(lowest + 1, _STEPS)]
    found = min(_golden_section(loss, low, high), low, high, key=loss)
    return min(max(math.exp(found), LOWEST), HIGHEST)


def _golden_section(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley between the two is lowest (Kiefer 1953)."""
    share = (math.sqrt(5) - 1) / 2
    left, right = high - share * (high - low), low + share * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > _PRECISE:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - share * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + share * (high - low)
            at_right = function(right)
    return (low + high) / 2


def _number(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high


def _unreadable(problem: str) -> UserError:
    return UserError(f"calibration.json: {problem}; fit it anew")
