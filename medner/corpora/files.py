"""The files of a corpus, from a folder, a single file or a zip, which is read in memory."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from medner.errors import DataError


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file's bytes with its base name and its place, which is how messages call it:
    ``folder/1.ann``, or ``corpus.zip!folder/1.ann``."""

    place: str
    name: str
    data: bytes

    def text(self) -> str:
        """The file as UTF-8, its newlines as they are: offsets count them. Raises DataError."""
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise DataError(
                self.place, line, f"not UTF-8 at byte {error.start}", "convert the file to UTF-8"
            ) from None

    def lines(self) -> list[str]:
        """The lines, without line ends (LF or CRLF) and byte order mark.

        Unlike ``str.splitlines`` it leaves whole a line that holds U+2028 or U+0085.
        """
        text = self.text().removeprefix("\ufeff")
        return [line.removesuffix("\r") for line in text.split("\n")]


def matches(name: str, pattern: str) -> bool:
    """Whether a base name fits a glob pattern, whatever the case."""
    return fnmatchcase(name.lower(), pattern.lower())


def find_files(path: str, patterns: Sequence[str]) -> tuple[list[SourceFile], list[str]]:
    """The files under ``path`` whose names fit one of the patterns, and the places of the others.

    A folder is searched through its subfolders; a single file is taken whatever its name. Both
    lists are in order of base names, then of folders, so that a zip and a folder give the same.
    Hidden files and what macOS adds to a zip are neither. Raises DataError where the path is
    missing or unreadable, or nothing fits.
    """
    root = Path(path).expanduser()
    single = root.is_file() and not _is_zip(root)
    found, others = [], []
    try:
        for inner, place, read in _members(root):
            if single or any(matches(inner.name, pattern) for pattern in patterns):
                found.append((inner.name, inner.parts, SourceFile(place, inner.name, read())))
            else:
                others.append((inner.name, inner.parts, place))
    # RuntimeError: a password, or a compression method that this Python lacks
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(
            root, None, f"cannot be read ({error})", "fetch it anew or give it unpacked"
        ) from error
    found.sort(key=lambda entry: entry[:2])
    others.sort(key=lambda entry: entry[:2])
    if not found:
        names = [name for name, _, _ in others]
        held = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise DataError(
            root,
            None,
            f"no file matches {' or '.join(patterns)} (found: {held or 'nothing'})",
            "give the folder, file or zip that holds them",
        )
    return [file for _, _, file in found], [place for _, _, place in others]


def _is_zip(root: Path) -> bool:
    return root.suffix.lower() == ".zip"


def _members(root: Path) -> Iterator[tuple[PurePath, str, Callable[[], bytes]]]:
    """Path inside the source, place and a function that reads it, of each file but clutter."""
    if root.is_dir():
        for file in root.rglob("*"):
            # not is_file(): a broken link is to be an error, not a document less
            if not file.is_dir() and not _clutter(file.relative_to(root)):
                yield file.relative_to(root), str(file), file.read_bytes
    elif _is_zip(root):
        with zipfile.ZipFile(root) as archive:
            for info in archive.infolist():
                inner = PurePosixPath(info.filename)
                if not info.is_dir() and not _clutter(inner):
                    yield inner, f"{root}!{info.filename}", partial(archive.read, info)
    else:
        yield PurePath(root.name), str(root), root.read_bytes


def _clutter(inner: PurePath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in inner.parts)
