"""Rows that hold a text each: JSON lines, CSV and Parquet, read as they come.

What is wrong with a row is kept with its place, and the next row is read.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from medner.corpora.rows import short

_LARGEST = 2**27  # characters of a CSV's field: a quote that nothing closes is no text
_ROWS = 256  # of a Parquet file, at once
_BUFFER = 2**20  # bytes of a Parquet file's column, at once
_DELIMITERS = ",\t;|"

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class InputText:
    """A document to predict, or what should have been one: then ``problem`` says why it is none.

    ``file`` and ``line`` say where it stands: a row's line from 1, in Parquet its number; None for
    a file that is a text.
    """

    file: str
    line: int | None
    id: str = ""
    text: str = ""
    problem: str | None = None

    @classmethod
    def of(cls, file: str, line: int | None, id: str, text: Any) -> "InputText":
        """With what is wrong with the text, if something is."""
        if not isinstance(text, str):
            found = "null" if text is None else f"not {short(text)}"
            return cls(file, line, id, problem=f"the text is to be text, {found}")
        if problem := unwritable(text):
            return cls(file, line, id, problem=f"the text {problem}")
        if not text.strip():
            white = ", but for white space" if text else ""
            return cls(file, line, id, problem=f"the text is empty{white}")
        return cls(file, line, id, text)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row has its text and its id; without ``id`` it is the column ``id``, or else the
    row's number."""

    text: str = "text"
    id: str | None = None

    def lacking(self, names: list[str]) -> str | None:
        """The first of the columns that were asked for and are not among these."""
        return next((name for name in (self.text, self.id) if name and name not in names), None)


def unwritable(text: str) -> str | None:
    """Why UTF-8 cannot hold a text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"has half of a surrogate pair at character {error.start}, which UTF-8 cannot hold"
    return None


def read_jsonl(
    file: BinaryIO, place: str, columns: Columns, prefix: str, advance: Advance
) -> Iterator[InputText]:
    """A document a line; blank lines are passed over.

    Args:
        place: how the file is called.
        prefix: of the ids that are numbers of rows.
        advance: called with the number of bytes that were read.
    """
    for number, line in enumerate(file, start=1):
        advance(len(line))
        if not line.strip():
            continue
        try:
            decoded = line.rstrip(b"\r\n").decode("utf-8-sig" if number == 1 else "utf-8")
            values = json.loads(decoded)
            if not isinstance(values, dict):
                raise ValueError(f"a line is a JSON object, not {short(values)}")
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 at byte {error.start} of the line"
        except json.JSONDecodeError as error:
            problem = f"is no JSON ({error.msg}: character {error.pos + 1})"
        except (ValueError, RecursionError) as error:
            problem = str(error)
        else:
            yield _text_of(values, place, number, number, columns, prefix)
            continue
        yield InputText(place, number, problem=problem)


def read_csv(
    file: BinaryIO, place: str, columns: Columns, prefix: str, advance: Advance
) -> Iterator[InputText]:
    """A document a record, below a header; arguments as of :func:`read_jsonl`.

    Fields are separated by commas, or by tabs, semicolons or bars if the header says so.
    """
    csv.field_size_limit(_LARGEST)
    names, reader = _csv_header(file, columns, advance)
    if missing := columns.lacking(names):
        yield InputText(place, 1, problem=no_column(missing, names))
        return
    number = 0
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fields, problem = None, str(error)
        if fields == []:
            continue  # a blank line
        number += 1
        if fields is not None and len(fields) != len(names):
            problem = f"{len(fields)} fields, and the header has {len(names)}; quote the text"
            fields = None
        if fields is None:
            yield InputText(place, line, problem=problem)
        elif unwritable("".join(fields)):  # bytes that were escaped
            yield InputText(place, line, problem="not UTF-8")
        else:
            values = dict(zip(names, fields, strict=True))
            yield _text_of(values, place, line, number, columns, prefix)


def csv_names(path: Path, columns: Columns) -> list[str]:
    """The names in a CSV's header."""
    with path.open("rb") as file:
        return _csv_header(file, columns, lambda _: None)[0]


def _csv_header(file: BinaryIO, columns: Columns, advance: Advance) -> tuple[list[str], Any]:
    """The names, and a reader of the records behind them."""

    def lines() -> Iterator[str]:
        for number, line in enumerate(file):
            advance(len(line))
            text = line.decode("utf-8", "surrogateescape")
            yield text if number else text.removeprefix("\ufeff")

    rest = lines()
    header = next(rest, "")
    found = (d for d in _DELIMITERS if columns.text in _record(csv.reader([header], delimiter=d)))
    reader = csv.reader(chain([header], rest), delimiter=next(found, ","))
    return _record(reader), reader


def _record(reader: Iterator[list[str]]) -> list[str]:
    try:
        return next(reader, [])
    except csv.Error:
        return []


def read_parquet(
    path: Path, place: str, columns: Columns, prefix: str, advance: Advance
) -> Iterator[InputText]:
    """A document a row; arguments as of :func:`read_jsonl`."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        # a column is read as it is needed, not a row group at once
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            names = file.schema_arrow.names
            if missing := columns.lacking(names):
                yield InputText(place, None, problem=no_column(missing, names))
                return
            wanted = [name for name in (columns.text, columns.id or "id") if name in names]
            share = path.stat().st_size / max(1, file.metadata.num_rows)
            for batch in file.iter_batches(_ROWS, columns=wanted):
                for at in range(batch.num_rows):
                    number += 1
                    try:
                        values = {name: batch[name][at].as_py() for name in wanted}
                    except UnicodeDecodeError:
                        yield InputText(place, number, problem="not UTF-8")
                    else:
                        yield _text_of(values, place, number, number, columns, prefix)
                advance(round(share * batch.num_rows))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        problem = f"cannot be read as Parquet ({str(error).splitlines()[0]})"
        yield InputText(place, number + 1 if number else None, problem=problem)


def parquet_names(path: Path) -> list[str]:
    """The names of a Parquet file's columns; none if it cannot be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(path).names
    except (pyarrow.ArrowException, OSError, ValueError):
        return []


def no_column(missing: str, names: list[str]) -> str:
    return f"there is no column {missing} ({', '.join(map(short, names)) or 'nor any other'})"


def _text_of(
    values: Mapping[str, Any], place: str, line: int, number: int, columns: Columns, prefix: str
) -> InputText:
    id = values.get(columns.id or "id")
    if id is None and columns.id is None:
        id = f"{prefix}{number}"
    if type(id) is int:
        id = str(id)
    if not isinstance(id, str) or not id.strip() or unwritable(id):
        name = columns.id or "id"
        return InputText(
            place, line, problem=f"{name} is to be text or an integer, not {short(id)}"
        )
    if columns.text not in values:
        return InputText(place, line, id, problem=no_column(columns.text, list(values)))
    return InputText.of(place, line, id, values[columns.text])
