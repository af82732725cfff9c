"""Files of rows, one a document: JSONL, a JSON array, and Parquet."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from medner.corpora.files import SourceFile
from medner.corpora.raw import Problems, RawDocument
from medner.errors import DataError

PATTERNS = ("*.jsonl", "*.json", "*.parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """A row's values by name. ``line`` is its line in JSONL; of the other forms ``place`` names the
    row, for they have no lines. ``number`` counts from 1, in JSONL blank lines too."""

    file: SourceFile
    place: str
    line: int | None
    number: int
    values: dict[str, Any]


def read_rows(
    files: Sequence[SourceFile], problems: Problems, to_document: Callable[[Row], RawDocument]
) -> list[RawDocument]:
    """The documents, in order of files and rows.

    ``to_document`` raises ValueError for what is wrong in a row; here it gets its place. Raises
    DataError for that, for a row that is no JSON object, and for a file that is none of the three.
    """
    documents: list[RawDocument] = []
    for file in files:
        for place, line, number, parse in _rows(file):
            with problems.document():
                try:
                    values = parse()
                    if not isinstance(values, dict):
                        raise ValueError(f"a row is a JSON object, not {short(values)}")
                    documents.append(to_document(Row(file, place, line, number, values)))
                except json.JSONDecodeError as error:
                    raise DataError(
                        place,
                        line,
                        f"is no JSON ({error.msg} at character {error.pos + 1})",
                        "write one JSON object a line, or one array of objects",
                    ) from None
                except (ValueError, RecursionError) as error:
                    raise DataError(place, line, str(error)) from None
    return documents


def _rows(file: SourceFile) -> Iterator[tuple[str, int | None, int, Callable[[], Any]]]:
    """Place, line, number and a function that gives the value, of each row."""
    if file.data.startswith(b"PAR1"):  # as every Parquet file does
        rows = _parquet(file)
    elif file.name.lower().endswith(".parquet"):
        raise DataError(file.place, None, "is no Parquet file", "fetch it anew")
    elif file.data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        rows = _json_array(file)
    else:
        for number, line in enumerate(file.lines(), start=1):
            if line.strip():
                yield file.place, number, number, partial(_parsed, line)
        return
    for number, row in enumerate(rows, start=1):
        yield f"{file.place} row {number}", None, number, partial(_same, row)


def _same(row: Any) -> Any:
    return row


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a field occur twice, and Python would take the last in silence."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"field {short(name)} occurs twice in an object; keep one")
        values[name] = value
    return values


def _json_array(file: SourceFile) -> list[Any]:
    try:
        return _parsed("\n".join(file.lines()))
    except json.JSONDecodeError as error:
        raise DataError(
            file.place, error.lineno, f"is no JSON ({error.msg})", "mend the array, or write JSONL"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(file.place, None, f"cannot be read as JSON ({error})") from None


def _parquet(file: SourceFile) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(pyarrow.BufferReader(file.data)).to_pylist()
    # ArrowInvalid and a string that is not UTF-8 are ValueErrors
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        problem = f"cannot be read as Parquet ({str(error).splitlines()[0]})"
        raise DataError(file.place, None, problem, "fetch it anew") from error


def get(values: Any, name: str, kind: type, optional: bool = False) -> Any:
    """A field of a row or of an object in it; None where an optional one is missing or null.

    Raises ValueError, also where it is of another kind.
    """
    if not isinstance(values, dict):
        raise ValueError(f"an object with a field {name} is wanted, not {short(values)}")
    value = values.get(name)
    if value is None and optional:
        return None
    if name not in values:
        there = ", ".join(values) or "none"
        raise ValueError(f"there is no field {name} (there is {there}); check the format")
    return typed(value, kind, name)


_KINDS = {str: "text", int: "an integer", list: "a list"}


def typed(value: Any, kind: type, name: str) -> Any:
    """Raises ValueError where ``value`` is of another kind."""
    if type(value) is not kind:  # exactly: True is an int to isinstance
        raise ValueError(f"{name} is to be {_KINDS[kind]}, not {short(value)}")
    return value


def spans(value: Any, name: str) -> tuple[tuple[int, int], ...]:
    """A list of [start, end]. Raises ValueError."""
    pairs = []
    for pair in typed(value, list, name):
        if not isinstance(pair, list) or len(pair) != 2 or {type(at) for at in pair} != {int}:
            raise ValueError(f"{name} is to be a list of [start, end], not {short(value)}")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def row_id(values: dict[str, Any], *names: str) -> str | None:
    """The first of the fields that is there, as text; None where none is. Raises ValueError."""
    for name in names:
        if (value := values.get(name)) is not None:
            if type(value) is int:
                return str(value)
            if not typed(value, str, name).strip():
                raise ValueError(f"{name} is empty; give each document an id of its own")
            return value
    return None


def short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
