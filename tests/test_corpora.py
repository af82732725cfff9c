"""Readers: one contract that every reader keeps, the counts of the releases, and the errors."""

import os
import re
import tempfile
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.corpora.errata import ERRATA
from medner.documents import Entity, entity_types
from medner.errors import ConfigError, DataError

CORPORA = os.environ.get("MEDNER_CORPORA")
needs_corpora = pytest.mark.skipif(not CORPORA, reason="MEDNER_CORPORA names no folder of corpora")


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def pack(source: Path, archive: Path, inside: str = "release") -> Path:
    """A zip of a folder, with what macOS adds; members are not in order."""
    files = sorted((file for file in source.rglob("*") if file.is_file()), reverse=True)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.mkdir(inside)
        for file in files:
            packed.writestr(f"{inside}/{file.relative_to(source)}", file.read_bytes())
            packed.writestr(f"__MACOSX/{inside}/._{file.name}", b"\x00\x05\x16\x07")
        packed.writestr(f"{inside}/.DS_Store", b"\x00")
    return archive


# Hand-made corpora: files, and (document id, type, fragments, mention) of every entity

TITLE, ABSTRACT = "Gout and|a| fever.", "Aspirin\u2028 helps; old age "
BRAT = {
    "10.txt": "Fever of 39\u2005C.\nHe took\taspirin and\nibuprofen 😀 daily.",
    "10.ann": "T2\tMedication 23 30\taspirin\n"
    "T1\tSign_symptom 0 5\tFever\n"
    "T3\tMedication 18 30\ttook\taspirin\n"
    "T4\tMedication 18 23;35 44\ttook\t ibuprofen\n"
    "T5\tLab_value 6 8;8 11\tof  39\n"
    "T6\tCombination 23 44\taspirin and ibuprofen\n"
    "E1\tMedication:T2\nR1\tMODIFY Arg1:T1 Arg2:T2\nA1\tNegated E1\nM1\tNegated E1\n"
    "N1\tReference T1 MSH:1 fever\n#1\tAnnotatorNotes T1\tnote\n#\tNote T1\tnote\n"
    "*\tOVERLAP T2 T3\n\n",
    "9.txt": "",
    "9.ann": "",
    "annotation.conf": "[entities]",
}
BRAT_ENTITIES = [
    ("10", "Sign_symptom", ((0, 5),), "Fever"),
    ("10", "Lab_value", ((6, 8), (8, 11)), "of  39"),
    ("10", "Medication", ((18, 23), (35, 44)), "took\t ibuprofen"),
    ("10", "Medication", ((18, 30),), "took\taspirin"),
    ("10", "Medication", ((23, 30),), "aspirin"),
    ("10", "Combination", ((23, 44),), "aspirin and ibuprofen"),
]
PUBTATOR = {
    "x_train.txt": f"\n7|t|{TITLE}\n7|a|{ABSTRACT}\n"
    "7\t19\t26\tAspirin\tChemical\tD1\n"
    "7\t0\t18\tGout and|a| fever.\tDisease\tD2|D3\tGout|fever\n"
    "7\t35\t38\told\tAge\n"
    "7\tCID\tD1\tD2\n7\tAssociation\tD1\tD2\tNovel\n\n\n"
    "5|t|No mention\n5|a|\n",
    "x_TEST.txt": "a-1|t|T\na-1|a|Ache\na-1\t2\t6\tAche\tDisease\t-1",
}
PUBTATOR_ENTITIES = [
    ("a-1", "Disease", ((2, 6),), "Ache"),
    ("7", "Disease", ((0, 18),), "Gout and|a| fever."),
    ("7", "Chemical", ((19, 26),), "Aspirin"),
    ("7", "Age", ((35, 38),), "old"),
]
PASSED_BRAT = {
    "attributes": 2, "equivalences": 1, "events": 1, "files": 1, "normalisations": 1,
    "notes": 2, "relations": 1,
}  # fmt: skip


# The contract


@dataclass(frozen=True)
class Case:
    source: CorpusSource
    files: dict[str, str] | None  # None: a real corpus, source.path below MEDNER_CORPORA
    single: str | None = None  # a file that is a corpus by itself; a brat corpus has none


