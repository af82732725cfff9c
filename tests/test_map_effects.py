import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from map_cases import CORPUS, MODEL, cases, label_maps, marked, scored
from omegaconf import OmegaConf

from medner.errors import ConfigError, UserError
from medner.scoring.label_map import LabelMap
from medner.scoring.map_effects import compare_maps, gains_and_losses
from medner.scoring.matching import Counts, score

FOLDER = Path(__file__).parent.parent / "conf" / "eval_dataset" / "label_map"
SHIPPED = [LabelMap.from_config(OmegaConf.load(path)) for path in sorted(FOLDER.glob("*.yaml"))]


def edited(label_map, *, mapped=(), joins=None):
    """The map rebuilt with other targets, ``(type, target or None)``, or other joins."""
    of = {name: to for to, names in label_map.types.items() for name in names} | dict(mapped)
    types = {}
    for name in MODEL:
        if of.get(name):
            types.setdefault(of[name], []).append(name)
    left_out = tuple(name for name in MODEL if not of.get(name))
    if joins is None:
        pairs = label_map.join_preceding.items()
        joins = {to: [name for name in names if name in left_out] for to, names in pairs}
    return LabelMap("m", types, left_out, {to: names for to, names in joins.items() if to in types})


@settings(max_examples=150, deadline=None)
@given(cases(), label_maps())
def test_every_figure_is_that_of_the_changed_map(case, label_map):
    effects = gains_and_losses(*case, label_map, CORPUS)
    whole = scored(label_map, *case)
    spans = score(*case).by_type
    assert effects.counts == whole

    targets = {each.name: each.target for each in effects.mapped}
    assert targets == {
        name: to for to, names in label_map.types.items() if to in CORPUS for name in names
    }
    for each in effects.mapped:
        without = scored(edited(label_map, mapped=[(each.name, None)]), *case)
        assert each.correct == whole.correct - without.correct
        assert each.wrong == whole.predicted - without.predicted - each.correct
        assert each.f1_without == without.f1

    assert {each.name for each in effects.left_out} == set(label_map.left_out)
    for each in effects.left_out:
        f1 = {to: scored(edited(label_map, mapped=[(each.name, to)]), *case).f1 for to in CORPUS}
        assert each.f1_change == max(f1.values()) - whole.f1 == f1[each.target] - whole.f1
        assert each.spans == spans.get(each.name, Counts()).predicted

    pairs = [(each.target, each.name) for each in effects.joined]
    assert sorted(pairs) == sorted(
        (to, n) for to, names in label_map.join_preceding.items() if to in CORPUS for n in names
    )
    for each in effects.joined:
        joins = {to: [*names] for to, names in label_map.join_preceding.items()}
        joins[each.target].remove(each.name)
        without = scored(edited(label_map, joins=joins), *case)
        assert (each.correct, each.f1_without) == (whole.correct - without.correct, without.f1)


SMALL = LabelMap(
    "small", {"Disease": ("Disorder",), "Chemical": ("Drug",)}, ("Severity", "Sign", "Age"),
    {"Disease": ("Severity",)},
)  # fmt: skip
TEXT = marked(
    "[gout/Disorder], gout/Disorder, [severe/Severity gout/Disorder]",
    "severe/Severity [gout/Disorder], [severe/Severity gout/Disorder]",
    "{aspirin/Drug}, aspirin/Drug, [cough/Sign], [cough/Sign]",
    "[fever], 54/Age, severe/Severity",
)


def test_gains_and_losses_of_a_small_text():
    effects = gains_and_losses(*TEXT, SMALL, CORPUS)
    assert effects.lines() == [
        "label map small: F1 0.533, 4 correct of 7 predicted and 8 in the gold",
        "mapped    to        correct  wrong  F1 without it",
        "Disorder  Disease         3      2          0.200",
        "Drug      Chemical        1      1          0.462",
        "joined    to       correct  F1 without it",
        "Severity  Disease  +1               0.400",
        "left out  best mapped to  F1 change",
        "Sign      Disease         +0.1725",
        "Age       Chemical        -0.0333",
        "Severity  Chemical        -0.2175",
    ]
    whole = json.loads(json.dumps(effects.to_dict()))
    assert whole["overall"] == Counts(8, 7, 4).to_dict()
    assert whole["mapped"]["Disorder"] == {
        "target": "Disease", "correct": 3, "wrong": 2, "f1_without": 2 / 10,
    }  # fmt: skip
    assert whole["joined"] == [
        {"type": "Severity", "target": "Disease", "correct": 1, "f1_without": 6 / 15}
    ]
    assert whole["left_out"]["Sign"] == {
        "target": "Disease", "spans": 2, "f1_change": 12 / 17 - 8 / 15,
    }  # fmt: skip


