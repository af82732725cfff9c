"""Errata: applied to the releases and listed, and to nothing else."""

from dataclasses import replace

import pytest
from handmade import real, release, write
from real_data import needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.corpora.errata import ERRATA
from medner.documents import Entity
from medner.errors import DataError


@needs_corpora
def test_errata_of_the_releases_are_applied_and_listed():
    assert real("maccrobat").errata == tuple(map(str, ERRATA["maccrobat2020"]))
    # of the two forms in which one mention is printed a copy of the release has one
    as_here, as_elsewhere, repeated = ERRATA["ncbi_disease"]
    assert real("ncbi").errata == (str(as_here), str(repeated))
    assert replace(as_here, annotated=as_elsewhere.annotated) == as_elsewhere
    documents = {d.id: d for name in ("maccrobat", "ncbi") for d in real(name).documents}
    dosage = Entity(((2837, 2841),), "Dosage")
    assert dosage in documents["25661749"].entities
    assert documents["25661749"].mention(dosage) == "8\u2005mg"
    epilepsy = Entity(((711, 761),), "SpecificDisease")
    assert epilepsy in documents["10923035"].entities
    assert documents["10923035"].mention(epilepsy).endswith('" plus "')


@needs_corpora
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "maccrobat",
            r"25661749\.ann:318: Dosage at 2837-2841 is annotated as '8\\u2005mg\\t\\u2005', "
            r"the text has '8\\u2005mg'; ",
        ),
        (
            "ncbi",
            r"NCBItrainset_corpus\.txt:3249: SpecificDisease at 711-761 is annotated as "
            r"'generalized .* \" plus \"  ', the text has 'generalized .* \" plus \"'; ",
        ),
    ],
)
def test_without_errata_the_releases_are_in_error(name, message):
    with pytest.raises(DataError, match=message):
        read_corpus(replace(release(name), errata=None))


MACCROBAT_ERRATUM = ERRATA["maccrobat2020"][0]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"id": "1"},
        {"type": "Medication"},
        {"start": 2836},
        {"annotated": "8\u2005mg\t"},
        {"text": "9\u2005mg"},
    ],
    ids=str,
)
def test_an_erratum_applies_to_its_very_mention_alone(change, tmp_path):
    values = {
        "id": "25661749",
        "type": "Dosage",
        "start": 2837,
        "annotated": "8\u2005mg\t\u2005",
        "text": "8\u2005mg",
    } | change
    ann = f"T1\t{values['type']} {values['start']} 2841\t{values['annotated']}\n"
    write(
        tmp_path,
        {f"{values['id']}.txt": " " * 2837 + values["text"], f"{values['id']}.ann": ann},
    )
    source = CorpusSource("hand", "brat", str(tmp_path), errata="maccrobat2020")
    if change:
        with pytest.raises(DataError, match=r"\.ann:1: .* is annotated as"):
            read_corpus(source)
    else:
        assert read_corpus(source).errata == (str(MACCROBAT_ERRATUM),)


TWICE = "8528200|t|T\n8528200|a|A\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{TWICE}\n{TWICE}\n{TWICE}", 7),
        (f"{TWICE}\n{TWICE}".replace("8528200", "1"), 4),
        (f"{TWICE}\n{TWICE.replace('|A', '|B')}", 4),
    ],
    ids=["three times", "another document", "another text"],
)
def test_no_other_document_may_occur_twice(text, line, tmp_path):
    path = write(tmp_path, {"x.txt": text}) / "x.txt"
    with pytest.raises(DataError, match=rf"x\.txt:{line}: document id \d+ occurs again \(first at"):
        read_corpus(CorpusSource("hand", "pubtator", str(path), errata="ncbi_disease"))
