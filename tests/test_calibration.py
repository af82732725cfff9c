"""Calibration error, Brier score, risk and coverage: against loops, and as they must behave."""

import json
import random
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error

from medner.scoring.calibration import calibration, kept_at, risk_coverage, threshold_for
from medner.scoring.matching import Counts

# a few that come often, and any other
CONFIDENCE = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), st.floats(0, 1))
OUTCOMES = st.lists(st.tuples(st.booleans(), CONFIDENCE), min_size=1, max_size=60)


def sides(drawn):
    return [hit for hit, _ in drawn], [value for _, value in drawn]


def drawn_at_random(seed, number, digits=17):
    rng = random.Random(seed)
    values = [round(rng.random(), digits) for _ in range(number)]
    return [(rng.random() < value**2, value) for value in values]


def expected_error(bins):
    """From lists of (correct, confidence)."""
    total = sum(map(len, bins))
    return sum(
        abs(sum(hit for hit, _ in members) - sum(value for _, value in members)) / total
        for members in bins
    )


@pytest.mark.parametrize("bins", [1, 7, 10, 15])
def test_equal_width_is_that_of_torchmetrics_and_of_a_loop(bins):
    pairs = drawn_at_random(bins, 500)
    correct, confidence = sides(pairs)
    found = calibration(correct, confidence, bins)
    theirs = binary_calibration_error(
        torch.tensor(confidence, dtype=torch.float64), torch.tensor(correct).int(), n_bins=bins
    )
    assert found.ece_width == pytest.approx(float(theirs), abs=1e-9)
    by_width = defaultdict(list)
    for hit, value in pairs:
        by_width[int(value * bins)].append((hit, value))
    assert found.ece_width == pytest.approx(expected_error(list(by_width.values())))
    assert [bin_.count for bin_ in found.equal_width] == [
        len(by_width[number]) for number in sorted(by_width)
    ]


@pytest.mark.parametrize("number", [10, 100, 500, 993])
def test_equal_mass_is_that_of_a_loop(number):
    pairs = sorted(drawn_at_random(number, number), key=lambda pair: pair[1])
    found = calibration(*sides(pairs))
    assert {bin_.count for bin_ in found.equal_mass} <= {number // 10, -(-number // 10)}
    cuts = np.cumsum([0] + [bin_.count for bin_ in found.equal_mass])
    bins = [pairs[a:b] for a, b in pairwise(cuts)]
    assert len(bins) == 10 and cuts[-1] == number
    assert found.ece_mass == pytest.approx(expected_error(bins))
    for bin_, members in zip(found.equal_mass, bins, strict=True):
        assert bin_.confidence == pytest.approx(np.mean([value for _, value in members]))
        assert bin_.accuracy == pytest.approx(np.mean([hit for hit, _ in members]))


def test_equal_ones_share_a_bin():
    confidence = [0.2] * 3 + [0.5] * 14 + [0.8] * 3
    found = calibration([True] * 20, confidence, bins=4)
    # of 20, the middles are at 1.5, 10 and 18.5
    assert [(bin_.count, bin_.confidence) for bin_ in found.equal_mass] == [
        (3, pytest.approx(0.2)), (14, pytest.approx(0.5)), (3, pytest.approx(0.8)),
    ]  # fmt: skip
    assert found.ece_mass == pytest.approx((3 * 0.8 + 14 * 0.5 + 3 * 0.2) / 20)


def test_where_bins_of_equal_width_begin():
    found = calibration([True] * 6, [0.0, 0.1, 0.3, 0.7, 0.9999, 1.0])
    assert [bin_.count for bin_ in found.equal_width] == [1, 1, 1, 1, 2]
    assert [bin_.confidence for bin_ in found.equal_width[:4]] == [0.0, 0.1, 0.3, 0.7]


@given(OUTCOMES, st.randoms(), st.integers(1, 20))
def test_the_order_does_not_matter(pairs, rng, bins):
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    assert calibration(*sides(shuffled), bins) == calibration(*sides(pairs), bins)
    assert risk_coverage(*sides(shuffled)) == risk_coverage(*sides(pairs))
    assert threshold_for(*sides(shuffled), 0.7) == threshold_for(*sides(pairs), 0.7)


@given(OUTCOMES, st.integers(1, 20))
def test_calibration_in_its_bounds(pairs, bins):
    found = calibration(*sides(pairs), bins)
    gap = abs(found.accuracy - found.confidence)
    assert found.brier == pytest.approx(np.mean([(hit - value) ** 2 for hit, value in pairs]))
    for ece, reliability in (
        (found.ece_mass, found.equal_mass), (found.ece_width, found.equal_width),
    ):  # fmt: skip
        assert gap - 1e-9 <= ece <= 1
        # the mean square of differences is at least the square of the mean of absolute ones
        assert ece**2 <= found.brier + 1e-9
        assert len(reliability) <= bins
        assert sum(bin_.count for bin_ in reliability) == found.count == len(pairs)
        assert all(0 <= bin_.confidence <= 1 and 0 <= bin_.accuracy <= 1 for bin_ in reliability)
        assert sum(b.count * b.accuracy for b in reliability) == pytest.approx(
            sum(hit for hit, _ in pairs)
        )
    width = [int(bin_.confidence * bins + 1e-9) for bin_ in found.equal_width]
    assert len(set(width) - {bins}) >= len(width) - 1  # no two bins in one place
    means = [bin_.confidence for bin_ in found.equal_mass]
    assert means == sorted(means)


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(1, 5)), min_size=1, max_size=8))
def test_what_comes_true_as_often_as_said_has_no_error(levels):
    pairs = [
        (number < tenths, tenths / 10) for tenths, tens in levels for number in [*range(10)] * tens
    ]
    found = calibration(*sides(pairs))
    assert found.ece_mass == pytest.approx(0, abs=1e-12)
    assert found.ece_width == pytest.approx(0, abs=1e-12)