THREE_PARTS = {"train": "*train*", "validation": "*develop*", "test": "*test*"}
CASES = {
    "brat": Case(CorpusSource("hand", "brat"), BRAT),
    "pubtator": Case(CorpusSource("hand", "pubtator"), PUBTATOR, "x_train.txt"),
    "pubtator in parts": Case(
        CorpusSource("hand", "pubtator", parts=THREE_PARTS), PUBTATOR, "x_TEST.txt"
    ),
    "maccrobat": Case(
        CorpusSource("maccrobat", "brat", "maccrobat2020", errata="maccrobat2020"), None
    ),
    "ncbi": Case(
        CorpusSource("ncbi", "pubtator", "ncbi_disease", THREE_PARTS, "ncbi_disease"),
        None,
        "NCBItrainset_corpus.txt",
    ),
    "bc5cdr": Case(
        CorpusSource(
            "bc5cdr",
            "pubtator",
            "bc5cdr",
            {
                "train": "CDR_Training*PubTator*",
                "validation": "CDR_Develop*PubTator*",
                "test": "CDR_Test*PubTator*",
            },
        ),
        None,
        "CDR_TestSet.PubTator.txt",
    ),
}


@cache
def real(name: str) -> Corpus:
    source = CASES[name].source
    return read_corpus(replace(source, path=str(Path(CORPORA) / source.path)))


def annotated(folder: Path) -> Counter:
    """(type, first start, last end, mention) of every mention line, by a reading of its own."""
    line = re.compile(
        rb"^T\d+\t(?P<type>\S+) (?P<start>\d+) (?:[\d;]+ )*(?P<end>\d+)\t(?P<mention>[^\n]*)"
        rb"|^[^\t\n]+\t(?P<start2>\d+)\t(?P<end2>\d+)\t(?P<mention2>[^\t\n]+)\t(?P<type2>[^\t\n]+)",
        re.MULTILINE,
    )
    found = Counter()
    for file in folder.iterdir():
        if file.suffix == ".ann" or not file.with_suffix(".ann").exists():
            for match in line.finditer(file.read_bytes()):
                groups = {
                    key.rstrip("2"): value for key, value in match.groupdict().items() if value
                }
                found[
                    groups["type"].decode(),
                    int(groups["start"]),
                    int(groups["end"]),
                    groups["mention"].decode(),
                ] += 1
    return found


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, form)
        for name, case in CASES.items()
        for form in ("folder", "zip", "file", "zip of one file")
        if case.single or "file" not in form
    ],
)
def test_contract(name, form, tmp_path):
    case = CASES[name]
    if case.files is None:
        if not CORPORA:
            pytest.skip("MEDNER_CORPORA names no folder of corpora")
        folder = Path(CORPORA) / case.source.path
    else:
        folder = write(tmp_path / "corpus", case.files)
    if "file" in form:
        write(tmp_path / "one", {case.single: (folder / case.single).read_bytes()})
        folder = tmp_path / "one"
    path = folder / case.single if form == "file" else folder
    if "zip" in form:
        path = pack(folder, tmp_path / "corpus.ZIP")
    source = replace(case.source, path=str(path))
    corpus = read_corpus(source)

    assert corpus.name == source.name
    again = read_corpus(replace(source, path=str(folder)))
    assert again == corpus, "not the same again, or not as from the folder"
    ids = [document.id for document in corpus.documents]
    assert ids and len(set(ids)) == len(ids)
    assert set(corpus.parts) <= set(source.parts)
    in_parts = [document_id for part in corpus.parts.values() for document_id in part]
    assert len(set(in_parts)) == len(in_parts)
    if source.parts and form != "file":
        assert sorted(in_parts) == sorted(ids)
    for part in corpus.parts.values():
        assert list(part) == sorted(part, key=ids.index)
    mentions = Counter()
    for document in corpus.documents:
        assert list(document.entities) == sorted(document.entities)
        for entity in document.entities:
            assert 0 <= entity.start < entity.end <= len(document.text)
            mention = document.mention(entity).replace("\n", " ")
            mentions[entity.type, entity.start, entity.end, mention] += 1
    expected = annotated(folder)
    mended = sum(" is annotated as " in erratum for erratum in corpus.errata)
    assert (expected - mentions).total() == (mentions - expected).total() == mended


