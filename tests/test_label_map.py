import json
import random
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from real_data import CORPORA, NO_CORPORA

from medner.documents import Document
from medner.errors import ConfigError, UserError
from medner.predictions import Prediction, Span, Tokens
from medner.scoring.label_map import LabelMap, map_predictions

FOLDER = Path(__file__).parent.parent / "conf" / "eval_dataset" / "label_map"
NAMES = ("disease_disorder", "disease_and_sign", "disease_joined")
JOINED = ("Detailed_description", "Biological_structure", "Severity")
SMALL = {
    "name": "small",
    "types": {"Disease": ["Disorder", "Sign"], "Chemical": ["Medication"]},
    "left_out": ["Severity", "Structure", "Age"],
    "join_preceding": {"Disease": ["Severity", "Structure"]},
}
LABELS = ("Disorder", "Sign", "Medication", "Severity", "Structure", "Age")


def shipped(name):
    return LabelMap.from_config(OmegaConf.load(FOLDER / f"{name}.yaml"))


def small(**changes):
    config = {**SMALL, **changes}
    return LabelMap.from_config({key: value for key, value in config.items() if value != "absent"})


def spans_of(text, *marked):
    """Spans of ``(words, type[, confidence])``, looked up in the text from left to right."""
    spans, at = [], 0
    for words, name, *confidence in marked:
        at = text.index(words, at)
        spans.append(Span(at, at + len(words), name, *(confidence or [0.5])))
        at += len(words)
    return tuple(spans)


def applied(text, *marked, label_map=None):
    prediction = Prediction("d", spans_of(text, *marked))
    result = (label_map or small()).apply(prediction, text)
    return [(text[span.start : span.end], span.type) for span in result.spans]


@pytest.fixture(scope="module")
def corpora():
    if not CORPORA:
        pytest.skip(NO_CORPORA)
    return Path(CORPORA)


@pytest.fixture(scope="module")
def maccrobat(corpora):
    """(text, gold spans of one fragment) of each report."""
    reports = []
    for path in sorted((corpora / "maccrobat2020").glob("*.ann")):
        rows = re.findall(r"^T\d+\t(\S+) ([\d; ]+)\t", path.read_text("utf-8"), re.MULTILINE)
        flat = sorted(
            (*map(int, offsets.split()), name) for name, offsets in rows if ";" not in offsets
        )
        all_types = {name for name, _ in rows}
        reports.append((path.with_suffix(".txt").read_bytes().decode(), flat, all_types))
    return reports


@pytest.mark.parametrize("name", NAMES)
def test_shipped_maps_name_the_types_of_maccrobat(name, maccrobat):
    label_map = shipped(name)
    assert label_map.name == name
    assert set(label_map.types) == {"Disease", "Chemical"}
    label_map.check(set().union(*(types for _, _, types in maccrobat)))
    assert len(label_map.named) == 41


def test_the_other_shipped_map_is_for_bc5cdrs_own_types():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*NAMES, "disease_and_chemical"}
    shipped("disease_and_chemical").check(["Chemical", "Disease"])


def test_shipped_maps_differ_as_they_say():
    plain, sign, joined = map(shipped, NAMES)
    assert plain.types == {"Disease": ("Disease_disorder",), "Chemical": ("Medication",)}
    assert sign.types["Disease"] == ("Disease_disorder", "Sign_symptom")
    assert joined.types == plain.types
    assert plain.join_preceding == sign.join_preceding == {}
    assert joined.join_preceding == {"Disease": JOINED}


