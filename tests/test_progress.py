"""What is said of a stream while it runs."""

import logging
import re
import sys
import time
from pathlib import Path

import pytest
from words import word_system

from medner import progress
from medner.annotation import StandardOutput, annotate
from medner.inputs import open_input
from medner.progress import Progress, duration
from medner.tagger import Tagger


def said(
    size: int | None, steps: list[tuple[float, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go through seconds, documents and bytes read, as time passes."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = Progress(size)
    for seconds, documents, position in steps:
        clock[0] = seconds
        progress.say(documents, position)
    progress.end()


STEPS = [(10, 100, 1000), (20, 200, 2000), (70, 700, 7000), (90, 900, 9000), (130, 1300, 13_000)]


def test_where_nobody_watches_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said(100_000, STEPS, monkeypatch)
    assert caplog.messages == [
        "700 documents, 10 a second, 7 % read, about 16 min left",
        "1,300 documents, 10 a second, 13 % read, about 14 min left",
    ]


def test_of_a_stream_without_a_known_end_the_rate(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said(None, STEPS, monkeypatch)
    assert caplog.messages == ["700 documents, 10 a second", "1,300 documents, 10 a second"]


def test_the_rate_is_that_of_this_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Gone on after 5,000 documents: what an earlier process did says nothing of what is left."""
    caplog.set_level(logging.INFO)
    said(100_000, [(5, 5_010, 50_100), (65, 5_070, 50_700)], monkeypatch)
    assert caplog.messages == ["5,070 documents, 1 a second, 51 % read, about 82 min left"]


def test_on_a_terminal_one_line_is_written_over_and_taken_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    said(100_000, STEPS, monkeypatch)
    drawn = capsys.readouterr().err
    lines = [line.strip() for line in drawn.split("\r")]
    assert "\n" not in drawn
    assert lines[1:3] == [
        "100 documents",
        "200 documents, 10 a second, 2 % read, about 16 min left",
    ]
    assert lines[-1] == "" and len(lines) == 1 + len(STEPS) + 2


def test_a_prediction_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After each stretch of 16 documents, as if each took a minute."""
    monkeypatch.setattr(progress, "_SECONDS", 0)
    caplog.set_level(logging.INFO)
    (tmp_path / "notes.jsonl").write_text('{"text": "no fever"}\n' * 64)
    source = open_input(str(tmp_path / "notes.jsonl"))
    annotate(source, Tagger(word_system(), device_batch=1), StandardOutput())
    assert caplog.messages[0] == "16 documents"
    rate = r"[\d,.e+]+ a second"
    said = [
        re.fullmatch(rf"(\d+) documents, {rate}, (\d+) % read, about \d+ s left", line).groups()
        for line in caplog.messages[1:]
    ]
    # a stretch ends when the first document behind it has been read
    assert said == [("32", "52"), ("48", "77"), ("64", "100")]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (121, "2 min"), (7300, "2.0 h")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
