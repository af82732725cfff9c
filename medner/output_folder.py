"""The folder that predictions are written into, and how a run goes on where another one stopped.

predict.json      with what options it was begun, and how far it came: written anew, whole, behind
                  each stretch of documents, when all that it tells of is on the disk
failed.jsonl      documents that have no prediction: file, line and reason
.part, .lock      while it is at work

Behind a kill the files hold what predict.json tells of and perhaps more; this is cut off, and the
documents are predicted again, as they would have been. So every document is there once, and the
folder ends as that of a run that nothing interrupted, to the byte.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from medner.errors import UserError
from medner.files import GrowingFile, clear_unfinished, read_json, write_json
from medner.id_files import count
from medner.input_rows import InputText
from medner.output_formats import FORMATS, Writer
from medner.predictions import Failure, Prediction

STATE, FAILED = "predict.json", "failed.jsonl"
RECORDS = ".shards"  # of medner.ray_engine
_PART, _LOCK = ".part", ".lock"
Found = tuple[InputText, Prediction | Failure]


@dataclass
class State:
    """How far a run came. ``read`` documents of the input, of which ``failed`` have no prediction,
    and ``digest`` is what they hash to; ``sizes`` are those of the growing files, in bytes."""

    settings: dict[str, Any]
    read: int = 0
    failed: int = 0
    spans: int = 0
    digest: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    finished: bool = False

    def __str__(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{count(self.read, 'document')} read, {count(self.spans, 'span')} found{failed}"


class OutputFolder:
    """The folder, held by this process alone. Made by :func:`open_folder`."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        self._writer: Writer | None = None
        self._digest = hashlib.sha256()

    def begin(self, types: Sequence[str]) -> None:
        """Make ready to write; ``types`` are all that spans can have.

        Raises:
            ConfigError: if the format cannot express them; UserError: if files are not as they were
                left.
        """
        writer = FORMATS[self.state.settings["format"]]
        writer.check(types)
        self.save()
        try:
            self._files = {
                name: GrowingFile(self.folder / name, size)
                for name, size in self.state.sizes.items()
            }
        except ValueError as error:
            raise UserError(f"{error}: it is not as it was left; begin in another folder") from None
        self._writer = writer(self._files[_PART], types)

    def rest(self, texts: Iterable[InputText]) -> Iterator[InputText]:
        """The documents that are not done yet.

        Raises:
            UserError: if those before them are not the ones that were done.
        """
        number = 0
        for number, text in enumerate(texts, start=1):
            if number > self.state.read:
                yield text
                continue
            _add(self._digest, text)
            if number == self.state.read:
                self._check_digest()
        if number < self.state.read:
            self._changed()

    def _check_digest(self) -> None:
        if self._digest.hexdigest() != self.state.digest:
            self._changed()

    def _changed(self) -> None:
        raise UserError(
            f"output={self.folder}: the first {self.state.read} documents of the input are not "
            "those that it holds: the input has changed; begin in another folder"
        )

    def add(self, pool: Sequence[Found]) -> None:
        """Write documents that were predicted together; then they are done."""
        for text, found in pool:
            failed = isinstance(found, Failure)
            problem = found.reason if failed else self._writer.add(text, found)
            if problem:
                self._files[FAILED].write(failure_line(text, problem))
                self.state.failed += 1
            else:
                self.state.spans += len(found.spans)
            _add(self._digest, text)
        self._writer.pool_ends()
        self.state.read += len(pool)
        self.state.digest = self._digest.hexdigest()
        self.state.sizes = {name: file.sync() for name, file in self._files.items()}
        self.save()

    def finish(self) -> None:
        for file in self._files.values():
            file.close()
        self.state.finished = True
        self.save()
        self.complete()

    def complete(self) -> None:
        """What comes behind the last document; done already unless a process was killed here."""
        if (self.folder / _PART).exists():
            FORMATS[self.state.settings["format"]].finish(self.folder / _PART)
        shutil.rmtree(self.folder / RECORDS, ignore_errors=True)
        if not self.state.failed:
            (self.folder / FAILED).unlink(missing_ok=True)

    def save(self) -> None:
        write_json(self.folder / STATE, asdict(self.state))


@contextmanager
def open_folder(folder: Path, settings: Mapping[str, Any]) -> Iterator[OutputFolder]:
    """A new folder, or one that was begun with the same settings, for the length of a block.

    Args:
        settings: all that has a say in what is written, as plain values; ``format`` is one of
            ``FORMATS``.

    Raises:
        UserError: if it is another's, another process is at work in it, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output={folder}: takes a folder, or - for standard output")
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)  # the system lets go of it if the process is killed
    except Timeout:
        raise UserError(f"output={folder}: another process is at work in it") from None
    try:
        yield OutputFolder(folder, _state(folder, dict(settings)))
    finally:
        try:
            (folder / _LOCK).unlink(missing_ok=True)
            if new and not any(folder.iterdir()):
                folder.rmdir()
        finally:
            lock.release()


def _state(folder: Path, settings: dict[str, Any]) -> State:
    path = folder / STATE
    if not path.exists():
        ours = (_LOCK, f".{STATE}.")  # of a process that was killed at its first step
        if not all(each.name.startswith(ours) for each in folder.iterdir()):
            raise UserError(
                f"output={folder}: holds something already, and no {STATE}; give a folder that is "
                "new or empty"
            )
        clear_unfinished(folder)
        return State(settings, sizes={_PART: 0, FAILED: 0})
    clear_unfinished(folder, within=True)
    try:
        state = State(**read_json(path))
    except (ValueError, TypeError):
        raise UserError(f"{path}: cannot be read; begin in another folder") from None
    for name, value in settings.items():
        before = state.settings.get(name)
        if before != value:
            raise UserError(
                f"output={folder}: was {'made' if state.finished else 'begun'} with {name}="
                f"{_short(before)}, and this call has {_short(value)}; give it that one, or begin "
                "in another folder"
            )
    return state


def failure_line(text: InputText, problem: str) -> str:
    """The line of a document in ``FAILED``, its end included."""
    record = {"file": text.file, "line": text.line, "reason": problem}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _short(value: Any) -> str:
    shown = "null" if value is None else str(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _add(digest: Any, text: InputText) -> None:
    """Ends of the fields are hashed too: no two documents run together as others do."""
    for value in (text.id, text.text, text.problem or ""):
        data = value.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