def test_brat_by_hand(tmp_path):
    corpus = read_corpus(CorpusSource("hand", "brat", str(write(tmp_path, BRAT))))
    assert [document.id for document in corpus.documents] == ["10", "9"]
    assert corpus.documents[0].text == BRAT["10.txt"]
    assert corpus.documents[1].text == ""
    assert entities(corpus) == BRAT_ENTITIES
    assert corpus.passed_over == PASSED_BRAT
    assert (corpus.parts, corpus.errata) == ({}, ())


def test_pubtator_by_hand(tmp_path):
    source = CorpusSource("hand", "pubtator", str(write(tmp_path, PUBTATOR)))
    corpus = read_corpus(source)
    assert [document.id for document in corpus.documents] == ["a-1", "7", "5"]
    assert [document.text for document in corpus.documents[1:]] == [
        f"{TITLE} {ABSTRACT}",
        "No mention ",
    ]
    assert entities(corpus) == PUBTATOR_ENTITIES
    assert corpus.passed_over == {"relations": 2}
    assert corpus.parts == {}
    in_parts = read_corpus(replace(source, parts=THREE_PARTS))
    assert in_parts.documents == corpus.documents
    assert in_parts.parts == {"train": ("7", "5"), "test": ("a-1",)}


def entities(corpus: Corpus) -> list[tuple]:
    return [
        (document.id, entity.type, entity.fragments, document.mention(entity).replace("\n", " "))
        for document in corpus.documents
        for entity in document.entities
    ]


# Counts of the releases


@needs_corpora
def test_maccrobat_counts():
    corpus = real("maccrobat")
    found = [entity for document in corpus.documents for entity in document.entities]
    assert len(corpus.documents) == 160
    assert len(found) == 20_360
    assert len(entity_types(corpus.documents)) == 41
    assert sum(entity.discontinuous for entity in found) == 35
    assert corpus.parts == {}
    reported = (Path(CORPORA) / "maccrobat2020.test_pmids.txt").read_text().split()
    assert len(reported) == 20
    assert set(reported) < {document.id for document in corpus.documents}
    lines = Counter(
        line[:1]
        for file in (Path(CORPORA) / "maccrobat2020").glob("*.ann")
        for line in file.read_bytes().split(b"\n")
    )
    assert corpus.passed_over == {
        "attributes": lines[b"A"],
        "equivalences": lines[b"*"],
        "events": lines[b"E"],
        "notes": lines[b"#"],
        "relations": lines[b"R"],
    }
    assert corpus.passed_over["events"] == 11_640


@needs_corpora
def test_ncbi_counts():
    corpus = real("ncbi")
    counts = part_counts(corpus)
    assert {part: len(ids) for part, ids in corpus.parts.items()} == {
        "train": 593,
        "validation": 100,
        "test": 100,
    }
    assert {part: count.total() for part, count in counts.items()} == {
        "train": 5_145,
        "validation": 787,
        "test": 960,
    }
    types = {"SpecificDisease", "DiseaseClass", "CompositeMention", "Modifier"}
    assert all(set(count) == types for count in counts.values())
    assert corpus.passed_over == {}


@needs_corpora
def test_ncbi_holds_a_document_twice_in_one_group():
    documents = {document.id: document for document in real("ncbi").documents}
    first, second = documents["8528200"], documents["8528200#2"]
    assert (first.text, first.entities) == (second.text, second.entities)
    assert first.group == second.group == "8528200"
    assert [document.id for document in documents.values() if document.group] == [
        "8528200",
        "8528200#2",
    ]
    assert {"8528200", "8528200#2"} < set(real("ncbi").parts["train"])


@needs_corpora
def test_bc5cdr_counts():
    corpus = real("bc5cdr")
    assert {part: len(ids) for part, ids in corpus.parts.items()} == dict.fromkeys(
        ("train", "validation", "test"), 500
    )
    assert part_counts(corpus) == {
        "train": {"Disease": 4_182, "Chemical": 5_203},
        "validation": {"Disease": 4_244, "Chemical": 5_347},
        "test": {"Disease": 4_424, "Chemical": 5_385},
    }
    assert corpus.passed_over == {"relations": 3_116}
    assert corpus.errata == ()


def part_counts(corpus: Corpus) -> dict[str, Counter]:
    documents = {document.id: document for document in corpus.documents}
    return {
        part: Counter(entity.type for i in ids for entity in documents[i].entities)
        for part, ids in corpus.parts.items()
    }


