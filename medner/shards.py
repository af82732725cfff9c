"""Stretches of an input that are predicted each for itself: its shards.

A file of rows is a shard, as are 1,024 files of text that follow each other. No two documents of
different shards are predicted together, so that one process and many find the same, to the last bit
of a confidence.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from medner.errors import UserError
from medner.input_rows import InputText
from medner.inputs import Input

_TEXTS = 1024


@dataclass(frozen=True, slots=True)
class Shard:
    """``number`` counts from 0 in the input's order; ``name`` is a path without a suffix, below a
    folder; ``size`` is in bytes, and ``state`` changes with the files."""

    number: int
    name: str
    files: tuple[Path, ...]
    size: int
    state: str

    def texts(self, source: Input) -> Iterator[InputText]:
        for path in self.files:
            yield from source.read(path)


def by_shards(
    texts: Iterable[InputText], kind: str, before: int = 0
) -> Iterator[Iterator[InputText]]:
    """Divide an input's stream of documents, of which so many ``before`` are left out."""
    numbered = enumerate(texts, before)
    if kind == "text":
        divided = groupby(numbered, lambda each: each[0] // _TEXTS)
    else:
        divided = groupby(numbered, lambda each: each[1].file)
    for _, shard in divided:
        yield (text for _, text in shard)


def shards(source: Input) -> list[Shard]:
    """All of an input that is files.

    Raises:
        UserError: if two would be written to one file, or a folder cannot be read.
    """
    files = source.files()
    found: list[Shard] = []
    names: dict[str, Path] = {}
    while stretch := tuple(islice(files, _TEXTS if source.kind == "text" else 1)):
        number = len(found)
        name = f"{number + 1:06d}" if source.kind == "text" else source.name(stretch[0])
        if (first := names.setdefault(name, stretch[0])) != stretch[0]:
            raise UserError(
                f"input={source.path}: {first.name} and {stretch[0].name} would be written to one "
                "file; rename one of them"
            )
        found.append(Shard(number, name, stretch, *_looked_at(stretch)))
    return found


def _looked_at(files: Sequence[Path]) -> tuple[int, str]:
    """The size of files together, and a hash of names, sizes and times."""
    digest, size = hashlib.sha256(), 0
    for path in files:
        try:
            stat = path.stat()
            said = f"{path.name!r} {stat.st_size} {stat.st_mtime_ns}"
            size += stat.st_size
        except OSError as error:  # its documents will say so
            said = f"{path.name!r} {error.errno}"
        digest.update(f"{said}\n".encode())
    return size, digest.hexdigest()
