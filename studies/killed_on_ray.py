"""What is left of a prediction on Ray when a worker, a node and the command itself are killed.

Makes shards of abstracts from the sentences of the demo reports, starts a cluster of several nodes
of one CPU each on this machine, and runs on it

    python predict.py engine=ray input=FOLDER/shards output=FOLDER/found WORDS...

When a quarter of the shards is done, it kills (SIGKILL) the process that is writing one; at half of
them it takes a node away; at three quarters it kills the command, and types it again. Then it holds
the output against the input: every document once, as a prediction or in failed.jsonl, and the
shards that were done before the last kill not written again. Needs medner[ray] and a trained model:

    python studies/killed_on_ray.py /tmp/killed --documents 100000 --shards 200 --nodes 4
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BAD = 50  # one of so many rows has no text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="new or empty")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=8, help="of a document")
    parser.add_argument("words", nargs="*", help="of predict.py, as output_dir=...")
    args = parser.parse_intermixed_args()
    given, found = args.folder / "shards", args.folder / "found"
    write_shards(given, args.documents, args.shards, args.sentences)
    words = ["engine=ray", f"input={given}", f"output={found}", *args.words]
    with cluster(args.nodes) as (environment, remove_node):
        done = killed(words, found, args.shards, environment, remove_node)
        ended = subprocess.run([sys.executable, ROOT / "predict.py", *words], env=environment)
    if ended.returncode != 3:
        sys.exit(f"predict.py ended with {ended.returncode}, and some rows are bad: 3")
    check(given, found, done)


def write_shards(folder: Path, documents: int, shards: int, sentences: int) -> None:
    """JSONL files of about the same number of documents, whose ids count through all of them."""
    folder.mkdir(parents=True)
    texts = (path.read_text("utf-8") for path in sorted((ROOT / "demo/case_reports").glob("*.txt")))
    pieces = [s.strip() for text in texts for s in re.split(r"(?<=\.)\s", text) if s.strip()]
    chosen = random.Random(0)
    for shard in range(shards):
        with (folder / f"{shard:05d}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(shard * documents // shards, (shard + 1) * documents // shards):
                text = " ".join(chosen.choices(pieces, k=sentences)) if number % BAD else None
                file.write(json.dumps({"id": number, "text": text}) + "\n")


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """The environment of those who use it, and what takes its last node away.

    It has a folder of its own: what else runs here with Ray does not find it.
    """
    place = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # sockets have short names
    own = {"RAY_TMPDIR": place, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    os.environ.update(own)
    from ray.cluster_utils import Cluster

    it = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        others = [it.add_node(num_cpus=1) for _ in range(nodes - 1)]
        environment = dict(os.environ) | {"RAY_ADDRESS": it.address}
        yield environment, lambda: it.remove_node(others.pop(), allow_graceful=False)
    finally:
        it.shutdown()
        shutil.rmtree(place, ignore_errors=True)
        for name in own:
            os.environ.pop(name)


def killed(
    words: list[str],
    found: Path,
    shards: int,
    environment: dict[str, str],
    remove_node: Callable[[], None],
) -> dict[str, int]:
    """Begin, and kill one after the other; the shards that are done, with their files' times."""
    command = [sys.executable, ROOT / "predict.py", *words]
    with subprocess.Popen(command, env=environment) as process:
        number = wait(process, lambda: len(records(found)) >= shards / 4 and writing(found))[0]
        os.kill(number, signal.SIGKILL)
        print(f"{len(records(found))} shards are done: killed process {number}, which wrote one")
        wait(process, lambda: len(records(found)) >= shards / 2)
        remove_node()
        print(f"{len(records(found))} shards are done: a node is gone")
        wait(process, lambda: len(records(found)) >= shards * 3 / 4)
        process.kill()
    print(f"{len(records(found))} shards are done: killed the command", flush=True)
    names = sorted(path.stem for path in (found.parent / "shards").iterdir())
    done = [names[int(path.stem)] for path in records(found)]
    return {name: (found / "predictions" / f"{name}.jsonl").stat().st_mtime_ns for name in done}


def records(found: Path) -> list[Path]:
    return list((found / ".shards").glob("[0-9]*.json"))


def writing(found: Path) -> list[int]:
    """The processes that are writing predictions."""
    names = (path.name for path in (found / "predictions").glob(".*.aside"))
    return [int(match[1]) for name in names if (match := re.search(r"\.(\d+)\.\w+\.aside$", name))]


def wait(process: subprocess.Popen, until: Callable[[], Any]) -> Any:
    """What ``until`` gives, as soon as that is something."""
    while not (there := until()):
        if process.poll() is not None:
            sys.exit(f"predict.py ended early, with {process.returncode}")
        time.sleep(0.02)
    return there


def check(given: Path, found: Path, done: dict[str, int]) -> None:
    """Say what there is, or end with what is wrong."""
    expected: Counter[str] = Counter()
    for path in sorted(given.iterdir()):
        for line, record in enumerate(path.read_text("utf-8").splitlines(), start=1):
            row = json.loads(record)
            expected[f"{path.name}:{line}" if row["text"] is None else str(row["id"])] += 1
    there: Counter[str] = Counter()
    for path in sorted((found / "predictions").iterdir()):
        with path.open(encoding="utf-8") as file:
            there.update(json.loads(line)["document"] for line in file)
    with (found / "failed.jsonl").open(encoding="utf-8") as file:
        failed = [json.loads(line) for line in file]
    there.update(f"{Path(record['file']).name}:{record['line']}" for record in failed)
    if there != expected:
        sys.exit(f"missing: {expected - there}, too many: {there - expected}")
    again = [
        name for name, time_ in done.items()
        if (found / "predictions" / f"{name}.jsonl").stat().st_mtime_ns != time_
    ]  # fmt: skip
    if again:
        sys.exit(f"done already, and written again: {again}")
    print(
        f"{expected.total()} documents, each there once: {expected.total() - len(failed)} with a "
        f"prediction and {len(failed)} in failed.jsonl; none of the {len(done)} shards that were "
        "done was written again"
    )


if __name__ == "__main__":
    main()