@needs_corpora
@pytest.mark.parametrize("name", ["ncbi", "bc5cdr"])
def test_no_mention_crosses_from_title_to_abstract(name):
    """So the separator, which the formats leave open, is in no mention."""
    titles = {
        match[1].decode(): len(match[2].decode())
        for file in (Path(CORPORA) / CASES[name].source.path).iterdir()
        for match in re.finditer(rb"^([^|\n]+)\|t\|(.*)$", file.read_bytes(), re.MULTILINE)
    }
    for document in real(name).documents:
        end = titles[document.id.removesuffix("#2")]
        assert document.text[end] == " "
        assert not any(entity.start <= end < entity.end for entity in document.entities)


# Errata


@needs_corpora
def test_errata_of_the_releases_are_applied_and_listed():
    for name, errata in (("maccrobat", "maccrobat2020"), ("ncbi", "ncbi_disease")):
        assert real(name).errata == tuple(str(erratum) for erratum in ERRATA[errata])
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
    source = CASES[name].source
    path = str(Path(CORPORA) / source.path)
    with pytest.raises(DataError, match=message):
        read_corpus(replace(source, path=path, errata=None))


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


# Newlines

CRLF_TEXT = "He has\r\nhigh fever\r\nand gout"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("ann", "text"),
    [
        ("T1\tS 8 18\thigh fever|T2\tS 13 23\tfever\r and|", CRLF_TEXT),
        ("T1\tS 8 18\thigh fever|T2\tS 13 23\tfever and|", CRLF_TEXT),
        ("T1\tS 7 17\thigh fever|T2\tS 12 21\tfever and|", CRLF_TEXT.replace("\r", "")),
        ("T1\tS 0 6\tHe has|", CRLF_TEXT),
    ],
    ids=["two characters", "two, printed as one", "one character", "cannot be told"],
)
def test_brat_crlf(ann, text, line_end, tmp_path):
    ann = ann.replace("|", line_end)
    write(tmp_path, {"1.txt": CRLF_TEXT, "1.ann": ann})
    (document,) = read_corpus(CorpusSource("hand", "brat", str(tmp_path))).documents
    assert document.text == text
    assert [document.mention(entity).split()[-1] for entity in document.entities] == (
        ["fever", "and"] if "T2" in ann else ["has"]
    )


def test_brat_crlf_error_is_of_the_reading_that_fits_best(tmp_path):
    ann = "T1\tS 7 17\thigh fever\nT2\tS 12 17\tFever\nT3\tS 22 26\tgout\n"
    write(tmp_path, {"1.txt": CRLF_TEXT, "1.ann": ann})
    with pytest.raises(DataError, match=r"1\.ann:2: S at 12-17 is annotated as 'Fever', the text "
                       r"has 'fever'; "):  # fmt: skip
        read_corpus(CorpusSource("hand", "brat", str(tmp_path)))


def test_pubtator_crlf_and_byte_order_mark(tmp_path):
    plain = write(tmp_path / "lf", PUBTATOR)
    crlf = write(
        tmp_path / "crlf",
        {name: "\ufeff" + text.replace("\n", "\r\n") for name, text in PUBTATOR.items()},
    )
    read = [read_corpus(CorpusSource("hand", "pubtator", str(path))) for path in (plain, crlf)]
    assert read[0] == read[1]


# Files and parts


def test_clutter_is_passed_over_but_not_below_a_hidden_folder(tmp_path):
    clutter = {"._1.ann": b"\xff", ".hidden/2.txt": "", "__MACOSX/3.ann": "", ".DS_Store": b"\xff"}
    folder = write(tmp_path / ".cache" / "corpus", {"a/1.txt": "", "b/../a/1.ann": "", **clutter})
    corpus = read_corpus(CorpusSource("hand", "brat", str(folder)))
    assert [document.id for document in corpus.documents] == ["1"]
    assert corpus.passed_over == {}


def test_documents_come_in_order_of_file_names_through_all_folders(tmp_path):
    folder = write(
        tmp_path,
        {f"{sub}/{i}.{end}": "" for sub, i in ("z1", "a2", "m3") for end in ("txt", "ann")},
    )
    corpus = read_corpus(CorpusSource("hand", "brat", str(folder)))
    assert [document.id for document in corpus.documents] == ["1", "2", "3"]


