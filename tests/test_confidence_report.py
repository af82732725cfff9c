"""What is reported of confidences, before the temperature and after."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from modelled import log_softmax, model_of_letters, model_too_sure_by

from medner.decoding import LIKELIEST
from medner.documents import Document, Entity
from medner.predictions import Prediction, Span, Tokens
from medner.scoring.calibration import calibration, risk_coverage
from medner.scoring.confidence import confidences, outcomes, token_confidences
from medner.scoring.confidence_report import confidence_lines, describe_confidence
from medner.scoring.temperature import Calibrator, fit


@pytest.fixture(scope="module")
def fitted():
    return fit(outcomes(*model_too_sure_by(2.0, seed=1, tokens=3000)))


@pytest.fixture(scope="module")
def found():
    return outcomes(*model_too_sure_by(2.0, seed=2, tokens=3000))


def without_tokens(predictions, confidence=True):
    changes = {"tokens": (), "log_probs": ()} | ({} if confidence else {"confidence": None})
    return [
        replace(p, spans=tuple(replace(span, **changes) for span in p.spans)) for p in predictions
    ]


def test_before_and_after_of_spans_and_tokens(fitted, found):
    report = describe_confidence(found, fitted)
    assert json.loads(json.dumps(report)) == report
    said = found.evidence
    for stage, degree in (("before", 1.0), ("after", fitted.temperature)):
        for what, correct, values in (
            ("spans", found.correct, confidences(said, temperature=degree)),
            ("tokens", found.token_correct, token_confidences(said, degree)),
        ):
            aurc = risk_coverage(correct, values).aurc
            wanted = calibration(correct, values).to_dict() | {"aurc": aurc}
            assert report[what][stage] == json.loads(json.dumps(wanted))
    assert report["spans"]["after"]["ece_mass"] < 0.03 < report["spans"]["before"]["ece_mass"]
    assert report["spans"]["after"]["brier"] < report["spans"]["before"]["brier"]
    for stage in ("before", "after"):
        assert report["risk_coverage"][stage]["aurc"] == report["spans"][stage]["aurc"]
    assert report["temperature"] == fitted.temperature
    assert report["fitted_on"] == fitted.spans


def test_thresholds_say_what_they_give_here(fitted, found):
    values = fitted.confidences(found.evidence)
    for record in describe_confidence(found, fitted)["thresholds"]:
        threshold = fitted.thresholds[record["wanted_precision"]]
        kept = found.correct[values >= threshold]
        assert record["threshold"] == threshold
        assert record["precision"] == pytest.approx(kept.mean())
        assert record["coverage"] == pytest.approx(len(kept) / len(values))
        assert record["recall"] == pytest.approx(kept.sum() / found.gold)
        # as wanted, as far as that many spans can tell
        margin = 3 * np.sqrt(record["wanted_precision"] * 0.2 / len(kept))
        assert record["precision"] == pytest.approx(record["wanted_precision"], abs=margin)


def test_the_lines_are_for_the_eye(fitted, found):
    lines = confidence_lines(describe_confidence(found, fitted))
    assert lines[0].startswith("confidence (geometric_mean), temperature 1.98, ")
    assert lines[0].endswith(f"fitted on {fitted.spans} validation spans")
    assert lines[1].split()[-1] == "AURC" and "ECE (mass)" in lines[1]
    assert [line.split("  ")[0] for line in lines[2:6]] == [
        "spans, before", "spans, after", "tokens, before", "tokens, after",
    ]  # fmt: skip
    assert len({len(line) for line in lines[2:6]}) == 1
    assert lines[6].startswith("precision 0.8 on validation: from confidence 0.")
    assert len(lines) == 9

    at_bound = replace(fitted, temperature=10.0, thresholds={0.9: None, 0.95: 1.0})
    lines = confidence_lines(describe_confidence(found, at_bound))
    assert lines[0].endswith("the end of its range, so do not rely on it")
    assert lines[6] == "precision 0.9 on validation: no threshold reaches it with 30 spans"
    assert lines[7] == "precision 0.95 on validation: from confidence 1.000, here no span"


def test_without_a_temperature_there_is_only_before(found):
    alone = describe_confidence(found)
    assert "after" not in alone["spans"] and "after" not in alone["tokens"]
    assert alone["thresholds"] == []
    assert list(alone["risk_coverage"]) == ["before"]
    assert alone["risk_coverage"]["before"]["aurc"] == alone["spans"]["before"]["aurc"]
    lines = confidence_lines(alone)
    assert lines[0] == "confidence (geometric_mean), no temperature: none was fitted"
    assert len(lines) == 4

    few = Calibrator("minimum", None, 12, {0.9: 0.5})
    longer = outcomes(*model_of_letters(3)[:2])
    report = describe_confidence(longer, few)
    means = {name: confidences(longer.evidence, name).mean() for name in ("minimum", "product")}
    assert means["minimum"] - means["product"] > 0.01
    assert report["spans"]["before"]["confidence"] == pytest.approx(means["minimum"])
    assert [record["threshold"] for record in report["thresholds"]] == [0.5]
    assert (
        "none could be fitted on 12 validation spans: they are fewer than 30"
        in confidence_lines(report)[0]
    )


def test_another_system_s_confidences_are_reported_as_given(fitted):
    documents, predictions, _ = model_of_letters(3)
    given_ones = [span.confidence for p in predictions for span in p.spans]
    bare = outcomes(documents, without_tokens(predictions))
    report = describe_confidence(bare, fitted)
    assert (report["confidence"], report["temperature"]) == ("given", None)
    assert list(report["tokens"]) == ["count"] and "after" not in report["spans"]
    assert report["spans"]["before"]["confidence"] == pytest.approx(np.mean(given_ones))
    assert report["thresholds"] == []  # they are of confidences after the temperature
    number = len(given_ones)
    assert confidence_lines(report)[0] == (
        f"confidence (given), no temperature: {number} of {number} spans do not say what their "
        "tokens say, as those of other systems and of older versions"
    )
    assert len(confidence_lines(report)) == 3


def test_some_spans_without_confidence_leave_nothing_to_report(fitted):
    documents, predictions, _ = model_of_letters(3)
    half = without_tokens(predictions[:1], confidence=False) + without_tokens(predictions[1:])
    found = outcomes(documents, half)
    lacking, number = len(half[0].spans), len(found.correct)
    for calibrator in (None, fitted):
        report = describe_confidence(found, calibrator)
        assert json.loads(json.dumps(report)) == report
        assert report["spans"] == {
            "count": number, "without_confidence": lacking, "without_tokens": number,
        }  # fmt: skip
        assert (report["risk_coverage"], report["thresholds"]) == ({}, [])
        assert confidence_lines(report) == [
            f"confidence: {lacking} of {number} spans have none, so nothing to report"
        ]


def test_no_spans_at_all(fitted):
    documents, _, _ = model_of_letters(3)
    for predictions in ([], [Prediction(document.id) for document in documents]):
        found = outcomes(documents, predictions)
        for calibrator in (None, fitted, fit(found)):
            report = describe_confidence(found, calibrator)
            assert confidence_lines(report) == ["confidence: no spans, so nothing to report"]


def test_it_is_fast():
    """20,000 spans of 3 tokens each, in 200 documents."""
    rng = np.random.default_rng(0)
    documents, predictions = [], []
    words = tuple((2 * at, 2 * at + 1) for at in range(300))
    tokens = Tokens(words, ("O",) * 300, (0.5,) * 300, classes=83)
    for number in range(200):
        log_probs = np.sort(log_softmax(rng.normal(size=(300, LIKELIEST + 2)) * 2))[:, ::-1]
        rows = tuple(map(tuple, log_probs.tolist()))
        spans = [
            Span(
                2 * at, 2 * at + 5, f"T{at % 41}", 0.5, (), (at, at + 1, at + 2), rows[at : at + 3]
            )
            for at in range(0, 300, 3)
        ]
        right = [span for span in spans if rng.random() < 0.6]
        entities = tuple(Entity(((span.start, span.end),), span.type) for span in right)
        documents.append(Document(str(number), "x " * 300, entities))
        predictions.append(Prediction(str(number), tuple(spans), tokens))
    times = []
    for _ in range(3):
        begin = time.process_time()
        found = outcomes(documents, predictions)
        confidence_lines(describe_confidence(found, fit(found)))
        times.append(time.process_time() - begin)
    assert found.correct.sum() == found.gold and len(found.token_correct) == 60_000
    assert min(times) < 1


def test_another_confidence_than_the_calibrator_s_has_no_temperature(found, fitted):
    report = describe_confidence(found, fitted, "minimum")
    assert (report["confidence"], report["temperature"]) == ("minimum", None)
    assert report["spans"]["before"]["confidence"] == pytest.approx(
        confidences(found.evidence, "minimum").mean()
    )
    assert describe_confidence(found, fitted, fitted.confidence) == describe_confidence(
        found, fitted
    )
