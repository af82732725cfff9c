"""The temperature that is found, what it leaves alone, and its file."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelled import model_of_letters, model_too_sure_by

from medner.errors import ConfigError, UserError
from medner.predictions import Prediction, Span
from medner.scoring.calibration import calibration, threshold_for
from medner.scoring.confidence import CONFIDENCES, Outcomes, confidences, evidence, outcomes
from medner.scoring.temperature import Calibrator, fit, fit_temperature

GOOD = Calibrator("minimum", 1.65, 2410, {0.8: 0.683, 0.9: 0.797, 0.95: None})


def log_loss(found: Outcomes, name: str, temperature: float) -> float:
    values = confidences(found.evidence, name, temperature)
    return -sum(
        math.log(max(value if hit else 1 - value, 1e-12))
        for hit, value in zip(found.correct, values, strict=True)
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.65, 4.0])
def test_the_temperature_of_a_model_too_sure_is_found(temperature):
    found = outcomes(*model_too_sure_by(temperature, seed=1, tokens=8000))
    assert len(found.correct) > 5000
    fitted = fit(found)
    assert fitted.temperature == pytest.approx(temperature, rel=0.06)
    # and so, on other documents, confidence is accuracy
    other = outcomes(*model_too_sure_by(temperature, seed=2, tokens=8000))
    assert calibration(other.correct, fitted.confidences(other.evidence)).ece_mass < 0.025
    if temperature in (0.5, 4.0):
        assert calibration(other.correct, confidences(other.evidence)).ece_mass > 0.1


@pytest.mark.parametrize("name", CONFIDENCES)
@pytest.mark.parametrize("seed", range(3))
def test_no_other_temperature_has_less_loss(name, seed):
    documents, predictions, _ = model_of_letters(seed, types=3)
    found = outcomes(documents, predictions)
    best = fit_temperature(found, name)
    tried = [log_loss(found, name, degree) for degree in np.geomspace(0.1, 10, 301)]
    assert log_loss(found, name, best) <= min(tried) + 1e-5 * abs(min(tried))


@pytest.mark.parametrize(("too_sure", "highest"), [(40, 0.15), (60, 10.0)])
def test_the_lowest_of_several_valleys_is_found(too_sure, highest):
    """Of 1000 spans most are right and less sure than they could be, and some, sure, half wrong."""
    odds = np.where(np.arange(1000) < too_sure, 9.0, 0.4)
    rows = np.stack([-np.log1p(np.exp(-odds)), -np.log1p(np.exp(odds))])
    correct = (np.arange(1000) >= too_sure) | (np.arange(1000) % 2 > 0)
    said = replace(evidence([]), log_probs=rows, first=np.arange(1000), classes=2)
    found = Outcomes(said, correct, correct, 1000)
    tried = [log_loss(found, "first", degree) for degree in np.geomspace(0.1, 10, 101)]
    lower = np.diff(tried) < 0
    assert not lower[0] and lower[50:].any()  # two valleys
    best = fit_temperature(found)
    assert log_loss(found, "first", best) <= min(tried) * (1 + 1e-6)
    assert best < highest and (best > 1) == (highest > 1)


@pytest.mark.parametrize(("wrong", "bound"), [(0, 0.1), (0.5, 10.0)])
def test_the_end_of_the_range_is_told(wrong, bound):
    """Spans sure by 0.6 of which one is wrong, and spans sure by 0.999 of which half are."""
    number = 20_000
    sure = 0.6 if wrong == 0 else 0.999
    rows = np.tile(np.log([[sure], [1 - sure]]), number)
    correct = np.arange(number) >= max(wrong * number, 1)
    said = replace(evidence([]), log_probs=rows, first=np.arange(number), classes=2)
    fitted = fit(Outcomes(said, correct, correct, number))
    assert fitted.temperature == pytest.approx(bound, rel=1e-12) and fitted.at_bound
    assert not GOOD.at_bound and not replace(GOOD, temperature=None).at_bound


def test_too_little_to_fit_a_temperature_on():
    documents, predictions, _ = model_of_letters(1)
    enough = outcomes(documents, predictions)
    assert fit_temperature(enough) is not None
    few = outcomes(documents[:1], predictions[:1])
    assert 0 < len(few.correct) < 30
    all_right = replace(enough, correct=np.ones_like(enough.correct))
    all_wrong = replace(enough, correct=np.zeros_like(enough.correct))
    none = outcomes(documents, [])
    bare = [
        replace(p, spans=tuple(replace(s, tokens=(), log_probs=()) for s in p.spans))
        for p in predictions
    ]
    unsaid = [replace(p, spans=tuple(replace(s, confidence=None) for s in p.spans)) for p in bare]
    for found in (few, all_right, all_wrong, none, outcomes(documents, bare)):
        fitted = fit(found)
        assert fitted.temperature is None and not fitted.at_bound
        assert fitted.spans == len(found.correct)
    for found in (few, none, all_wrong, outcomes(documents, unsaid)):
        assert fit(found).thresholds == {0.8: None, 0.9: None, 0.95: None}
    given_ones = [span.confidence for p in bare for span in p.spans]
    wanted = threshold_for(enough.correct, given_ones, 0.8, 30)
    assert fit(outcomes(documents, bare)).thresholds[0.8] == wanted is not None


@pytest.mark.parametrize("name", CONFIDENCES)
def test_thresholds_are_of_confidences_after_the_temperature(name):
    found = outcomes(*model_too_sure_by(2.0, seed=3, tokens=2000))
    fitted = fit(found, name)
    values = confidences(found.evidence, name, fitted.temperature)
    assert set(fitted.thresholds) == {0.8, 0.9, 0.95}
    reached = [t for t in fitted.thresholds.values() if t is not None]
    assert reached and reached == sorted(reached)
    for wanted, threshold in fitted.thresholds.items():
        assert threshold == threshold_for(found.correct, values, wanted, fewest=30)
        if threshold is not None:
            kept = found.correct[values >= threshold]
            assert kept.mean() >= wanted and len(kept) >= 30


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.sampled_from(sorted(CONFIDENCES)))
@settings(max_examples=25, deadline=None)
def test_spans_do_not_move(seed, temperature, name):
    _, predictions, _ = model_of_letters(seed, types=seed % 5 + 1, documents=3)
    predictions.insert(1, Prediction("without spans"))
    calibrated = Calibrator(name, temperature, 100, {}).apply(predictions)
    assert len(calibrated) == len(predictions)
    for before, after in zip(predictions, calibrated, strict=True):
        given_ones = [span.confidence for span in before.spans]
        untouched = [
            replace(span, confidence=value)
            for span, value in zip(after.spans, given_ones, strict=True)
        ]
        assert replace(after, spans=tuple(untouched)) == before
    said = evidence(predictions)
    assert [span.confidence for p in calibrated for span in p.spans] == (
        confidences(said, name, temperature).tolist()
    )
    # what tokens say stays raw, so that twice is once
    assert Calibrator(name, temperature, 100, {}).apply(calibrated) == calibrated


def test_predictions_without_tokens_stay_as_they_are():
    predictions = [Prediction("d", (Span(0, 1, "Age"), Span(2, 3, "Age", 0.5)))]
    assert GOOD.apply(predictions) == predictions


def test_what_is_stored_is_read():
    for calibrator in (GOOD, replace(GOOD, temperature=None, thresholds={}, spans=0)):
        stored = json.loads(json.dumps(calibrator.to_dict()))
        assert Calibrator.from_dict(stored) == calibrator
    assert json.loads(json.dumps(GOOD.to_dict())) == {
        "confidence": "minimum",
        "temperature": 1.65,
        "spans": 2410,
        "thresholds": {"0.8": 0.683, "0.9": 0.797, "0.95": None},
    }
    fitted = fit(outcomes(*model_too_sure_by(2.0, seed=4, tokens=400)))
    assert Calibrator.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": "mean"}, "no confidence 'mean'"),
        ({"confidence": ["first"]}, "no confidence"),
        ({"temperature": 0}, "temperature is 0, not in"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": True}, "temperature is True"),
        ({"temperature": "1.5"}, "temperature is '1.5'"),
        ({"spans": -1}, "spans is -1"),
        ({"spans": 3.5}, "spans is 3.5"),
        ({"thresholds": None}, "thresholds is None"),
        ({"thresholds": {"high": 0.5}}, "for precision 'high'"),
        ({"thresholds": {"1.5": 0.5}}, "for precision '1.5'"),
        ({"thresholds": {"nan": 0.5}}, "for precision 'nan'"),
        ({"thresholds": {"0.9": 2}}, "has 2 for precision '0.9'"),
        ({"more": 1}, "and no more"),
    ],
)
def test_a_bad_file_is_one_line(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        Calibrator.from_dict(GOOD.to_dict() | changes)
    assert str(caught.value).startswith("calibration.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("record", [None, [], "x", {}, {"temperature": 1.0}])
def test_what_is_no_calibration_at_all_is_one_line(record):
    with pytest.raises(UserError, match="it must have confidence, spans, temperature, thresholds"):
        Calibrator.from_dict(record)


def test_an_unknown_confidence_is_told_with_those_there_are():
    documents, predictions, _ = model_of_letters(1)
    with pytest.raises(ConfigError, match="no confidence 'mean'; it is one of geometric_mean, "):
        fit(outcomes(documents, predictions), "mean")