def test_release_with_other_formats_beside(tmp_path):
    """BC5CDR's archive holds BioC and, as PubTator, the output of two systems on the test part."""
    document = "1|t|T\n1|a|A\n"
    files = {
        "CDR.Corpus.v010516/CDR_TrainingSet.PubTator.txt": document,
        "CDR.Corpus.v010516/CDR_TrainingSet.BioC.xml": "<xml/>",
        "CDR.Corpus.v010516/CDR_TestSet.PubTator.txt": document.replace("1", "2"),
        "CDR.Corpus.v010516/readme.txt": "no PubTator",
        "DNorm.TestSet/TestSet.DNorm.PubTator.txt": document.replace("1", "2"),
    }
    archive = pack(write(tmp_path / "CDR_Data", files), tmp_path / "CDR_Data.zip")
    corpus = read_corpus(replace(CASES["bc5cdr"].source, path=str(archive)))
    assert corpus.parts == {"train": ("1",), "test": ("2",)}
    assert corpus.passed_over == {"files": 3}


def test_single_file_is_read_whole_and_is_the_part_it_fits(tmp_path):
    folder = write(tmp_path, {"MyTEST.csv": "1|t|T\n1|a|A", "other.csv": "1|t|T\n1|a|A"})
    source = CorpusSource("hand", "pubtator", parts=THREE_PARTS)
    assert read_corpus(replace(source, path=str(folder / "MyTEST.csv"))).parts == {"test": ("1",)}
    other = read_corpus(replace(source, path=str(folder / "other.csv")))
    assert (len(other.documents), other.parts) == (1, {})


def test_brat_parts_by_name_of_either_file(tmp_path):
    folder = write(tmp_path, {f"{i}.{end}": "" for i in ("train1", "x2") for end in ("txt", "ann")})
    source = CorpusSource("hand", "brat", str(folder), {"train": "TRAIN*.txt"})
    corpus = read_corpus(source)
    assert (len(corpus.documents), corpus.parts) == (2, {"train": ("train1",)})


# Errors: every message names the file, the line where there is one, and what to do

