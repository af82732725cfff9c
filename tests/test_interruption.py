"""Signals: at once, or when it suits; in processes of their own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import os, signal, sys
from medner import interruption
from medner.interruption import Interrupted

def send(name):
    os.kill(os.getpid(), getattr(signal, name))

interruption.listen()
try:
    {body}
except Interrupted as error:
    print("interrupted by", error)
print("end")
"""


def said(body: str) -> list[str]:
    program = PROGRAM.format(body=body.replace("\n", "\n    "))
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_what_is_going_on(name: str) -> None:
    assert said(f"send({name!r}); print('not reached')") == [f"interrupted by {name}", "end"]


def test_a_deferred_signal_waits_until_somebody_asks() -> None:
    body = """
with interruption.deferred():
    print(interruption.asked())
    send("SIGTERM")
    print(interruption.asked())
    raise Interrupted(interruption.asked())
"""
    number = str(int(signal.SIGTERM))
    assert said(body) == ["None", number, "interrupted by SIGTERM", "end"]


def test_nobody_asked_so_it_comes_at_the_end() -> None:
    body = """
with interruption.deferred():
    send("SIGINT")
    print("finished")
print("not reached")
"""
    assert said(body) == ["finished", "interrupted by SIGINT", "end"]


def test_a_second_signal_does_not_wait() -> None:
    body = """
with interruption.deferred():
    send("SIGINT")
    send("SIGINT")
    print("the same, sent to the group too")
    send("SIGTERM")
    print("not reached")
"""
    assert said(body) == ["the same, sent to the group too", "interrupted by SIGTERM", "end"]


def test_a_job_that_catches_every_error_does_not_catch_it() -> None:
    body = """
try:
    send("SIGTERM")
except Exception:
    print("not reached")
"""
    assert said(body) == ["interrupted by SIGTERM", "end"]
