"""``predict.py engine=ray`` as a user types it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import ROOT, Run


@pytest.fixture
def own_ray() -> Iterator[dict[str, str]]:
    """A folder for Ray's files that no other Ray on this machine knows, and nothing left of it."""
    place = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # sockets have short names
    yield {"RAY_TMPDIR": place, "RAY_worker_niceness": "0"}
    time.sleep(1)
    processes = subprocess.run(["ps", "-ewwo", "command"], capture_output=True, text=True).stdout
    assert place not in processes
    shutil.rmtree(place)


def shards(folder: Path, corpora: Path, count: int, rows: int) -> Path:
    """CSV files of short notes that know their number, some without a text."""
    notes = [path.read_text() for path in sorted((corpora / "maccrobat2020").glob("*.txt"))]
    folder.mkdir()
    for shard in range(count):
        lines = ["pmid,abstract\n"]
        for number in range(shard * rows, (shard + 1) * rows):
            text = " ".join(notes[number % len(notes)][:400].split()).replace('"', "'")
            lines.append(f'{number},"{text}"\n' if number % 50 != 17 else f"{number},\n")
        (folder / f"{shard}.csv").write_text("".join(lines))
    return folder


# ---------------------------------------------------------------- errors

ERRORS = {
    "engine=spark": "engine=spark: engine takes local or ray",
    "engine=ray input=-": "input=-: engine=ray reads files, and writes a folder",
    "engine=ray output=-": "output=-: engine=ray reads files, and writes a folder",
    "engine=ray format=brat": "format=brat: engine=ray takes jsonl or parquet",
    "engine=ray format=html": "format=html: engine=ray takes jsonl or parquet",
    "engine=ray engine.cpus=0": "engine.cpus=0: takes a number above 0",
    "engine.actors=2": "engine.actors=2: is an option of engine=ray",
    "engine=ray engine.actors=x": "engine.actors: Value .x. of type .str. could not be conv",
    "engine=ray text_column=note": r"text_column=note: .*no column note .'pmid', 'abstract'.",
    "engine=ray input=no": "input=no: there is no such file or folder",
}


@pytest.mark.parametrize("options", ERRORS)
def test_an_error_is_one_line_before_torch_is_imported(
    run: Run, corpora: Path, tmp_path: Path, options: str
) -> None:
    given = shards(tmp_path / "shards", corpora, 1, 3)
    words = [f"input={given}", "output=out", *options.split()]
    words = list({word.partition("=")[0]: word for word in words}.values())  # the last one counts
    error = run("predict.py", *words, cwd=tmp_path, torch=False).error()
    assert re.search(ERRORS[options], error)
    assert not (tmp_path / "out").exists()


def test_without_ray_it_says_what_to_install(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("fever")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\nsys.modules.update(dict.fromkeys(['ray', 'torch', 'transformers']))\n"
    )
    words = ("predict.py", "engine=ray", "input=a.txt", "output=out")
    error = run(*words, cwd=tmp_path, env={"PYTHONPATH": str(hidden)}).error()
    assert error == "error: engine=ray: ray is not installed; pip install 'medner[ray]'"


# ---------------------------------------------------------------- what is predicted


