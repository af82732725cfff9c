"""Predictions of any system, in any format that it may write."""

import json
from pathlib import Path

import pytest
from handmade import pack, write

from medner.documents import Document, Entity
from medner.errors import DataError, UserError
from medner.prediction_files import write_predictions
from medner.predictions import Prediction, Span
from medner.system_output import read_output

DOCUMENTS = (
    Document("d1", "Gout title Fever and chills", (Entity(((0, 4),), "Disease"),)),
    Document("d2", "No gout here. "),
)
FOUND = [
    Prediction("d1", (Span(0, 4, "Disease"), Span(11, 16, "Sign"))),
    Prediction("d2", (Span(3, 7, "Disease"),)),
]
ANN = {
    "d1.ann": "T1\tDisease 0 4\tGout\nT2\tSign 11 16\tFever\nR1\tX Arg1:T1 Arg2:T2\n",
    "d2.ann": "T1\tDisease 3 7\tgout\n",
}
TXT = {f"{document.id}.txt": document.text for document in DOCUMENTS}
PUBTATOR = (
    "d1|t|Gout title\nd1|a|Fever and chills\nd1\t0\t4\tGout\tDisease\tD1\n"
    "d1\t11\t16\tFever\tSign\t-\n\n"
    "d2|t|No gout\nd2|a|here. \nd2\t3\t7\tgout\tDisease\tD1\n"
)


