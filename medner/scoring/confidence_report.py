"""How far a model's confidences can be relied on, before its temperature and after."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medner.scoring.calibration import calibration, kept_at, risk_coverage
from medner.scoring.confidence import DEFAULT, Outcomes, confidences, token_confidences
from medner.scoring.temperature import FEWEST, Calibrator
from medner.tables import aligned


def describe_confidence(
    found: Outcomes, fitted: Calibrator | None = None, name: str | None = None
) -> dict[str, Any]:
    """For JSON: calibration of spans, and of their tokens, before the temperature and after.

    Without a calibrator, or if spans lack tokens, there is only before, and none of either if a
    span has no confidence. ``risk_coverage`` has the spans' curves by stage; ``thresholds`` are the
    calibrator's, with what they give here. ``name`` is one of ``CONFIDENCES``, by default the
    calibrator's, which serves no other.
    """
    said = found.evidence
    name = name or (fitted.confidence if fitted else DEFAULT)
    if fitted and fitted.confidence != name:
        fitted = None
    temperature = fitted.temperature if fitted and said.classes is not None else None
    before = confidences(said, name)
    lacking = int(np.isnan(before).sum())
    report: dict[str, Any] = {
        "confidence": name if said.classes is not None or not len(before) else "given",
        "temperature": temperature,
        "at_bound": temperature is not None and fitted.at_bound,
        "fitted_on": fitted.spans if fitted else None,
        "spans": {
            "count": len(before),
            "without_confidence": lacking,
            "without_tokens": said.without_tokens,
        },
        "tokens": {"count": len(found.token_correct)},
        "risk_coverage": {},
        "thresholds": [],
    }
    if lacking or not len(before):
        return report
    stages = {"before": 1.0} | ({"after": temperature} if temperature else {})
    for stage, degree in stages.items():
        values = confidences(said, name, degree)
        report["spans"][stage], report["risk_coverage"][stage] = _measured(found.correct, values)
        if said.classes is not None:
            tokens = token_confidences(said, degree)
            report["tokens"][stage], _ = _measured(found.token_correct, tokens)
    # thresholds of confidences after a temperature mean nothing without it
    if fitted and temperature == fitted.temperature:
        report["thresholds"] = [
            _at_threshold(found, values, wanted, threshold)
            for wanted, threshold in fitted.thresholds.items()
        ]
    return report


def _measured(correct: NDArray[np.bool_], values: NDArray[np.float64]) -> tuple[dict, dict]:
    """Calibration in figures, and the risk-coverage curve."""
    curve = risk_coverage(correct, values)
    return calibration(correct, values).to_dict() | {"aurc": curve.aurc}, curve.to_dict()


def _at_threshold(
    found: Outcomes, values: NDArray[np.float64], wanted: float, threshold: float | None
) -> dict[str, Any]:
    record = {"wanted_precision": wanted, "threshold": threshold}
    if threshold is None:
        return record
    kept = kept_at(found.correct, values, threshold, found.gold)
    return record | kept.to_dict() | {"coverage": kept.predicted / len(values)}


def confidence_lines(report: Mapping[str, Any]) -> list[str]:
    """The report for the log."""
    count, lacking = report["spans"]["count"], report["spans"]["without_confidence"]
    if not count:
        return ["confidence: no spans, so nothing to report"]
    if lacking:
        return [f"confidence: {lacking} of {count} spans have none, so nothing to report"]
    lines = [f"confidence ({report['confidence']}), {_temperature(report)}"]
    rows = [("", "count", "correct", "mean", "ECE (mass)", "ECE (width)", "Brier", "AURC")]
    names = ("accuracy", "confidence", "ece_mass", "ece_width", "brier", "aurc")
    for what in ("spans", "tokens"):
        for stage in ("before", "after"):
            if figures := report[what].get(stage):
                values = (f"{figures[name]:.3f}" for name in names)
                when = f", {stage}" if report["temperature"] else ""
                rows.append((f"{what}{when}", str(figures["count"]), *values))
    lines += aligned(rows).splitlines()
    for record in report["thresholds"]:
        lines.append(f"precision {record['wanted_precision']:g} on validation: {_kept(record)}")
    return lines


def _temperature(report: Mapping[str, Any]) -> str:
    temperature, spans = report["temperature"], report["spans"]
    if spans["without_tokens"]:
        missing = f"{spans['without_tokens']} of {spans['count']} spans"
        return (
            f"no temperature: {missing} do not say what their tokens say, as those of other "
            "systems and of older versions"
        )
    if report["fitted_on"] is None:
        return "no temperature: none was fitted"
    if temperature is None:
        return (
            f"no temperature: none could be fitted on {report['fitted_on']} validation spans: they "
            f"are fewer than {FEWEST}, all right, all wrong, or without what their tokens say"
        )
    fitted = f"temperature {temperature:.2f}, fitted on {report['fitted_on']} validation spans"
    return fitted + (": the end of its range, so do not rely on it" if report["at_bound"] else "")


def _kept(record: Mapping[str, Any]) -> str:
    if record["threshold"] is None:
        return f"no threshold reaches it with {FEWEST} spans"
    if not record["predicted"]:
        return f"from confidence {record['threshold']:.3f}, here no span"
    figures = (f"{name} {record[name]:.3f}" for name in ("precision", "recall", "coverage"))
    return f"from confidence {record['threshold']:.3f}, here {', '.join(figures)}"