OK_TEXT = "He has high fever"
BRAT_ERRORS = {
    "T1\tS 7 17\thigh fewer": "1.ann:1: S at 7-17 is annotated as 'high fewer', the text has "
    "'high fever'; correct the line, or restore the text that was annotated "
    "(offsets count characters)",
    "\nT1\tS 0 2;7 11\tHe  high": "1.ann:2: S at 0-2;7-11 is annotated as 'He  high', the text has "
    "'He high'; ",
    "T1\tS 0 2\tHe\nT2\tS 1 3\tab\nT3\tS 1 3\tab": "1.ann:2: S at 1-3 is annotated as 'ab', the "
    "text has 'e ' (the first of 2 in this document); ",
    f"T1\tS 0 2\t{'x' * 50}{'y' * 50}": f"1.ann:1: S at 0-2 is annotated as '{'x' * 40} ... "
    f"{'y' * 35}', the text has 'He'; ",
    "T1\tS 12 18\tfever": "1.ann:1: S at 12-18 ends outside the text of 17 characters; ",
    "T1\tS 3 3\t": "1.ann:1: fragment (3, 3) is empty; correct the offsets",
    "T1\tS 7 11;0 2\thigh He": "1.ann:1: fragments ((7, 11), (0, 2)) overlap, are out of order or "
    "negative; correct the offsets",
    "T1\tS 0 2\tHe\n\nT2 S 0 2\tHe": "1.ann:3: 'T2 S 0 2\\tHe' is no line of a brat .ann; a line "
    "starts with T, E, R, A, M or N and a number, with # or *, then a tab",
    "Epilepsy": "1.ann:1: 'Epilepsy' is no line of a brat .ann; ",
    "X1\tS 0 2\tHe": "1.ann:1: 'X1\\tS 0 2\\tHe' is no line of a brat .ann; ",
    "T1\tS 0 2": "1.ann:1: 'T1\\tS 0 2' is no text-bound annotation; write T1<tab>Type start "
    "end<tab>mention, fragments as start end;start end",
    "T1\tS 0 -2\tHe": "1.ann:1: 'T1\\tS 0 -2\\tHe' is no text-bound annotation; ",
    b"T1\tS 0 2\tHe\n#1\tNote T1\t\xe9t": "1.ann:2: not UTF-8 at byte 23; convert the file to "
    "UTF-8",
}
HEAD = "1|t|He has\n1|a|high fever\n"
PUBTATOR_ERRORS = {
    f"{HEAD}1\t7\t17\thigh fewer\tS\tD": "x.txt:3: S at 7-17 is annotated as 'high fewer', the "
    "text has 'high fever'; correct the line, ",
    f"\n{HEAD}1\t12\t18\tfever\tS\tD": "x.txt:4: S at 12-18 ends outside the text of 17 ",
    f"{HEAD}2\t7\t17\thigh fever\tS\tD": "x.txt:3: a line of document 2 under document 1; move it "
    "to its document, or correct its id",
    f"{HEAD}2\tCID\tD1\tD2": "x.txt:3: a line of document 2 under document 1; ",
    f"{HEAD}1\t17\t7\thigh fever\tS\tD": "x.txt:3: fragment (17, 7) is empty; correct the offsets",
    f"{HEAD}1\t7\tx\thigh fever\tS\tD": "x.txt:3: '1\\t7\\tx\\thigh fever\\tS\\tD' is neither a "
    "mention nor a relation; write id, start, end, mention, type and concept, separated by tabs",
    f"{HEAD}1\t7\t17\thigh fever": "x.txt:3: '1\\t7\\t17\\thigh fever' is neither a mention nor a ",
    f"{HEAD}1\t7\t17\thigh\tfever\tS\tD\tp": "x.txt:3: '1\\t7\\t17\\thigh\\tfever\\tS\\tD\\tp' is ",
    f"{HEAD}2|t|T": "x.txt:3: '2|t|T' stands among the mentions of document 1; put a blank line "
    "before each document",
    f"{HEAD}\n1\t7\t17\thigh fever\tS\tD": "x.txt:4: '1\\t7\\t17\\thigh fever\\tS\\tD' is no title"
    "; a document starts with id|t|title; blank lines stand only between documents",
    "1|t|T": "x.txt:1: the title of 1 is not followed by its abstract; write 1|a|abstract on the "
    "line after the title",
    "1|t|T\n2|a|A": "x.txt:2: the title of 1 is not followed by its abstract; ",
    "\n \n": "x.txt: holds no document; check path and format",
}


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(("ann", "message"), BRAT_ERRORS.items())
def test_brat_errors(ann, message, zipped, tmp_path):
    path = write(tmp_path / "c", {"0.txt": "", "0.ann": "", "1.txt": OK_TEXT, "1.ann": ann})
    place = f"{path}/"
    if zipped:
        path = pack(path, tmp_path / "c.zip")
        place = f"{path}!release/"
    with pytest.raises(DataError) as error:
        read_corpus(CorpusSource("hand", "brat", str(path)))
    assert str(error.value).startswith(place + message)


@pytest.mark.parametrize(("text", "message"), PUBTATOR_ERRORS.items())
def test_pubtator_errors(text, message, tmp_path):
    path = write(tmp_path, {"x.txt": text}) / "x.txt"
    with pytest.raises(DataError) as error:
        read_corpus(CorpusSource("hand", "pubtator", str(path)))
    assert str(error.value).startswith(f"{tmp_path}/{message}")


@pytest.mark.parametrize("alone", ["1.txt", "1.ann"])
def test_brat_wants_pairs(alone, tmp_path):
    write(tmp_path, {alone: "", "2.txt": "", "2.ann": "", "sub/1.conf": ""})
    message = (
        f"{tmp_path}/{alone}: a brat document is one .txt and one .ann, given is only {alone}; "
        "give the folder or zip that holds both (an .ann may be empty)"
    )
    for path in (tmp_path, tmp_path / alone):
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            read_corpus(CorpusSource("hand", "brat", str(path)))


