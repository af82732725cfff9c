"""Which label map leads from a system's types to the gold's."""

import pytest

from medner.errors import ConfigError
from medner.gold import Gold
from medner.scoring.label_map import LabelMap

MACCROBAT = LabelMap("m", {"Disease": ("Disease_disorder",)}, ("Age",))


def gold(label_map: LabelMap | None) -> Gold:
    report = {"types": {"Disease": 3, "Chemical": 2}, "errata": [], "skipped": [], "notes": []}
    return Gold("bc5cdr_test", "there", (), report, label_map)


@pytest.mark.parametrize("label_map", [None, MACCROBAT])
@pytest.mark.parametrize("complete", [True, False])
def test_a_system_with_the_corpus_s_types_needs_no_map(
    label_map: LabelMap | None, complete: bool
) -> None:
    assert gold(label_map).fitted(("Disease", "Chemical"), complete).label_map is None
    assert gold(label_map).fitted(("Chemical",), complete).label_map is None
    # nor one that writes them otherwise
    same = gold(label_map).fitted(("DISEASE", "chemical"), complete).label_map
    assert same == LabelMap("same_names", {"Disease": ("DISEASE",), "Chemical": ("chemical",)})


def test_the_map_that_is_made_for_the_types_is_taken() -> None:
    assert gold(MACCROBAT).fitted(("Age", "Disease_disorder")).label_map == MACCROBAT
    assert gold(MACCROBAT).fitted(("Age",), complete=False).label_map == MACCROBAT
    assert gold(MACCROBAT).fitted((), complete=False).label_map == MACCROBAT


def test_types_beyond_the_corpus_s_are_left_out_where_a_map_is_chosen_and_said() -> None:
    fitted = gold(MACCROBAT).fitted(("Disease", "Gene"))
    assert fitted.label_map == LabelMap("same_names", {"Disease": ("Disease",)}, ("Gene",))
    said = "\n".join(fitted.lines(("Disease", "Gene"), None))
    assert "the label map is for other types; left out by name: Gene" in said


@pytest.mark.parametrize("complete", [True, False])
def test_without_a_map_they_are_wrong_and_that_is_said(complete: bool) -> None:
    fitted = gold(None).fitted(("Disease", "Gene"), complete)
    assert fitted.label_map is None
    said = "\n".join(fitted.lines(("Disease", "Gene"), None, complete))
    assert "not in this corpus, so wrong wherever predicted: Gene" in said
    assert ("not known to the model, so all missed: Chemical" in said) == complete


def test_types_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="has none of the model's types"):
        gold(None).fitted(("Gene",))
    with pytest.raises(ConfigError, match="label map m: not types of the model"):
        gold(MACCROBAT).fitted(("Gene",))
    with pytest.raises(ConfigError, match="neither mapped nor left out: 'Gene'"):
        gold(MACCROBAT).fitted(("Age", "Gene"), complete=False)
