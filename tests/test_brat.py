"""brat: what is read by hand, its line ends, pairs, errors, and a round trip."""

import re
import tempfile
from pathlib import Path

import pytest
from handmade import as_brat, entities, pack, read, write
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import documents

from medner.errors import DataError

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
    "9.txt": "nothing",
    "9.ann": "",
    "annotation.conf": "[entities]",
}
ENTITIES = [
    ("10", "Sign_symptom", ((0, 5),), "Fever"),
    ("10", "Lab_value", ((6, 8), (8, 11)), "of  39"),
    ("10", "Medication", ((18, 23), (35, 44)), "took\t ibuprofen"),
    ("10", "Medication", ((18, 30),), "took\taspirin"),
    ("10", "Medication", ((23, 30),), "aspirin"),
    ("10", "Combination", ((23, 44),), "aspirin and ibuprofen"),
]
PASSED_OVER = {
    "attributes": 2, "equivalences": 1, "events": 1, "files": 1, "normalisations": 1,
    "notes": 2, "relations": 1,
}  # fmt: skip


def test_by_hand(tmp_path):
    corpus = read("brat", write(tmp_path, BRAT))
    assert [document.id for document in corpus.documents] == ["10", "9"]
    assert [document.text for document in corpus.documents] == [BRAT["10.txt"], "nothing"]
    assert entities(corpus) == ENTITIES
    assert corpus.passed_over == PASSED_OVER
    assert (corpus.parts, corpus.errata) == ({}, ())


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
def test_crlf(ann, text, line_end, tmp_path):
    ann = ann.replace("|", line_end)
    write(tmp_path, {"1.txt": CRLF_TEXT, "1.ann": ann})
    (document,) = read("brat", tmp_path).documents
    assert document.text == text
    assert [document.mention(entity).split()[-1] for entity in document.entities] == (
        ["fever", "and"] if "T2" in ann else ["has"]
    )


def test_crlf_error_is_of_the_reading_that_fits_best(tmp_path):
    ann = "T1\tS 7 17\thigh fever\nT2\tS 12 17\tFever\nT3\tS 22 26\tgout\n"
    write(tmp_path, {"1.txt": CRLF_TEXT, "1.ann": ann})
    with pytest.raises(DataError, match=r"1\.ann:2: S at 12-17 is annotated as 'Fever', the text "
                       r"has 'fever'; "):  # fmt: skip
        read("brat", tmp_path)


@pytest.mark.parametrize("text", ["He\r", "He\rhas", "He\r\nhas"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_carriage_return_at_the_end_of_a_mention(text, line_end, tmp_path):
    write(tmp_path, {"1.txt": text, "1.ann": f"T1\tS 0 3\tHe\r{line_end}"})
    (document,) = read("brat", tmp_path).documents
    assert document.text == text
    assert [document.mention(entity) for entity in document.entities] == ["He\r"]


def test_a_carriage_return_is_not_lost_from_within_a_mention(tmp_path):
    write(tmp_path, {"1.txt": "He\rhas", "1.ann": "T1\tS 0 6\tHehas\n"})
    with pytest.raises(DataError, match=r"annotated as 'Hehas', the text has 'He\\rhas'"):
        read("brat", tmp_path)


# Pairs


@pytest.mark.parametrize("alone", ["1.txt", "1.ann"])
def test_pairs_are_wanted(alone, tmp_path):
    write(tmp_path, {alone: "", "2.txt": "He", "2.ann": "T1\tS 0 2\tHe", "sub/1.conf": ""})
    message = (
        f"{tmp_path}/{alone}: a brat document is one .txt and one .ann, given is only {alone}; "
        "give the folder or zip that holds both (an .ann may be empty)"
    )
    for path in (tmp_path, tmp_path / alone):
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            read("brat", path)


def test_parts_by_name_of_either_file(tmp_path):
    texts = {f"{i}.{end}": "T1\tS 0 2\tT1" for i in ("train1", "x2") for end in ("txt", "ann")}
    corpus = read("brat", write(tmp_path, texts), parts={"train": "TRAIN*.txt"})
    assert (len(corpus.documents), corpus.parts) == (2, {"train": ("train1",)})


# Errors: every message names the file, the line where there is one, and what to do

TEXT = "He has high fever"
ERRORS = {
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


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(("ann", "message"), ERRORS.items())
def test_errors(ann, message, zipped, tmp_path):
    path = write(tmp_path / "c", {"0.txt": "He", "0.ann": "", "1.txt": TEXT, "1.ann": ann})
    place = f"{path}/"
    if zipped:
        path = pack(path, tmp_path / "c.zip")
        place = f"{path}!release/"
    with pytest.raises(DataError) as error:
        read("brat", path)
    assert str(error.value).startswith(place + message)


# Round trip


@settings(max_examples=80, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_round_trip(written, line_end):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), as_brat(written, line_end))
        corpus = read("brat", Path(folder))
    assert {document.id: document for document in corpus.documents} == {
        document.id: document for document in written
    }