@pytest.mark.slow
def test_killed_worker_node_and_command_leave_what_one_process_finds(
    run: Run, learned: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    """The study, small: it checks that every document is there once."""
    words = ["--documents", "1200", "--shards", "24", "--nodes", "3", "--sentences", "2"]
    study = subprocess.run(
        [sys.executable, "studies/killed_on_ray.py", tmp_path, *words, f"output_dir={learned}"],
        cwd=ROOT, env=verbs_environment, capture_output=True, text=True,
    )  # fmt: skip
    assert study.returncode == 0, study.stdout + study.stderr
    said = study.stdout.splitlines()
    assert re.fullmatch(r"\d+ shards are done: killed process \d+, which wrote one", said[0])
    assert re.fullmatch(r"1\d shards are done: a node is gone", said[1])
    assert re.fullmatch(
        "1200 documents, each there once: 1176 with a prediction and 24 in failed.jsonl; none of "
        r"the (1[89]|2\d) shards that were done was written again", said[-1],
    )  # fmt: skip
    assert re.search(r"going on after (1[89]|2\d) of 24 shards, \d+ documents read, ", study.stderr)
    whole = run(
        "predict.py",
        f"input={tmp_path}/shards",
        f"output={tmp_path}/whole",
        f"output_dir={learned}",
    )
    assert whole.code == 3
    found = sorted((tmp_path / "found" / "predictions").iterdir())
    assert len(found) == 24
    together = b"".join(path.read_bytes() for path in found)
    assert together == (tmp_path / "whole" / "predictions.jsonl").read_bytes()
    assert together.count(b'"confidence"') > 100
    failed = (tmp_path / "found" / "failed.jsonl").read_bytes()
    assert failed == (tmp_path / "whole" / "failed.jsonl").read_bytes()
    assert not list((tmp_path / "found").rglob(".*"))


@pytest.mark.slow
def test_a_signal_while_ray_makes_its_iterator(
    learned: Path, corpora: Path, tmp_path: Path, verbs_environment: dict[str, str],
    own_ray: dict[str, str],
) -> None:  # fmt: skip
    """Ray then leaves its executor to the interpreter's end, where that began another cluster and
    waited for ever."""
    given = shards(tmp_path / "shards", corpora, 8, 20)
    (tmp_path / "signalled.py").write_text(
        "import os, runpy, signal, sys\n"
        "from ray.data._internal.iterator.iterator_impl import DataIteratorImpl\n"
        "made = DataIteratorImpl._to_ref_bundle_iterator\n"
        "def signalled(self):\n"
        "    result = made(self)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return result\n"
        "DataIteratorImpl._to_ref_bundle_iterator = signalled\n"
        "sys.argv.pop(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    words = [f"input={given}", f"output={tmp_path}/out", f"output_dir={learned}"]
    words += ["text_column=abstract", "id_column=pmid", "engine=ray", "engine.actors=1"]
    ended = subprocess.run(
        [sys.executable, tmp_path / "signalled.py", "predict.py", *words], cwd=ROOT,
        env=verbs_environment | own_ray | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 75, ended.stderr
    said = ended.stderr.splitlines()
    assert said[-1] == "interrupted by SIGTERM; to go on: the same command", ended.stderr


@pytest.mark.slow
def test_a_signal_ends_it_with_what_to_type(
    run: Run, learned: Path, corpora: Path, tmp_path: Path, verbs_environment: dict[str, str],
    own_ray: dict[str, str],
) -> None:  # fmt: skip
    """On a cluster that is started for it; of CSV to Parquet, and of texts."""
    given = shards(tmp_path / "shards", corpora, 8, 100)
    words = [
        f"input={given}", f"output_dir={learned}", "text_column=abstract", "id_column=pmid",
        "format=parquet", "min_confidence=0.3",
    ]  # fmt: skip
    out = tmp_path / "out"
    on_ray = [*words, "engine=ray", "engine.actors=1", f"output={out}"]
    with subprocess.Popen(
        [sys.executable, "predict.py", *on_ray], cwd=ROOT, env=verbs_environment | own_ray,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        while process.poll() is None and not list(out.glob(".shards/*.json")):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        try:
            said, _ = process.communicate(timeout=240)
        finally:
            process.kill()
    assert process.returncode == 75, said
    assert said.splitlines()[-1] == "interrupted by SIGTERM; to go on: the same command"
    impatient = tmp_path / "impatient"
    impatient.mkdir()
    (impatient / "sitecustomize.py").write_text(
        "from medner import progress\nprogress._SECONDS = 0\n"
    )
    path = {"PYTHONPATH": f"{impatient}:{ROOT}"}
    ended = run("predict.py", *on_ray, env=own_ray | path)
    assert ended.code == 3
    assert ended.stdout == ""
    assert "going on after " in ended.stderr
    assert re.search(
        r"^800 documents, [\d,.]+ a second, 100 % read, about 0 s left$", ended.stderr, re.M
    )
    assert ended.error() == f"error: 16 of 800 documents failed; why is in {out}/failed.jsonl"
    again = run("predict.py", *on_ray, env=own_ray)
    assert f"{out} is finished already, nothing is left to do (800 documents" in again.stderr
    run("predict.py", *words, f"output={tmp_path}/whole")
    found = sorted((out / "predictions").iterdir())
    rows = [row for path in found for row in pyarrow.parquet.read_table(path).to_pylist()]
    assert rows == pyarrow.parquet.read_table(
        tmp_path / "whole" / "predictions.parquet"
    ).to_pylist()  # fmt: skip
    assert [int(row["document"]) for row in rows] == [n for n in range(800) if n % 50 != 17]
    failed = [json.loads(line) for line in (out / "failed.jsonl").read_text().splitlines()]
    assert [record["line"] for record in failed[:2]] == [19, 69]


@pytest.mark.slow
def test_a_folder_of_texts_and_a_wrong_label_map(
    run: Run, learned: Path, corpora: Path, tmp_path: Path, own_ray: dict[str, str]
) -> None:
    notes = shutil.copytree(corpora / "maccrobat2020", tmp_path / "notes")
    (notes / "bad.txt").write_bytes(b"line\n\xff")
    words = ["predict.py", "input=notes", f"output_dir={learned}"]
    error = run(*words, "engine=ray", "output=out", "label_map=disease_and_chemical", cwd=tmp_path)
    assert (error.code, "not types of the model" in error.error()) == (2, True)
    assert not (tmp_path / "out").exists()
    assert run(*words, "engine=ray", "output=out", cwd=tmp_path, env=own_ray).code == 3
    assert run(*words, "output=whole", "format=jsonl", cwd=tmp_path).code == 3
    found = (tmp_path / "out" / "predictions" / "000001.jsonl").read_bytes()
    assert found == (tmp_path / "whole" / "predictions.jsonl").read_bytes()
    assert found.count(b"\n") == 24
    for folder in ("out", "whole"):
        (line,) = (tmp_path / folder / "failed.jsonl").read_text().splitlines()
        assert json.loads(line)["file"] == "notes/bad.txt"
    error = run(*words, "output=out", "format=jsonl", cwd=tmp_path, torch=False).error()
    assert "output=out: was made with engine=ray, and this call has local;" in error
