"""An output folder, gone on with where a process was killed, ends as if nothing had happened."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from words import word_system

from medner.annotation import annotate
from medner.errors import ConfigError, UserError
from medner.files import GrowingFile
from medner.inputs import Input, open_input
from medner.output_folder import FAILED, STATE, open_folder
from medner.tagger import Tagger

FORMATS = ["brat", "jsonl", "parquet", "html"]
LONG = "no fever" + 40_000 * "."  # a stretch takes one such text
TAGGER = Tagger(word_system(bad="unlucky"), device_batch=1)


def notes(folder: Path, count: int = 5) -> Input:
    """Long notes, of which the second cannot be read and the third not be predicted."""
    (folder / "notes").mkdir(exist_ok=True)
    for number in range(count):
        text = f"{number} gout {LONG}".encode()
        text = {1: b"\xff", 2: b"unlucky"}.get(number, text)
        (folder / "notes" / f"{number}.txt").write_bytes(text)
    return open_input(str(folder / "notes"))


def write(source: Input, folder: Path, format_: str, **settings: object) -> bool:
    """Begin, or go on; whether there was anything left to do."""
    with open_folder(folder, {"format": format_, **settings}) as output:
        if output.state.finished:
            output.complete()
            return False
        output.begin(TAGGER.types)
        annotate(source, TAGGER, output)
        output.finish()
        return True


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Killed(BaseException):
    pass


@contextmanager
def killed(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[list[str]]:
    """After so many writes to the disk, renamed files, or removed ones, the next one is the end."""
    done: list[str] = []

    def counted(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: object, **options: object) -> object:
            if len(done) == after:
                raise Killed(name)
            done.append(name)
            return real(*args, **options)

        monkeypatch.setattr(owner, name, call)

    with monkeypatch.context() as monkeypatch:
        for owner, name in (
            (os, "fsync"), (Path, "replace"), (Path, "unlink"), (GrowingFile, "write"),
        ):  # fmt: skip
            counted(owner, name)
        yield done


@pytest.mark.parametrize("format_", FORMATS)
def test_killed_anywhere_it_ends_as_a_run_that_nothing_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    source = notes(tmp_path)
    with killed(monkeypatch, after=10**9) as steps:
        assert write(source, tmp_path / "whole", format_)
    whole = content(tmp_path / "whole")
    state = json.loads(whole[STATE])
    assert (state["read"], state["failed"], state["spans"]) == (5, 2, 3 * 2)
    assert not any(name.startswith(".") for name in whole)
    assert len(steps) > 20
    for after in range(len(steps)):
        folder = tmp_path / f"killed{after}"
        with killed(monkeypatch, after), pytest.raises(Killed):
            write(source, folder, format_)
        with killed(monkeypatch, after % 7 + 3), pytest.raises(Killed):  # and soon again
            write(source, folder, format_)
            raise Killed
        write(source, folder, format_)
        assert content(folder) == whole, f"killed at {steps[after]}, the {after}th"
        assert not write(source, folder, format_)
        assert content(folder) == whole


def test_what_a_killed_process_had_written_aside_is_cleared(tmp_path: Path) -> None:
    source = notes(tmp_path)
    write(source, tmp_path / "whole", "brat")
    with open_folder(tmp_path / "out", {"format": "brat"}) as output:
        output.begin(TAGGER.types)
    (tmp_path / "out" / "ward").mkdir()
    for name in (".0.txt.17.aside", "ward/.1.ann.17.aside"):
        (tmp_path / "out" / name).write_text("half")
    (tmp_path / "out" / "ward" / ".1.ann.17.aside").touch()
    with (tmp_path / "out" / FAILED).open("a") as file:
        file.write('{"file": "hal')
    write(source, tmp_path / "out", "brat")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_other_options_are_refused_with_one_line(tmp_path: Path) -> None:
    source = notes(tmp_path)
    write(source, tmp_path / "out", "jsonl", min_confidence=0.5)
    with pytest.raises(UserError, match=r"out: was made with min_confidence=0.5, .* call has 0.8;"):
        write(source, tmp_path / "out", "jsonl", min_confidence=0.8)
    with pytest.raises(UserError, match="was made with format=jsonl, and this call has brat;"):
        write(source, tmp_path / "out", "brat", min_confidence=0.5)
    with open_folder(tmp_path / "begun", {"format": "jsonl"}) as output:
        output.begin(TAGGER.types)
    with pytest.raises(UserError, match="was begun with format=jsonl"):
        write(source, tmp_path / "begun", "brat")


@pytest.mark.parametrize("change", ["text", "order", "fewer"])
def test_an_input_that_has_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    source = notes(tmp_path)
    with killed(monkeypatch, after=22), pytest.raises(Killed):
        write(source, tmp_path / "out", "jsonl")
    assert json.loads((tmp_path / "out" / STATE).read_text())["read"] >= 2
    if change == "text":
        (tmp_path / "notes" / "0.txt").write_text("another text")
    elif change == "order":
        (tmp_path / "notes" / "0.txt").rename(tmp_path / "notes" / "00.txt")
    else:
        for path in (tmp_path / "notes").iterdir():
            path.unlink()
        (tmp_path / "notes" / "0.txt").write_text("0 gout " + LONG)
    before = content(tmp_path / "out")
    with pytest.raises(UserError, match="the input has changed; begin in another folder"):
        write(source, tmp_path / "out", "jsonl")
    assert content(tmp_path / "out").keys() == before.keys()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    source = notes(tmp_path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis: holds something already, and no predict\.json"):
        write(source, tmp_path / "thesis", "brat")
    assert content(tmp_path / "thesis") == {"chapter.txt": b"years of work"}
    with pytest.raises(UserError, match="takes a folder, or - for standard output"):
        write(source, tmp_path / "thesis" / "chapter.txt", "brat")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / STATE).write_text('{"settings": {')
    with pytest.raises(UserError, match=r"predict.json: cannot be read"):
        write(source, tmp_path / "half", "brat")


def test_a_folder_that_was_made_for_nothing_is_taken_away(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_folder(tmp_path / "a" / "b", {}):
        raise ZeroDivisionError
    assert not (tmp_path / "a" / "b").exists()
    with (
        pytest.raises(ConfigError, match="has white space"),
        open_folder(tmp_path / "c", {"format": "brat"}) as output,
    ):
        output.begin(["Sign or symptom"])
    assert not (tmp_path / "c").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(ZeroDivisionError), open_folder(tmp_path / "mine", {}):
        raise ZeroDivisionError
    assert list(tmp_path.glob("mine/*")) == [] and (tmp_path / "mine").exists()


def test_two_processes_do_not_write_at_once(tmp_path: Path) -> None:
    with (
        open_folder(tmp_path / "out", {"format": "jsonl"}),
        pytest.raises(UserError, match="another process is at work in it"),
        open_folder(tmp_path / "out", {"format": "jsonl"}),
    ):
        pass


def test_files_that_are_not_as_they_were_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = notes(tmp_path)
    with killed(monkeypatch, after=22), pytest.raises(Killed):
        write(source, tmp_path / "out", "jsonl")
    (tmp_path / "out" / ".part").write_text("")
    with pytest.raises(UserError, match=r"part has 0 bytes, and had \d+: it is not as it was left"):
        write(source, tmp_path / "out", "jsonl")
