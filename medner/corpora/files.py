"""The files of a corpus, from a folder, a single file or a zip, which is read in memory."""

import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from medner.errors import DataError

LARGEST_RATIO = 100  # of a zip's contents to the zip; text packs about four to one
HARMLESS_SIZE = 64 * 2**20  # bytes; below this no zip is refused for its ratio
# RuntimeError: a password, or a compression method that this Python lacks; UnicodeDecodeError: of
# the name of a zip's member
UNREADABLE = (
    OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
    UnicodeDecodeError,
)  # fmt: skip


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

    A folder is searched through its subfolders, and a zip in it is read as if unpacked there; zips
    in zips are files like others. A single file is taken whatever its name. Both lists are in
    order of base names, then of folders, so that a zip and a folder give the same. Hidden files
    and what macOS adds to a zip are neither. Raises DataError where the path is missing or
    unreadable, a zip is not to be trusted, or nothing fits.
    """
    root = Path(path).expanduser()
    single = root.is_file() and not _is_zip(root)
    found, others = [], []
    with _readable(root):
        for inner, place, read in _members(root):
            fits = not _is_zip(inner) and any(matches(inner.name, pattern) for pattern in patterns)
            if single or fits:
                found.append((inner.name, inner.parts, SourceFile(place, inner.name, read())))
            else:
                others.append((inner.name, inner.parts, place))
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


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise DataError(
            path, None, f"cannot be read ({error})", "fetch it anew or give it unpacked"
        ) from error


Member = tuple[PurePath, str, Callable[[], bytes]]  # path inside the source, place, reads it


def _members(root: Path) -> Iterator[Member]:
    """Every file but clutter."""
    if not root.is_dir():
        if _is_zip(root):
            yield from _zip_members(root, PurePath())
        else:
            yield PurePath(root.name), str(root), root.read_bytes
        return
    for file in root.rglob("*"):
        inner = file.relative_to(root)
        # not is_file(): a broken link is to be an error, not a document less
        if file.is_dir() or _clutter(inner):
            continue
        if _is_zip(file):
            yield from _zip_members(file, inner.parent)
        else:
            yield inner, str(file), file.read_bytes


def _zip_members(path: Path, folder: PurePath) -> Iterator[Member]:
    """The files of a zip as if it were unpacked in ``folder``."""
    with _readable(path):
        archive = zipfile.ZipFile(path)
    with archive:
        # not is_dir(): it fails for a name that is empty
        members = [info for info in archive.infolist() if not info.filename.endswith("/")]
        _check_zip(path, members)
        for info in members:
            if not _clutter(inner := PurePosixPath(info.filename)):
                yield (
                    folder / inner,
                    f"{path}!{info.filename}",
                    partial(_unpack, path, archive, info),
                )


def _unpack(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with _readable(path):
        return archive.read(info)  # no more than the size it declares


def _check_zip(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """No member leaves the folder or explodes; nothing is unpacked for it."""
    for info in members:
        inner = PureWindowsPath(info.filename)  # takes / and \\ alike
        if not inner.name:
            raise DataError(
                path, None, "has a member without a name", "fetch it anew or give it unpacked"
            )
        if inner.root or ".." in inner.parts:
            raise DataError(
                path,
                None,
                f"its member {info.filename!r} leaves its folder",
                "fetch it anew from its source, or give it unpacked",
            )
    unpacked, packed = sum(info.file_size for info in members), path.stat().st_size
    if unpacked > max(LARGEST_RATIO * packed, HARMLESS_SIZE):
        raise DataError(
            path,
            None,
            f"explodes: its {packed:,} bytes unpack to {unpacked:,}, more than "
            f"{LARGEST_RATIO} times as many",
            "fetch it anew from its source, or give it unpacked",
        )


def _is_zip(path: PurePath) -> bool:
    return path.suffix.lower() == ".zip"


def _clutter(inner: PurePath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in inner.parts)
