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


NUMBER = str(int(signal.SIGTERM))
# what is going on as signals come: code, and what it prints
CASES = {
    "a signal ends what is going on": (
        """
send("SIGTERM")
print("not reached")
""",
        ["interrupted by SIGTERM"],
    ),
    "so does Ctrl-C": (
        """
send("SIGINT")
print("not reached")
""",
        ["interrupted by SIGINT"],
    ),
    "a deferred signal waits until somebody asks": (
        """
with interruption.deferred():
    print(interruption.asked())
    send("SIGTERM")
    print(interruption.asked())
    raise Interrupted(interruption.asked())
""",
        ["None", NUMBER, "interrupted by SIGTERM"],
    ),
    "nobody asked, so it comes at the end": (
        """
with interruption.deferred():
    send("SIGINT")
    print("finished")
print("not reached")
""",
        ["finished", "interrupted by SIGINT"],
    ),
    "another signal does not wait": (
        """
with interruption.deferred():
    send("SIGINT")
    send("SIGINT")
    print("the same, sent to the group too")
    send("SIGTERM")
    print("not reached")
""",
        ["the same, sent to the group too", "interrupted by SIGTERM"],
    ),
    "a job that catches every error does not catch it": (
        """
try:
    send("SIGTERM")
except Exception:
    print("not reached")
""",
        ["interrupted by SIGTERM"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_signals(case: str) -> None:
    body, printed = CASES[case]
    assert said(body) == [*printed, "end"]