@given(OUTCOMES)
def test_the_brier_score_s_parts(pairs):
    """Reliability less resolution plus uncertainty (Murphy 1973), by confidence."""
    by_value = defaultdict(list)
    for hit, value in pairs:
        by_value[value].append(hit)
    rate = np.mean([hit for hit, _ in pairs])
    weights = {value: len(hits) / len(pairs) for value, hits in by_value.items()}
    reliability = sum(w * (v - np.mean(by_value[v])) ** 2 for v, w in weights.items())
    resolution = sum(w * (rate - np.mean(by_value[v])) ** 2 for v, w in weights.items())
    brier = calibration(*sides(pairs)).brier
    assert brier == pytest.approx(reliability - resolution + rate * (1 - rate), abs=1e-9)


def test_calibration_goes_into_json():
    record = json.loads(
        json.dumps(calibration(np.array([True, False]), np.array([1, 0.5])).to_dict())
    )
    assert record == {
        "count": 2,
        "confidence": 0.75,
        "accuracy": 0.5,
        "brier": 0.125,
        "equal_mass": [
            {"count": 1, "confidence": 0.5, "accuracy": 0.0},
            {"count": 1, "confidence": 1.0, "accuracy": 1.0},
        ],
        "equal_width": [
            {"count": 1, "confidence": 0.5, "accuracy": 0.0},
            {"count": 1, "confidence": 1.0, "accuracy": 1.0},
        ],
        "ece_mass": 0.25,
        "ece_width": 0.25,
    }


@given(OUTCOMES)
def test_risk_and_coverage_by_keeping_one_after_another(pairs):
    found = risk_coverage(*sides(pairs))
    assert list(found.thresholds) == sorted({value for _, value in pairs}, reverse=True)
    risks = {}
    for threshold, coverage, risk in zip(found.thresholds, found.coverage, found.risk, strict=True):
        kept = [hit for hit, value in pairs if value >= threshold]
        assert coverage == pytest.approx(len(kept) / len(pairs))
        assert risk == pytest.approx(1 - np.mean(kept), abs=1e-9)
        risks[threshold] = risk
    assert found.aurc == pytest.approx(np.mean([risks[value] for _, value in pairs]))
    assert found.coverage[-1] == 1


def test_the_area_is_least_if_what_is_wrong_is_least_sure():
    correct = [True] * 6 + [False] * 4
    confidence = [0.95 - 0.05 * number for number in range(10)]
    best = risk_coverage(correct, confidence).aurc
    assert best == pytest.approx((1 / 7 + 2 / 8 + 3 / 9 + 4 / 10) / 10)
    assert risk_coverage(correct, [0.5] * 10).aurc == pytest.approx(0.4)
    assert risk_coverage(correct, confidence[::-1]).aurc > 0.4


@pytest.mark.parametrize("number", [1, 2, 199, 200, 201, 20_000])
def test_a_file_has_few_points_of_the_curve(number):
    found = risk_coverage(*sides(drawn_at_random(number, number)))
    record = json.loads(json.dumps(found.to_dict()))
    points = list(zip(record["coverage"], record["thresholds"], record["risk"], strict=True))
    whole = list(zip(found.coverage, found.thresholds, found.risk, strict=True))
    assert set(points) <= set(whole)
    assert (points[0], points[-1]) == (whole[0], whole[-1])
    assert len(points) == number if number <= 200 else 195 <= len(points) <= 200
    assert points == sorted(points)
    assert max(np.diff([0.0, *record["coverage"]])) <= 1 / min(number, 100) + 1e-9
    assert record["aurc"] == found.aurc


@given(OUTCOMES, st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 1.0]), st.integers(1, 10))
def test_a_threshold_by_trying_them_all(pairs, precision, fewest):
    correct, confidence = sides(pairs)
    found = threshold_for(correct, confidence, precision, fewest)
    reaching = []
    for threshold in set(confidence):
        kept = [hit for hit, value in pairs if value >= threshold]
        if sum(kept) / len(kept) >= precision and len(kept) >= fewest:
            reaching.append(threshold)
    assert found == min(reaching, default=None)


def test_a_threshold_may_lie_below_others_that_fail():
    correct = [False, True, True, True, False]
    confidence = [0.9, 0.8, 0.7, 0.6, 0.5]
    assert threshold_for(correct, confidence, 0.75) == 0.6
    assert threshold_for(correct, confidence, 0.76) is None
    assert threshold_for([True] * 14 + [False] * 11, [0.5] * 25, 0.56) == 0.5  # exactly
    assert kept_at(correct, confidence, 0.6, gold=12) == Counts(gold=12, predicted=4, correct=3)


@pytest.mark.parametrize("measure", [calibration, risk_coverage])
@pytest.mark.parametrize("confidence", [[], [float("nan")], [1.01], [-0.1]])
def test_nothing_to_measure_is_an_error(measure, confidence):
    with pytest.raises(ValueError, match="confidences are needed"):
        measure([True] * len(confidence), confidence)
    with pytest.raises(ValueError, match="confidences are needed"):
        threshold_for([True] * len(confidence), confidence, 0.9)
