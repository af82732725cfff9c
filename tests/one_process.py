"""Runs commands of the project one after the other in one process: torch takes seconds to import.

Standard input has them as JSON, each a list of words; a line of JSON that starts with ``exec`` has
Python code. Ends with 1 at the first command that does not end well.
"""

import json
import runpy
import shlex
import sys
from pathlib import Path


def newest_run() -> None:
    """``runs/FOLDER``, as the pages write it, becomes the run that was made last."""
    link = Path("runs/FOLDER")
    runs = [path.parent.parent for path in Path("runs").glob("**/checkpoints/best.ckpt")]
    runs = [run for run in runs if run != link]
    if runs:
        link.unlink(missing_ok=True)
        link.symlink_to(max(runs, key=lambda run: run.stat().st_mtime_ns).resolve())


def run(words: list[str]) -> int:
    print(f"\n$ {shlex.join(words)}", flush=True)
    if words[0] == "exec":
        exec(compile(words[1], "page", "exec"), {})
        return 0
    if any("runs/FOLDER" in word for word in words):
        newest_run()
    sys.argv = words
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    for command in json.load(sys.stdin):
        if run(command):
            print(f"\nfailed: {shlex.join(command)}", flush=True)
            sys.exit(1)
    print("\nall ran")
