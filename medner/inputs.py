"""What is to be predicted: texts in files or on standard input, one after another.

Files are read in the order of their names, a folder's in place of its name; of what is read nothing
is kept. Each document that cannot be read is told with its place, and does not end the reading.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from medner.errors import ConfigError, UserError
from medner.id_files import count
from medner.input_rows import (
    Advance,
    Columns,
    InputText,
    csv_names,
    no_column,
    parquet_names,
    read_csv,
    read_jsonl,
    read_parquet,
)

STANDARD = "-"  # standard input, and output
KINDS = ("text", "jsonl", "csv", "parquet")
_SUFFIXES = {
    ".txt": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet",
}  # fmt: skip
_ALONE = _SUFFIXES | {".json": "jsonl", ".text": "text", ".md": "text"}  # of a file that is named


@dataclass(eq=False)
class Input:
    """Documents of one kind, to be gone through once or more.

    ``path`` is a folder, a file or ``STANDARD``. ``size`` is that of all files, in bytes, None of
    standard input; ``position`` says how far the last reading came. ``note`` says what is passed
    over.
    """

    path: str
    kind: str
    columns: Columns = field(default_factory=Columns)
    size: int | None = None
    note: str = ""
    position: int = 0

    def __iter__(self) -> Iterator[InputText]:
        self.position = 0
        if self.path == STANDARD:
            yield from self._standard()
            return
        for path in self.files():
            yield from self.read(path)

    def files(self) -> Iterator[Path]:
        """Those that are read, in their order. Raises UserError if a folder cannot be read."""
        root = Path(self.path)
        if not root.is_dir():
            yield root
            return
        for path in walk(root):
            if _SUFFIXES.get(path.suffix.lower()) == self.kind:
                yield path

    def name(self, path: Path) -> str:
        """What one of the files is called: its path in the folder, without its suffix."""
        root = Path(self.path)
        inner = path.relative_to(root) if root.is_dir() else PurePath(path.name)
        return inner.with_suffix("").as_posix()

    def read(self, path: Path) -> Iterator[InputText]:
        """The documents of one of the files."""
        name = self.name(path)
        prefix = f"{name}/" if Path(self.path).is_dir() else ""
        return read_file(path, self.kind, self.columns, name, prefix, self._advance)

    def _standard(self) -> Iterator[InputText]:
        file = sys.stdin.buffer
        if self.kind == "text":
            yield _text(file.read(), "standard input", "stdin")
        else:
            read = read_jsonl if self.kind == "jsonl" else read_csv
            yield from read(file, "standard input", self.columns, "", self._advance)

    def _advance(self, read: int) -> None:
        self.position += read


def open_input(path: str, kind: str | None = None, columns: Columns | None = None) -> Input:
    """Look at what there is to read; of rows also whether the first file has the columns.

    Args:
        path: a folder (with its subfolders), a file, or ``STANDARD``.
        kind: one of ``KINDS``; None to go by the files' names. Standard input then is JSON lines.

    Raises:
        ConfigError: if options and files do not fit.
        UserError: if there is nothing to read.
    """
    columns = columns or Columns()
    if path == STANDARD:
        if kind == "parquet":
            raise ConfigError("input=-: Parquet cannot be read from standard input; give the file")
        return Input(path, kind or "jsonl", columns)
    root = Path(path).expanduser()
    if not root.exists():
        raise UserError(f"input={path}: there is no such file or folder")
    if root.is_file():
        kind = kind or _ALONE.get(root.suffix.lower())
        if kind is None:
            raise ConfigError(
                f"input={path}: its name does not tell what it is; say input_format=text, jsonl, "
                "csv or parquet"
            )
        found = Input(str(root), kind, columns, root.stat().st_size)
    else:
        found = _open_folder(root, kind, columns)
    _check_columns(found)
    return found


def _open_folder(root: Path, kind: str | None, columns: Columns) -> Input:
    sizes: Counter[str] = Counter()
    files: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for path in walk(root):
        suffix = path.suffix.lower()
        if suffix in _SUFFIXES:
            files[_SUFFIXES[suffix]] += 1
            sizes[_SUFFIXES[suffix]] += path.stat().st_size if path.exists() else 0
        else:
            others[suffix] += 1
    kinds = [kind] if kind else [each for each in KINDS if files[each]]
    if len(kinds) > 1:
        held = " and ".join(f"{files[each]} of {each}" for each in kinds)
        raise ConfigError(f"input={root}: holds files of several kinds ({held}); say input_format=")
    if not kinds or not files[kinds[0]]:
        wanted = [suffix for suffix, each in _SUFFIXES.items() if not kind or each == kind]
        raise UserError(f"input={root}: holds no file that ends with {' or '.join(wanted)}")
    chosen = kinds[0]
    passed_over = sum(others.values()) + sum(files.values()) - files[chosen]
    note = f"{count(files[chosen], 'file')} of {chosen}"
    if chosen == "text" and (beside := others[".ann"]):
        note += f"; annotations are not read ({beside} .ann)"
        passed_over -= beside
    if passed_over:
        note += f"; {count(passed_over, 'other file')} passed over"
    return Input(str(root), chosen, columns, sizes[chosen], note)


def walk(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it, in the order of their names; hidden ones, links to
    folders, and what macOS adds are left out.

    Raises:
        UserError: if a folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from walk(path)
        elif not entry.is_dir():
            yield path


def read_file(
    path: Path, kind: str, columns: Columns, name: str, prefix: str, advance: Advance
) -> Iterator[InputText]:
    """The documents of one file.

    Args:
        name: the id, if the file is a text.
        prefix: of the ids of rows that are numbers.
        advance: called with the number of bytes that were read.
    """
    place = str(path).encode("utf-8", "backslashreplace").decode()  # as Linux has it, any bytes
    try:
        if kind == "parquet":
            yield from read_parquet(path, place, columns, prefix, advance)
            return
        with path.open("rb") as file:
            if kind == "text":
                data = file.read()
                advance(len(data))
                yield _text(data, place, name)
            else:
                read = read_jsonl if kind == "jsonl" else read_csv
                yield from read(file, place, columns, prefix, advance)
    except OSError as error:
        yield InputText(place, None, problem=f"cannot be read ({error.strerror})")


def _text(data: bytes, place: str, name: str) -> InputText:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return InputText(place, line, problem=f"not UTF-8 at byte {error.start}")
    try:
        name.encode()
    except UnicodeEncodeError:
        return InputText(place, None, problem="its name is not UTF-8")
    return InputText.of(place, None, name, text)


def _check_columns(found: Input) -> None:
    """ConfigError if the first file of rows lacks a column that is asked for."""
    if found.kind == "text":
        return
    path = next(found.files())
    names = {"csv": csv_names, "jsonl": _first_keys}.get(found.kind, _parquet)(path, found.columns)
    missing = found.columns.lacking(names) if names else None
    if missing:
        option = "text_column" if missing == found.columns.text else "id_column"
        raise ConfigError(f"{option}={missing}: {path}: {no_column(missing, names)}")


def _parquet(path: Path, _: Columns) -> list[str]:
    return parquet_names(path)


def _first_keys(path: Path, _: Columns) -> list[str]:
    """The names in the first line of a JSONL file, if it can be read."""
    with path.open("rb") as file:
        line = next((line for line in file if line.strip()), b"")
    if line.lstrip().startswith(b"["):
        raise ConfigError(f"input: {path} is one JSON array; write one object a line")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return list(values) if isinstance(values, dict) else []
