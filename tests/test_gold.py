"""Which label map leads from a system's types to the gold's."""

from dataclasses import replace

import pytest
from test_duplicates import words

from medner.documents import Document
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


def test_documents_that_the_model_was_trained_on_are_named() -> None:
    documents = tuple(Document(str(n), words(n, 30)) for n in range(4))
    scored = replace(gold(None), documents=documents)

    def said(training: list[Document] | None) -> list[str]:
        return scored.lines(("Disease", "Chemical"), training)[1:]

    assert said(None) == []
    assert said([Document("7", words(7, 30))]) == [
        "  no document of bc5cdr_test is in training (nearly the same text)"
    ]
    same = "a score on a twin says nothing about new documents"
    by_id = (
        "  1 document of 4 have ids that the model was trained on (2): if they are the same "
        "documents, the score says nothing about new ones"
    )
    training = [
        Document("0", f"{words(0, 30)} more"), Document("9", words(1, 30)),
        Document("2", words(8, 30)),
    ]  # fmt: skip
    assert said(training) == [
        "  2 of 4 documents (50.0%) are in training, too (nearly the same text): 0, 1 (there 9); "
        + same,
        by_id,
    ]
    # of a run whose corpus is not there, only the ids are known
    assert said([Document("2", ""), Document("8", "")]) == [by_id]


def test_types_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="has none of the model's types"):
        gold(None).fitted(("Gene",))
    with pytest.raises(ConfigError, match="label map m: not types of the model"):
        gold(MACCROBAT).fitted(("Gene",))
    with pytest.raises(ConfigError, match="neither mapped nor left out: 'Gene'"):
        gold(MACCROBAT).fitted(("Age", "Gene"), complete=False)
