"""What predict.py reads: order, ids, places, and what is wrong with single documents."""

import csv
import io
import json
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medner.errors import ConfigError, UserError
from medner.input_rows import Columns, InputText, read_csv, read_jsonl
from medner.inputs import Input, open_input

TEXTS = {"b": "Fever.", "a": "No fever.", "ward 7/c.v1": "𝛽-blocker\r\nand\u2028more", "a-1": "x"}
ROWS = [{"id": name, "text": text} for name, text in TEXTS.items()]


def notes(folder: Path, suffix: str = ".txt") -> Path:
    for name, text in TEXTS.items():
        path = folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def read(source: Input) -> list[tuple[str, str]]:
    found = list(source)
    assert not [each for each in found if each.problem], found
    return [(each.id, each.text) for each in found]


def problems(source: Input) -> list[tuple[str, int | None, str]]:
    return [(Path(e.file).name, e.line, e.problem) for e in source if e.problem]


def jsonl(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


# ---------------------------------------------------------------- texts


def test_a_folder_of_texts_is_read_by_name_with_paths_as_ids(tmp_path: Path) -> None:
    folder = notes(tmp_path / "notes", ".TXT")
    for clutter in (".hidden.txt", "__MACOSX/a.txt", "a.ann", "b.ann", "readme.md"):
        (folder / clutter).parent.mkdir(exist_ok=True)
        (folder / clutter).write_text("clutter")
    (folder / "link").symlink_to(folder)  # a circle
    source = open_input(str(folder))
    names = ["a-1", "a", "b", "ward 7/c.v1"]
    assert read(source) == [(name, TEXTS[name]) for name in names]
    assert (
        source.note
        == "4 files of text; annotations are not read (2 .ann); 1 other file passed over"
    )
    assert source.size == source.position == sum(len(text.encode()) for text in TEXTS.values())
    assert read(source) == [(name, TEXTS[name]) for name in names]  # again


def test_a_single_text(tmp_path: Path) -> None:
    path = tmp_path / "note.v1.txt"
    path.write_bytes("\ufeffFever".encode())  # offsets are those of the file
    assert read(open_input(str(path))) == [("note.v1", "\ufeffFever")]
    path.rename(tmp_path / "note")
    with pytest.raises(ConfigError, match="say input_format=text, jsonl, csv or parquet"):
        open_input(str(tmp_path / "note"))
    assert read(open_input(str(tmp_path / "note"), "text")) == [("note", "\ufeffFever")]


def test_texts_that_cannot_be_read_are_told_and_passed(tmp_path: Path) -> None:
    folder = notes(tmp_path / "notes")
    (folder / "b.txt").write_bytes(b"one\ntwo \xff")
    (folder / "c.txt").symlink_to(tmp_path / "gone")
    (folder / "d.txt").write_bytes(b"")
    (folder / "e.txt").write_bytes(b" \n\xc2\xa0")
    source = open_input(str(folder))
    assert problems(source) == [
        ("b.txt", 2, "not UTF-8 at byte 8"),
        ("c.txt", None, "cannot be read (No such file or directory)"),
        ("d.txt", None, "the text is empty"),
        ("e.txt", None, "the text is empty, but for white space"),
    ]
    assert [each.id for each in source if not each.problem] == ["a-1", "a", "ward 7/c.v1"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    Path(
        str(tmp_path).encode().decode(), b"a\xff.txt".decode("utf-8", "surrogateescape")
    ).write_text("Fever.")
    (found,) = open_input(str(tmp_path))
    assert found.problem == "its name is not UTF-8"
    assert found.file.endswith(r"a\udcff.txt")


# ---------------------------------------------------------------- rows


def test_rows_of_each_form_give_the_same_documents(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", *ROWS)
    for name, delimiter in (("comma.csv", ","), ("semi.csv", ";"), ("tab.tsv", "\t")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, ["id", "more", "text"], delimiter=delimiter)
            writer.writeheader()
            writer.writerows({**row, "more": 'a "quoted", thing; here'} for row in ROWS)
    table = pyarrow.Table.from_pylist([{"note": 1, **row} for row in ROWS])
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    for path in tmp_path.iterdir():
        source = open_input(str(path))
        assert read(source) == list(TEXTS.items()), path
        assert source.position == source.size == path.stat().st_size


def test_columns_can_be_named_and_ids_are_numbers_of_rows_without(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "rows.jsonl", {"pmid": 17, "abstract": "a"}, {"pmid": 4, "abstract": "b"}
    )
    assert read(open_input(str(path), columns=Columns("abstract"))) == [("1", "a"), ("2", "b")]
    named = Columns("abstract", "pmid")
    assert read(open_input(str(path), columns=named)) == [("17", "a"), ("4", "b")]
    with pytest.raises(
        ConfigError, match=r"text_column=text: .*rows.jsonl: .*\('pmid', 'abstract'\)"
    ):
        open_input(str(path))
    with pytest.raises(ConfigError, match="id_column=doi: "):
        open_input(str(path), columns=Columns("abstract", "doi"))
    (tmp_path / "rows.csv").write_text("pmid,abstract\n17,a\n")
    with pytest.raises(ConfigError, match=r"text_column=text: .*rows.csv: there is no column text"):
        open_input(str(tmp_path / "rows.csv"))


def test_shards_are_read_in_order_and_numbers_are_those_in_the_shard(tmp_path: Path) -> None:
    jsonl(tmp_path / "shards" / "2.jsonl", {"text": "c"})
    jsonl(tmp_path / "shards" / "1.jsonl", {"text": "a"}, {"text": "b", "id": "mine"})
    jsonl(tmp_path / "shards" / "sub" / "3.jsonl", {"text": "d"})
    source = open_input(str(tmp_path / "shards"))
    assert read(source) == [("1/1", "a"), ("mine", "b"), ("2/1", "c"), ("sub/3/1", "d")]
    (tmp_path / "shards" / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"several kinds \(1 of text and 3 of jsonl\)"):
        open_input(str(tmp_path / "shards"))
    assert len(read(open_input(str(tmp_path / "shards"), "jsonl"))) == 4


def test_rows_that_are_no_documents_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"text": "good"}\n\n{"text": 17}\n{"text": null}\n[1]\n{"text": "cut\n'
        b'{"text": "\xff"}\n{"tex": "x"}\n{"text": "\\ud83d"}\n{"text": "x", "id": 1.5}\n'
        b'{"text": "x", "id": " "}\n{"text": " "}\n' + b"[" * 100_000 + b'\n{"text": "last"}'
    )
    source = open_input(str(path))
    assert problems(source) == [
        ("rows.jsonl", 3, "the text is to be text, not 17"),
        ("rows.jsonl", 4, "the text is to be text, null"),
        ("rows.jsonl", 5, "a line is a JSON object, not [1]"),
        ("rows.jsonl", 6, "is no JSON (Unterminated string starting at: character 10)"),
        ("rows.jsonl", 7, "not UTF-8 at byte 10 of the line"),
        ("rows.jsonl", 8, "there is no column text ('tex')"),
        ("rows.jsonl", 9, "the text has half of a surrogate pair at character 0, which UTF-8 "
                          "cannot hold"),
        ("rows.jsonl", 10, "id is to be text or an integer, not 1.5"),
        ("rows.jsonl", 11, "id is to be text or an integer, not ' '"),
        ("rows.jsonl", 12, "the text is empty, but for white space"),
        ("rows.jsonl", 13, next(e.problem for e in source if e.line == 13)),
    ]  # fmt: skip
    assert [each.text for each in source if not each.problem] == ["good", "last"]


def test_records_of_a_csv_that_are_no_documents(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(
        b'id,text\n1,"two\nlines"\n\n2,not, quoted\n3,\xff\n4,\n5,"a ""word""",\n6,fine\n'
        b'7,"open\nend\n'
    )
    source = open_input(str(path))
    assert problems(source) == [
        ("rows.csv", 5, "3 fields, and the header has 2; quote the text"),
        ("rows.csv", 6, "not UTF-8"),
        ("rows.csv", 7, "the text is empty"),
        ("rows.csv", 8, "3 fields, and the header has 2; quote the text"),
    ]
    assert [(each.line, each.text) for each in source if not each.problem] == [
        (2, "two\nlines"), (9, "fine"), (10, "open\nend\n")
    ]  # fmt: skip


def test_parquet_that_is_none_and_values_that_are_no_text(tmp_path: Path) -> None:
    table = pyarrow.table({"text": pyarrow.array(["a", None, "b"]), "id": [3, 4, 5]})
    pyarrow.parquet.write_table(table, tmp_path / "1.parquet")
    (tmp_path / "2.parquet").write_bytes(b"PAR1 nothing")
    pyarrow.parquet.write_table(pyarrow.table({"text": [1.5]}), tmp_path / "3.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"note": ["a"]}), tmp_path / "4.parquet")
    found = problems(open_input(str(tmp_path)))
    assert [(name, line) for name, line, _ in found] == [
        ("1.parquet", 2), ("2.parquet", None), ("3.parquet", 1), ("4.parquet", None)
    ]  # fmt: skip
    assert found[1][2].startswith("cannot be read as Parquet (")
    assert found[3][2] == "there is no column text ('note')"


def test_what_there_is_nothing_of(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file or folder"):
        open_input(str(tmp_path / "x"))
    with pytest.raises(UserError, match=r"holds no file that ends with \.txt or \.jsonl or"):
        open_input(str(tmp_path))
    with pytest.raises(UserError, match=r"holds no file that ends with \.csv or \.tsv"):
        open_input(str(tmp_path), "csv")
    with pytest.raises(ConfigError, match="Parquet cannot be read from standard input"):
        open_input("-", "parquet")
    (tmp_path / "a.json").write_text('[{"text": "a"}]')
    with pytest.raises(ConfigError, match="is one JSON array; write one object a line"):
        open_input(str(tmp_path / "a.json"))


# ---------------------------------------------------------------- whatever comes


def read_all(read: object, data: bytes) -> list[InputText]:
    taken = []
    found = list(read(io.BytesIO(data), "x", Columns(), "", taken.append))
    assert sum(taken) == len(data) or "there is no column" in found[0].problem
    assert all(each.problem or each.text.encode().strip() for each in found)
    return found


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))))
def test_any_bytes_are_lines_of_json_or_told(lines: list[bytes]) -> None:
    found = read_all(read_jsonl, b"\n".join(lines))
    assert [each.line for each in found] == [
        number for number, line in enumerate(lines, start=1) if line.strip()
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_records_of_a_csv_or_told(data: bytes) -> None:
    read_all(read_csv, b"id,text\n" + data)
    read_all(read_csv, data)


@given(st.lists(st.fixed_dictionaries({"text": st.text(max_size=20), "id": st.text(max_size=5)})))
def test_rows_that_python_writes_are_read(rows: list[dict[str, str]]) -> None:
    """All of them: CSV as the library quotes it, and JSON with escapes."""
    as_csv = io.StringIO(newline="")
    writer = csv.DictWriter(as_csv, ["text", "id"])
    writer.writeheader()
    writer.writerows(rows)
    try:
        data = as_csv.getvalue().encode()
    except UnicodeEncodeError:
        data = None
    as_json = "".join(json.dumps(row) + "\n" for row in rows).encode()
    for read, written in ((read_jsonl, as_json), (read_csv, data)):
        if written is None:
            continue
        found = read_all(read, written)
        assert len(found) == len(rows)
        for row, each in zip(rows, found, strict=True):
            assert each.problem or (each.id, each.text) == (row["id"], row["text"])