def lines(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


ROWS = lines(
    {"id": "d1", "text": DOCUMENTS[0].text, "entities": [
        {"type": "Disease", "fragments": [[0, 4]], "text": "Gout"},
        {"type": "Sign", "fragments": [[11, 16]], "text": "Fever"},
    ]},
    {"id": "d2", "text": DOCUMENTS[1].text, "entities": [
        {"type": "Disease", "fragments": [[3, 7]], "text": "gout"},
    ]},
)  # fmt: skip
SPANS = lines(
    {"document": "d2", "spans": [{"start": 3, "end": 7, "type": "Disease", "text": "gout"}]},
    {"document": "d1", "spans": [
        {"start": 11, "end": 16, "type": "Sign", "text": "Fever"},
        {"start": 0, "end": 4, "type": "Disease", "text": "Gout"},
    ]},
)  # fmt: skip


@pytest.mark.parametrize(
    "files",
    [
        {"system.jsonl": SPANS},
        {"system.json": SPANS},
        {"system.jsonl": ROWS},
        {"out.pubtator": PUBTATOR},
        {"out.txt": PUBTATOR},
        ANN,
        ANN | TXT,
    ],
    ids=["ours", "ours.json", "rows", "pubtator", "txt", "ann alone", "ann and txt"],
)
def test_every_format_gives_the_same(tmp_path: Path, files: dict[str, str]) -> None:
    folder = write(tmp_path / "out", files)
    path = folder if len(files) > 1 else folder / next(iter(files))
    assert read_output(path, "the test part", DOCUMENTS) == (FOUND, [])
    if "spans" not in next(iter(files.values())):
        packed = pack(folder, tmp_path / "out.zip")
        assert read_output(packed, "the test part", DOCUMENTS) == (FOUND, [])


def test_overlapping_and_discontinuous_spans(tmp_path: Path) -> None:
    ann = "T1\tSign 11 16;21 27\tFever chills\nT2\tSign 11 27\tFever and chills\n"
    folder = write(tmp_path, {"d1.ann": ann, "d2.ann": ""})
    (first, second), notes = read_output(folder, "the test part", DOCUMENTS)
    assert first.spans == (Span(11, 27, "Sign", gaps=((16, 21),)), Span(11, 27, "Sign"))
    assert second == Prediction("d2")
    assert notes == []


def test_annotations_of_other_documents_need_no_text(tmp_path: Path) -> None:
    folder = write(tmp_path, ANN | {"d9.ann": "T1\tDisease 0 4\tGout\n"})
    found, notes = read_output(folder, "the test part", DOCUMENTS)
    assert found == FOUND
    assert notes == ["not scored, for they are not asked for: 1 document"]
    assert read_output(folder, "the test part", DOCUMENTS, {"d9"}) == (FOUND, [])


def test_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("\ufeff" + SPANS.replace("\n", "\n\n") + "\n", encoding="utf-8")
    assert read_output(path, "the test part", DOCUMENTS) == (FOUND, [])


def test_what_comes_twice_is_said(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    record = json.loads(SPANS.splitlines()[0])
    record["spans"] *= 2
    path.write_text(lines(record) + SPANS.splitlines()[1] + "\n")
    (_, second), notes = read_output(path, "the test part", DOCUMENTS)
    assert len(second.spans) == 2
    assert notes == ["1 span more than once, which count as wrong"]


def test_what_our_models_write_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    predictions = [Prediction("d1", (Span(0, 4, "Disease", 0.5),)), Prediction("d2")]
    write_predictions(path, predictions, DOCUMENTS)
    assert read_output(path, "the test part", DOCUMENTS) == (predictions, [])


@pytest.mark.parametrize("content", [SPANS, PUBTATOR, ROWS])
def test_documents_that_are_not_asked_for_or_not_there(tmp_path: Path, content: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(content)
    found, notes = read_output(path, "the test part", DOCUMENTS[:1])
    assert found == FOUND[:1]
    assert notes == ["not scored, for they are not asked for: 1 document"]
    third = Document("d3", "Gout again")
    with pytest.raises(
        UserError, match=r"1 of 2 documents of the test part are not there \(d3\); .*allow"
    ):
        read_output(path, "the test part", [DOCUMENTS[0], third])
    found, notes = read_output(path, "the test part", [*DOCUMENTS, third], allow_missing=True)
    assert found == [*FOUND, Prediction("d3")]
    assert notes == ["not there, so taken as predicted empty: 1 document"]
    with pytest.raises(
        UserError, match=r"none of its documents \(d[12], d[12]\) is one of the test part"
    ):
        read_output(path, "the test part", [third], allow_missing=True)


def test_a_text_may_differ_where_no_mention_is(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text(PUBTATOR.replace("chills", "chills, and more"))
    found, notes = read_output(path, "the test part", DOCUMENTS)
    assert found == FOUND
    assert notes == ["text differs from the gold's, but not where a mention is: 1 document (d1)"]
    path.write_text(
        PUBTATOR.replace("d1|t|Gout title", "d1|t|Gout Title")
        .replace("d2|t|No gout", "d2|t|No goat")
        .replace("\tgout\t", "\tgoat\t")
    )
    with pytest.raises(
        DataError, match="d2 was predicted on another text: 'goat' at 3-7 is 'gout'"
    ):
        read_output(path, "the test part", DOCUMENTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SPANS.replace("Fever", "Fewer"), r"out.jsonl:2: text 'Fewer' at 11-16 is 'Fever'"),
        (SPANS.replace('"Sign"', '""'), "out.jsonl:2: a span needs a type"),
        (SPANS.replace('"end": 7', '"end": 99'), "out.jsonl:1: offset 99 is outside"),
        (SPANS + SPANS, "out.jsonl:3: document d2 is also on line 1"),
        (PUBTATOR.replace("11\t16\tFever", "10\t15\tFever"), "out.jsonl:4: Sign at 10-15 is"),
        (ROWS.replace('"fragments"', '"spans"'), "out.jsonl:1: .*'spans' is unknown"),
        ("the patient has gout", "out.jsonl:1: predictions in no format"),
        ("{}", "out.jsonl:1: has neither 'document' nor 'id'"),
        ("{", "out.jsonl:1: Expecting"),
        ("", "out.jsonl:1: predictions in no format"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_output(path, "the test part", DOCUMENTS)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"predictions=.*there is no such file or folder"):
        read_output(tmp_path / "out", "the test part", DOCUMENTS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no file matches"):
        read_output(tmp_path / "empty", "the test part", DOCUMENTS)