def test_types_are_mapped_and_the_rest_left_out():
    text = "A 60-year-old on aspirin had a cough and gout."
    marked = [
        ("60-year-old", "Age"),
        ("aspirin", "Medication"),
        ("cough", "Sign"),
        ("gout", "Disorder"),
    ]
    assert applied(text, *marked) == [
        ("aspirin", "Chemical"),
        ("cough", "Disease"),
        ("gout", "Disease"),
    ]


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("severe cough", [("severe", "Severity"), ("cough", "Sign")], ["severe cough"]),
        (
            "severe\n \u2005cough",
            [("severe", "Severity"), ("cough", "Sign")],
            ["severe\n \u2005cough"],
        ),
        (
            "cardio-myopathy",
            [("cardio-", "Structure"), ("myopathy", "Disorder")],
            ["cardio-myopathy"],
        ),
        # a chain, whatever the order of its types
        (
            "severe left lung oedema",
            [("severe", "Severity"), ("left lung", "Structure"), ("oedema", "Disorder")],
            ["severe left lung oedema"],
        ),
        (
            "left lung severe oedema",
            [("left lung", "Structure"), ("severe", "Severity"), ("oedema", "Disorder")],
            ["left lung severe oedema"],
        ),
        # broken by words, by punctuation, by a type that is not joined, by a disease
        ("severe and cough", [("severe", "Severity"), ("cough", "Sign")], ["cough"]),
        ("severe, cough", [("severe", "Severity"), ("cough", "Sign")], ["cough"]),
        (
            "severe, lung oedema",
            [("severe", "Severity"), ("lung", "Structure"), ("oedema", "Disorder")],
            ["lung oedema"],
        ),
        (
            "severe 60-year-old cough",
            [("severe", "Severity"), ("60-year-old", "Age"), ("cough", "Sign")],
            ["cough"],
        ),
        (
            "severe oedema cough",
            [("severe", "Severity"), ("oedema", "Disorder"), ("cough", "Sign")],
            ["severe oedema", "cough"],
        ),
        # after the disease, before another type, and alone
        ("cough severe", [("cough", "Sign"), ("severe", "Severity")], ["cough"]),
        (
            "severe aspirin cough",
            [("severe", "Severity"), ("aspirin", "Medication"), ("cough", "Sign")],
            ["aspirin", "cough"],
        ),
        ("severe", [("severe", "Severity")], []),
        # a span is joined once
        (
            "lung oedema lung oedema",
            [
                ("lung", "Structure"),
                ("oedema", "Disorder"),
                ("lung", "Structure"),
                ("oedema", "Disorder"),
            ],
            ["lung oedema", "lung oedema"],
        ),
    ],
)
def test_directly_preceding_spans_are_joined(text, marked, expected):
    assert [words for words, _ in applied(text, *marked)] == expected


def test_without_join_preceding_nothing_is_joined():
    marked = [("severe", "Severity"), ("cough", "Sign")]
    plain = small(join_preceding="absent")
    assert applied("severe cough", *marked, label_map=plain) == [("cough", "Disease")]


def test_the_confidence_of_a_joined_span_is_the_geometric_mean():
    text = "severe lung oedema, cough"
    spans = spans_of(
        text,
        ("severe", "Severity", 0.2),
        ("lung", "Structure", 0.5),
        ("oedema", "Disorder", 0.8),
        ("cough", "Sign", 0.37),
    )
    joined, single = small().apply(Prediction("d", spans), text).spans
    assert joined.confidence == pytest.approx(0.08 ** (1 / 3))
    assert single.confidence == 0.37


def test_tokens_stay_in_the_types_of_the_model():
    tokens = Tokens(((0, 5),), ("B-Sign",), (0.5,))
    prediction = Prediction("d", (Span(0, 5, "Sign", 0.5),), tokens)
    result = small().apply(prediction, "cough")
    assert (result.document, result.tokens) == ("d", tokens)


def test_a_type_that_the_map_does_not_name_is_refused():
    with pytest.raises(UserError, match=r"label map small: predicted, but neither .* 'Lab'"):
        applied("cough", ("cough", "Lab"))


def test_another_text_is_refused():
    with pytest.raises(UserError, match="document d: predictions end at 5, outside the text of 4"):
        small().apply(Prediction("d", (Span(0, 5, "Sign", 0.5),)), "coug")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([*LABELS, "Date", "Area"], "neither mapped nor left out: 'Area', 'Date'; name every"),
        (LABELS[:-1], "not types of the model: 'Age'; name every"),
        (
            ["Disorders", *LABELS[1:]],
            "not types of the model: 'Disorder' (did you mean 'Disorders'?); "
            "neither mapped nor left out: 'Disorders'; name every",
        ),
        (
            [*LABELS[:3], "severity", *LABELS[4:]],
            "not types of the model: 'Severity' (did you mean 'severity'?); neither",
        ),
    ],
)
def test_the_map_is_held_to_the_types_of_the_model(labels, message):
    with pytest.raises(ConfigError, match=re.escape(f"label map small: {message}")):
        small().check(labels)


