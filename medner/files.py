"""Files that are written whole or not at all."""

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_ASIDE = ".aside"


@contextmanager
def written_whole(path: str | Path, binary: bool = False) -> Iterator[IO]:
    """A file that takes its name when the block ends well; otherwise ``path`` is untouched."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # same folder: renaming is atomic; another machine may have a process of that number
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}{_ASIDE}")
    text = {} if binary else {"encoding": "utf-8", "newline": "\n"}
    try:
        with aside.open("wb" if binary else "w", **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: str | Path) -> Iterator[Path]:
    """A folder, to be filled under another name, that takes its name when the block ends well, in
    place of what had it; otherwise ``path`` is untouched. No other process may write it too."""
    path = Path(path).resolve()
    aside, earlier = (path.with_name(f".{path.name}{end}") for end in (".unfinished", ".earlier"))
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    aside.mkdir(parents=True)
    try:
        yield aside
        for file in aside.rglob("*"):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        if path.exists():
            shutil.rmtree(earlier, ignore_errors=True)
            path.rename(earlier)
        aside.rename(path)
    except BaseException:
        if earlier.exists() and not path.exists():
            earlier.rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)


def clear_unfinished(folder: Path, within: bool = False) -> None:
    """Remove what a killed process was writing in ``folder``, or ``within`` it in any depth; no
    other may be at work there."""
    for path in (folder.rglob if within else folder.glob)(f".*{_ASIDE}"):
        path.unlink()


class GrowingFile:
    """A file that is appended to, from a size that it once had: what comes behind is of a process
    that was killed, and goes."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        self._file = path.open("r+b" if path.exists() else "w+b")
        there = self._file.seek(0, os.SEEK_END)
        if there < size:
            self._file.close()
            raise ValueError(f"{path} has {there} bytes, and had {size}")
        self._file.truncate(size)
        self._file.seek(size)

    def write(self, text: str) -> None:
        self._file.write(text.encode())

    def sync(self) -> int:
        """See to it that all of it is on the disk; its size."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def read_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_rows(path: str | Path, rows: Iterable[Any]) -> None:
    """Write plain values as a JSON array, one a line."""
    with written_whole(path) as file:
        file.write("[" + ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]\n")


def write_json(path: str | Path, values: Any) -> None:
    """Write plain values, indented."""
    with written_whole(path) as file:
        json.dump(values, file, indent=2, ensure_ascii=False)
        file.write("\n")
