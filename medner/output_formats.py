"""What predictions are written as: JSON lines, Parquet, brat, pages to look at.

All of them write into a folder, document after document, so that another process can go on after
one was killed: files that appear whole, and one that only grows, the *part*, of which the result is
made in the end. See :mod:`medner.output_folder`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from medner.errors import ConfigError
from medner.files import GrowingFile, written_whole
from medner.input_rows import InputText
from medner.prediction_files import prediction_line
from medner.predictions import Prediction
from medner.report.annotated import Pages

_ROWS = 4096  # of a row group of Parquet
# bytes: most systems take 255, of which a file that is being written takes some
_LONGEST_NAME = 200


class Writer(Protocol):
    """Writes one format into the folder of ``part``; ``types`` are all that spans can have."""

    def __init__(self, part: GrowingFile, types: Sequence[str]) -> None: ...

    @staticmethod
    def check(types: Sequence[str]) -> None:
        """Raises ConfigError if the format cannot express spans of these types."""

    def add(self, text: InputText, prediction: Prediction) -> str | None:
        """Write a document, or say why it cannot be written."""

    def pool_ends(self) -> None:
        """Write what was kept back: all that was added is about to be recorded as done."""

    @staticmethod
    def finish(part: Path) -> None:
        """Make the result of the part, which is gone then. If a process is killed here, the next
        one does it again."""


class JsonLines:
    """``predictions.jsonl``: see :mod:`medner.prediction_files`."""

    def __init__(self, part: GrowingFile, types: Sequence[str]) -> None:
        self._part = part

    @staticmethod
    def check(types: Sequence[str]) -> None:
        pass

    def add(self, text: InputText, prediction: Prediction) -> str | None:
        self._part.write(prediction_line(prediction, text.text))
        return None

    def pool_ends(self) -> None:
        pass

    @staticmethod
    def finish(part: Path) -> None:
        part.replace(part.with_name("predictions.jsonl"))


class Parquet(JsonLines):
    """``predictions.parquet``: a row a document, with columns as of :func:`parquet_schema`."""

    @staticmethod
    def finish(part: Path) -> None:
        with part.open(encoding="utf-8") as lines:
            write_parquet(part.with_name("predictions.parquet"), map(json.loads, lines))
        part.unlink()


def parquet_schema() -> Any:
    """``document`` and ``spans``: a list of ``start``, ``end``, ``type``, ``text``, ``confidence``,
    and ``fragments``, which only what is discontinuous has."""
    import pyarrow

    span = {
        "start": pyarrow.int64(), "end": pyarrow.int64(), "type": pyarrow.string(),
        "text": pyarrow.string(), "confidence": pyarrow.float64(),
        "fragments": pyarrow.list_(pyarrow.list_(pyarrow.int64())),
    }  # fmt: skip
    spans = pyarrow.list_(pyarrow.struct(list(span.items())))
    return pyarrow.schema([("document", pyarrow.string()), ("spans", spans)])


def write_parquet(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records, as a line of JSON has them; the file appears whole or not at all."""
    import pyarrow
    import pyarrow.parquet

    schema = parquet_schema()
    with (
        written_whole(path, binary=True) as file,
        pyarrow.parquet.ParquetWriter(file, schema) as writer,
    ):
        for rows in _stretches(records, _ROWS):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


class Brat:
    """``ID.txt`` and ``ID.ann`` of each document, and an annotation.conf, by which brat knows the
    types (https://brat.nlplab.org/standoff.html).

    A confidence is an annotator's note. What reaches over the end of a line is in several pieces,
    as brat itself writes it: it takes no mention that has one.
    """

    def __init__(self, part: GrowingFile, types: Sequence[str]) -> None:
        self._folder = part.path.parent
        sections = ["[entities]", *types, "", "[relations]", "", "[events]", "", "[attributes]"]
        with written_whole(self._folder / "annotation.conf") as file:
            file.write("\n".join(sections) + "\n")

    @staticmethod
    def check(types: Sequence[str]) -> None:
        for type_ in types:
            if re.search(r"\s", type_):
                raise ConfigError(
                    f"format=brat: type {type_!r} has white space, which ends a type there; take "
                    "format=jsonl, or a label map"
                )

    def add(self, text: InputText, prediction: Prediction) -> str | None:
        if problem := _no_path(text.id):
            return problem
        path = self._folder / f"{text.id}.txt"
        data = text.text.encode()
        try:
            # after a kill it may be there; of another text, it is another document
            if path.exists() and path.read_bytes() != data:
                return f"id {text.id!r} is that of another document, too"
            with written_whole(path, binary=True) as file:
                file.write(data)
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            return f"id {text.id!r} is a folder for one document and a file for another"
        with written_whole(path.with_name(f"{path.name[:-4]}.ann")) as file:
            file.write(standoff(prediction, text.text))
        return None

    def pool_ends(self) -> None:
        pass

    @staticmethod
    def finish(part: Path) -> None:
        part.unlink()


def standoff(prediction: Prediction, text: str) -> str:
    """The lines of an ``.ann``."""
    lines = []
    for number, span in enumerate(prediction.spans, start=1):
        fragments = [piece for fragment in span.fragments for piece in _on_lines(text, *fragment)]
        offsets = ";".join(f"{start} {end}" for start, end in fragments)
        mention = " ".join(text[start:end] for start, end in fragments)
        lines.append(f"T{number}\t{span.type} {offsets}\t{mention}\n")
        if span.confidence is not None:
            lines.append(f"#{number}\tAnnotatorNotes T{number}\tconfidence {span.confidence:.4f}\n")
    return "".join(lines)


def _on_lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a fragment on each line, without the white space round them. Lines end where
    Python's do, as brat reads its files."""
    for line in text[start:end].splitlines(keepends=True):
        if mention := line.strip():
            first = start + line.index(mention)
            yield first, first + len(mention)
        start += len(line)


def _no_path(id: str) -> str | None:
    """Why an id is no name of a file below the folder."""
    parts = PurePosixPath(id).parts
    if "\\" in id or "\0" in id or "/".join(parts) != id or any(p.startswith(".") for p in parts):
        return f"id {id!r} is no name of a file; take format=jsonl, or another id_column"
    if max(len(part.encode()) for part in parts) > _LONGEST_NAME:
        return f"id {id[:40]!r}... is too long for a file's name"
    return None


def _stretches(records: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for record in records:
        rows.append(record)
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


FORMATS: dict[str, type[Writer]] = {
    "brat": Brat, "jsonl": JsonLines, "parquet": Parquet, "html": Pages,
}  # fmt: skip