def test_only_the_most_rewarding_left_out_types_have_a_line():
    types = [f"T{number}" for number in range(8)]
    case = marked(*[f"a/{name}" for name in types[:7]], "[b/T6], [c/A]")
    effects = gains_and_losses(*case, LabelMap("m", {"Disease": ("A",)}, tuple(types)), CORPUS)
    assert effects.left_out[-1].name == "T7"  # never predicted
    lines = effects.lines()
    assert len(lines) == 1 + 2 + 1 + 5 + 1
    assert lines[4].split() == ["T6", "Disease", "+0.1333"]
    assert re.fullmatch(r"2 others +-0\.\d{4} at best", lines[-1])


def test_maps_are_compared():
    other = LabelMap("other", {"Disease": ("Disorder", "Sign")}, ("Drug", "Severity", "Age"))
    misfit = LabelMap("misfit", {"Disease": ("Disorder",)}, ("Sign",))
    elsewhere = LabelMap("elsewhere", {"Gene": ("Drug",)}, ("Disorder", "Severity", "Sign", "Age"))
    nothing = LabelMap("nothing", {}, SMALL.named)
    maps = [other, misfit, SMALL, elsewhere, nothing]
    compared = compare_maps(maps, *TEXT, SMALL.named, CORPUS)
    assert compared.rows == (
        ("other", scored(other, *TEXT)),
        ("small", Counts(8, 7, 4)),
        ("nothing", Counts(8, 0, 0)),
    )
    assert compared.lines() == [
        "label map  gold  predicted  correct  precision  recall     F1",
        "other         8          7        4      0.571   0.500  0.533",
        "small         8          7        4      0.571   0.500  0.533",
        "nothing       8          0        0      0.000   0.000  0.000",
    ]
    assert json.loads(json.dumps(compared.to_dict()))[1] == {
        "label_map": "small", **Counts(8, 7, 4).to_dict(),
    }  # fmt: skip


def test_types_that_agree_need_no_map():
    """BC5CDR's own types on a corpus of diseases: without a map, chemicals are false positives."""
    case = marked("[gout/Disease], aspirin/Chemical", "[gout/Chemical]")
    compared = compare_maps(SHIPPED, *case, ["Chemical", "Disease"], ["Disease"])
    assert compared.rows == (
        ("identity", Counts(2, 3, 1)),
        ("disease_and_chemical", Counts(2, 1, 1)),
    )


def test_the_shipped_maps_are_compared_for_a_model_of_maccrobat():
    model_types = next(each for each in SHIPPED if each.name == "disease_joined").named
    case = marked("[mild/Severity cough/Sign_symptom]", "[mild/Severity gout/Disease_disorder]")
    rows = dict(compare_maps(SHIPPED, *case, model_types, CORPUS).rows)
    assert rows == {
        "disease_and_sign": Counts(2, 2, 0),
        "disease_disorder": Counts(2, 1, 0),
        "disease_joined": Counts(2, 1, 1),
    }


@pytest.mark.parametrize("lines", [("cough [fever]",), ("cough/A",), ("cough",), ()])
def test_nothing_predicted_or_no_gold_scores_zero(lines):
    case = marked(*lines)
    label_map = LabelMap("m", {"Disease": ("A",)}, ("B", "C"), {"Disease": ("B",)})
    effects = gains_and_losses(*case, label_map, CORPUS)
    assert effects.counts == scored(label_map, *case)
    assert effects.counts.f1 == 0
    assert "F1 0.000" in effects.lines()[0]
    assert effects.joined[0].correct == 0


def test_a_predicted_type_that_the_map_does_not_name_is_refused():
    case = marked("[a/A], b/Lab")
    with pytest.raises(ConfigError, match="neither mapped nor left out: 'Lab'"):
        gains_and_losses(*case, LabelMap("m", {"Disease": ("A",)}), CORPUS)
    with pytest.raises(ConfigError, match="neither mapped nor left out: 'Lab'"):
        compare_maps([LabelMap("m", {"Disease": ("A",)})], *case, ["A"], CORPUS)


def test_documents_without_a_prediction_are_refused():
    documents, predictions = TEXT
    with pytest.raises(UserError, match="2 of 4 documents have no prediction"):
        gains_and_losses(documents, predictions[:2], SMALL, CORPUS)