def test_a_map_that_fits_passes():
    small().check(LABELS)
    small().check(set(LABELS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "absent"}, "label map (no name): lacks 'name'"),
        ({"left_out": None}, "label map small: lacks 'left_out'"),
        ({"typs": {}}, "unknown key 'typs' (did you mean 'types'?); the keys are join_preceding"),
        ({"types": ["Disease"]}, "types must give a list for each type of the corpus"),
        ({"types": {"Disease": "Disorder"}}, "types.Disease must be a list of type names"),
        ({"left_out": [True]}, "left_out must be a list of type names, not [True]"),
        ({"types": {"Disease": []}}, "Disease has no types"),
        ({"left_out": ["Severity", "Structure", "Severity"]}, "named twice: 'Severity'; map"),
        ({"left_out": ["Severity", "Structure", "Sign"]}, "named twice: 'Sign'; map"),
        ({"types": {"Disease": ["Sign"], "Chemical": ["Sign"]}}, "named twice: 'Sign'; map"),
        (
            {"join_preceding": {"Diseases": ["Severity"]}},
            "nothing is mapped to 'Diseases' (did you mean 'Disease'?) of join_preceding",
        ),
        (
            {"join_preceding": {"Disease": ["Sign"]}},
            "in join_preceding but not in left_out: 'Sign'; leave",
        ),
        (
            {"join_preceding": {"Disease": ["Severty"]}},
            "in join_preceding but not in left_out: 'Severty' (did you mean 'Severity'?); leave",
        ),
    ],
)
def test_a_bad_map_is_one_clear_error(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        small(**changes)


TEXT = "severe cough, lung gout, aspirin, severe"
MARKED = [
    ("severe", "Severity"),
    ("cough", "Sign"),
    ("lung", "Structure"),
    ("gout", "Disorder"),
    ("aspirin", "Medication"),
    ("severe", "Severity"),
]


def test_types_that_the_corpus_does_not_have_are_dropped_and_counted():
    documents = [Document("d", TEXT), Document("e", TEXT)]
    predictions = [Prediction("d", spans_of(TEXT, *MARKED)), Prediction("e")]
    mapped = map_predictions(small(), documents, predictions, {"Disease"})
    assert [TEXT[s.start : s.end] for s in mapped.predictions[0].spans] == [
        "severe cough",
        "lung gout",
    ]
    assert mapped.predictions[1] == Prediction("e")
    assert json.loads(json.dumps(mapped.to_dict())) == {
        "label_map": "small",
        "joined": {"Severity": 1, "Structure": 1},
        "left_out": {"Severity": 1},
        "not_in_corpus": {"Chemical": 1},
    }


def test_nothing_is_dropped_where_the_corpus_has_every_type():
    prediction = Prediction("d", spans_of(TEXT, *MARKED))
    mapped = map_predictions(small(), [Document("d", TEXT)], [prediction], ["Chemical", "Disease"])
    assert mapped.predictions == (small().apply(prediction, TEXT),)
    assert mapped.not_in_corpus == {}


def test_without_a_map_predictions_stay_as_they_are():
    predictions = (Prediction("d", spans_of(TEXT, *MARKED)),)
    mapped = map_predictions(None, [Document("d", TEXT)], predictions, ["Disease"])
    assert mapped.predictions == predictions
    assert mapped.to_dict() == {
        "label_map": "identity",
        "joined": {},
        "left_out": {},
        "not_in_corpus": {},
    }


def test_map_and_corpus_must_have_a_type_in_common():
    with pytest.raises(UserError, match="yields Disease, Chemical, and the corpus has none of "):
        map_predictions(small(), [], [], ["Modifier", "SpecificDisease"])


def test_a_prediction_needs_its_text():
    with pytest.raises(UserError, match="document d is predicted but its text is missing"):
        map_predictions(small(), [Document("e", TEXT)], [Prediction("d")], ["Disease"])


def test_joining_on_real_reports(maccrobat):
    """Against the rule read the other way: from each disease back, over the text."""
    diseases = shipped("disease_joined")
    seen = joined = 0
    for text, flat, _ in maccrobat:
        spans, end = [], 0
        for start, stop, name in flat:
            if start >= end:
                spans.append(Span(start, stop, name, random.Random(start).random()))
                end = stop
        expected = []
        for index, span in enumerate(spans):
            if span.type == "Disease_disorder":
                first = span.start
                for before in reversed(spans[:index]):
                    gap = text[before.end : first]
                    if before.type not in JOINED or (gap and not gap.isspace()):
                        break
                    first = before.start
                expected.append((first, span.end, "Disease"))
                seen, joined = seen + 1, joined + (first < span.start)
            elif span.type == "Medication":
                expected.append((span.start, span.end, "Chemical"))
        result = diseases.apply(Prediction("d", tuple(spans)), text)
        assert [(span.start, span.end, span.type) for span in result.spans] == expected
    assert 0.28 < joined / seen < 0.31  # 30 % of the diseases directly follow such a span