def test_ids_occur_once(tmp_path):
    write(tmp_path, {f"{sub}/1.{end}": "" for sub in "ab" for end in ("txt", "ann")})
    message = (
        f"{tmp_path}/b/1.ann: document id 1 occurs again (first at {tmp_path}/a/1.ann); "
        "give each document an id of its own"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_corpus(CorpusSource("hand", "brat", str(tmp_path)))


def test_nothing_to_read(tmp_path):
    source = CorpusSource("hand", "brat")
    missing = tmp_path / "missing"
    with pytest.raises(DataError, match="missing: corpus hand is not there; give the folder, file"):
        read_corpus(replace(source, path=str(missing)))
    with pytest.raises(
        DataError, match=r"get the release from there\.org and put it there, or give"
    ):
        read_corpus(replace(source, path=str(missing), homepage="there.org"))
    with pytest.raises(DataError, match=r"no file matches \*\.txt or \*\.ann \(found: nothing\)"):
        read_corpus(replace(source, path=str(tmp_path)))
    write(tmp_path, {f"{i}.zip": "" for i in range(5)})
    with pytest.raises(DataError, match=r"\(found: 0.zip, 1.zip, 2.zip and 2 more\); give the"):
        read_corpus(replace(source, path=str(tmp_path)))
    with pytest.raises(DataError, match=r"no file matches \*train\* \(found: "):
        read_corpus(CorpusSource("hand", "pubtator", str(tmp_path), {"train": "*train*"}))


def test_broken_files(tmp_path):
    archive = pack(write(tmp_path / "c", {"1.ann": "", "1.txt": OK_TEXT}), tmp_path / "c.zip")
    whole = archive.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole.replace(b"high", b"lowe", 1)):
        archive.write_bytes(broken)
        with pytest.raises(DataError, match=r"c\.zip: cannot be read \(.+\); fetch it anew"):
            read_corpus(CorpusSource("hand", "brat", str(archive)))
    (tmp_path / "c" / "2.ann").symlink_to(tmp_path / "gone.ann")
    with pytest.raises(DataError, match=r"c: cannot be read \(.*2\.ann"):
        read_corpus(CorpusSource("hand", "brat", str(tmp_path / "c")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": None}, "corpus hand: path is not set; give the folder, file or zip that"),
        ({"format": "bart"}, "corpus hand: format=bart is unknown; there is brat, pubtator"),
        (
            {"errata": "ncbi"},
            "corpus hand: errata=ncbi is unknown; there is maccrobat2020, ncbi_disease",
        ),
        (
            {"parts": {"train": "*1*", "test": "*.ann"}},
            "corpus hand: 1.ann fits the parts train and test; make their patterns exclude",
        ),
    ],
    ids=["path", "format", "errata", "parts"],
)
def test_wrong_options(change, message, tmp_path):
    write(tmp_path, {"1.txt": "", "1.ann": ""})
    source = CorpusSource("hand", "brat", str(tmp_path))
    with pytest.raises(ConfigError) as error:
        read_corpus(replace(source, **change))
    assert str(error.value).startswith(message)


# Round trip

PIECES = ["a", "B", " ", "  ", "\t", "\n", "\r\n", "é", "\u2005", "\u2028", "\x85", "\ufeff", "😀"]


@st.composite
def documents(draw):
    """A text, and entities of one to three fragments in it."""
    text = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=40)))
    found = []
    for _ in range(draw(st.integers(0, 6)) if len(text) > 1 else 0):
        bounds = draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6))
        fragments = tuple(
            (start, end)
            for start, end in zip(sorted(bounds)[::2], sorted(bounds)[1::2], strict=False)
            if start < end
        )
        # a mention that ends between CR and LF is not told from a line that ends in CRLF
        if fragments and text[fragments[-1][1] - 1] != "\r":
            found.append(Entity(fragments, draw(st.sampled_from(["Age", "Lab_value", "X-1"]))))
    return text, found


@settings(max_examples=80, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_brat_round_trip(written, line_end):
    with tempfile.TemporaryDirectory() as folder:
        for number, (text, found) in enumerate(written):
            lines = [
                f"T{i}\t{entity.type} "
                + ";".join(f"{start} {end}" for start, end in entity.fragments)
                + "\t"
                + " ".join(text[start:end] for start, end in entity.fragments).replace("\n", " ")
                for i, entity in enumerate(found, start=1)
            ]
            ann = line_end.join([*lines, ""])
            write(Path(folder), {f"{number}.txt": text, f"{number}.ann": ann})
        corpus = read_corpus(CorpusSource("hand", "brat", folder))
    assert [document.text for document in corpus.documents] == [text for text, _ in written]
    assert [document.entities for document in corpus.documents] == [
        tuple(sorted(found)) for _, found in written
    ]
