"""Files of rows: the three forms give the same rows, and say where one is wrong."""

import json

import pytest
from handmade import ROW_FILES, jsonl, read, write

from medner.errors import DataError

GOOD = {"id": "1", "tokens": ["He", "has", "gout"], "tags": ["O", "O", "B-Disease"]}


@pytest.mark.parametrize("form", ROW_FILES)
def test_the_place_of_a_row(form, tmp_path):
    write(tmp_path, {f"x.{form}": ROW_FILES[form]([GOOD, {**GOOD, "tags": ["O"]}])})
    place = "x.jsonl:2" if form == "jsonl" else f"x.{form} row 2"
    with pytest.raises(DataError, match=rf"/{place}: there are 3 tokens, but 1 tags; give every"):
        read("tokens", tmp_path)
    corpus = read("tokens", tmp_path, on_error="skip")
    assert [document.id for document in corpus.documents] == ["1"]
    assert len(corpus.skipped) == 1


def test_the_form_is_told_by_what_the_file_holds(tmp_path):
    """A file that is named is read whatever its name."""
    for form, write_rows in ROW_FILES.items():
        path = write(tmp_path, {form: write_rows([GOOD])}) / form
        assert [document.id for document in read("tokens", path).documents] == ["1"]
    path = write(tmp_path, {"x": b"\xef\xbb\xbf \n" + ROW_FILES["json"]([GOOD])}) / "x"
    assert [document.id for document in read("tokens", path).documents] == ["1"]


def test_blank_lines_and_crlf(tmp_path):
    lines = jsonl([GOOD, {**GOOD, "id": "2"}]).replace(b"\n", b"\r\n\r\n")
    corpus = read("tokens", write(tmp_path, {"x.jsonl": b"\xef\xbb\xbf\r\n" + lines}))
    assert [document.id for document in corpus.documents] == ["1", "2"]


def test_a_line_that_holds_a_line_separator_is_one(tmp_path):
    row = {**GOOD, "tokens": ["He", "\u2028\x85", "gout"]}
    content = json.dumps(row, ensure_ascii=False)
    corpus = read("tokens", write(tmp_path, {"x.jsonl": content}))
    assert corpus.documents[0].text == "He \u2028\x85 gout"


ERRORS = {
    "3": ":1: a row is a JSON object, not 3",
    '"text"': ":1: a row is a JSON object, not 'text'",
    "{}": ":1: there is no field tokens (there is none); check the format",
    "\n{'a': 1}": ":2: is no JSON (Expecting property name enclosed in double quotes at character "
    "2); write one JSON object a line, or one array of objects",
    '{\n"tokens": []}': ":1: is no JSON (Expecting property name enclosed in double quotes at ",
    "[3]": " row 1: a row is a JSON object, not 3",
    '["{}"]': " row 1: a row is a JSON object, not '{}'",
    "[\n{},": ":2: is no JSON (Expecting value); mend the array, or write JSONL",
    "[" * 100_000: ": cannot be read as JSON (maximum recursion depth exceeded",
}


@pytest.mark.parametrize(("content", "message"), ERRORS.items(), ids=range(len(ERRORS)))
def test_errors(content, message, tmp_path):
    write(tmp_path, {"x.json": content})
    with pytest.raises(DataError) as error:
        read("tokens", tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/x.json{message}")
