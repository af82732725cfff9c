"""Run folders: one run each, the newest found, what is no run refused."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medner.errors import UserError
from medner.runs import (
    BEST,
    claim,
    discard,
    find_checkpoint,
    find_run,
    load_config,
    newest,
    release,
    save_config,
)  # fmt: skip
from medner.schema import TrainConfig

ROOT = Path(__file__).resolve().parent.parent


def make_run(folder: Path, age: int, best: bool = True) -> Path:
    folder.mkdir(parents=True)
    save_config(folder, OmegaConf.create({"seed": 3, "model": {"name": "a/b"}}))
    if best:
        (folder / BEST).parent.mkdir()
        (folder / BEST).write_bytes(b"")
        os.utime(folder / BEST, (1e9 - age, 1e9 - age))
    return folder


def test_the_newest_run_is_that_of_the_newest_best_checkpoint(tmp_path: Path) -> None:
    make_run(tmp_path / "a", age=30)
    in_sweep = make_run(tmp_path / "sweep" / "0_biobert", age=10)
    make_run(tmp_path / "sweep" / "1_bioformer", age=20)
    make_run(tmp_path / "without", age=0, best=False)
    assert newest(tmp_path) == in_sweep
    config = OmegaConf.create({"run": None, "ckpt_path": None, "output_dir": str(tmp_path)})
    assert find_checkpoint(config) == (in_sweep, in_sweep / BEST)
    config.ckpt_path = str(tmp_path / "a" / BEST)
    assert find_checkpoint(config) == (tmp_path / "a", tmp_path / "a" / BEST)


def test_no_run_and_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run with a finished best checkpoint in .*; train one"):
        newest(tmp_path)
    unfinished = make_run(tmp_path / "without", age=0, best=False)
    config = OmegaConf.create({"run": str(unfinished), "ckpt_path": None, "output_dir": "x"})
    with pytest.raises(UserError, match=r"no finished best checkpoint \(checkpoints/best\.ckpt\)"):
        find_checkpoint(config)


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Path]:
    """A folder in which another process is at work, until the test ends."""
    program = """
import pathlib, sys, medner.runs
medner.runs.claim(pathlib.Path(sys.argv[1]))
print("claimed", flush=True)
sys.stdin.read()
"""
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "claimed\n"
        yield folder
        process.kill()


def test_a_folder_in_which_a_process_is_at_work_is_refused(taken: Path) -> None:
    for again in (False, True):
        with pytest.raises(UserError, match="belongs to another run, which is at work there"):
            claim(taken, again=again)
    before = {path.name for path in taken.iterdir()}
    discard(taken)
    assert {path.name for path in taken.iterdir()} == before


def test_of_two_processes_one_gets_the_folder(tmp_path: Path) -> None:
    program = "import sys, pathlib, medner.runs; medner.runs.claim(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    both = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    errors = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert "belongs to another run" in "".join(errors)


def test_a_killed_run_s_folder_can_be_taken_up(tmp_path: Path) -> None:
    program = """
import os, pathlib, signal, sys, medner.runs
run = pathlib.Path(sys.argv[1])
medner.runs.claim(run)
with medner.runs.written_whole(run / "predictions" / "test.jsonl") as file:
    file.write("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run = tmp_path / "run"
    ended = subprocess.run([sys.executable, "-c", program, str(run)], cwd=ROOT)
    assert ended.returncode == -9
    assert len(list((run / "predictions").iterdir())) == 1
    with pytest.raises(UserError, match=f"belongs to another run; .* or go on .*: run={run}"):
        claim(run)
    claim(run, again=True)
    release(run)
    assert list((run / "predictions").iterdir()) == []


def test_a_full_disk_is_not_a_traceback_for_each_line(tmp_path: Path) -> None:
    """/dev/full refuses every byte, as a full disk does."""
    (tmp_path / "train.log").symlink_to("/dev/full")
    program = """
import logging, pathlib, sys, medner.runs
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
medner.runs.claim(pathlib.Path(sys.argv[1]), again=True)
logging.info("epoch 1")
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "epoch 1\n", "")


def test_an_evaluation_s_unfinished_files_are_left_to_it(tmp_path: Path) -> None:
    ours, its = tmp_path / "predictions" / ".a.1.aside", tmp_path / "evaluations" / ".b.2.aside"
    for path in (ours, its):
        path.parent.mkdir()
        path.touch()
    claim(tmp_path, again=True)
    release(tmp_path)
    assert not ours.exists()
    assert its.exists()


def test_a_run_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    claim(tmp_path / "run")
    discard(tmp_path / "run")
    release(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    claim(tmp_path)
    discard(tmp_path)
    release(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_paths_are_saved_so_that_they_hold_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = OmegaConf.structured(TrainConfig)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    config.data.path, config.data.split.test_ids = "corpus", "ids.txt"
    config.model.name = "models/mine"
    save_config(tmp_path / "run", config)
    saved = OmegaConf.load(tmp_path / "run" / "config.yaml")
    assert saved.data.path == str(tmp_path / "corpus")
    assert saved.data.split.test_ids == str(tmp_path / "ids.txt")
    assert saved.model.name == str(tmp_path / "models" / "mine")


@pytest.mark.parametrize(
    "text", ["seed: many", "nonsense: 1", "seed: [", "- a list", "model:\n  _target_: os.system"]
)
def test_a_configuration_that_is_none_of_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml: not the options of a run"):
        load_config(tmp_path)
    with pytest.raises(UserError, match="is not the folder of a run"):
        load_config(tmp_path / "nowhere")


def test_predictions_are_a_run_s_by_where_they_lie(tmp_path: Path) -> None:
    run = tmp_path / "run"
    own = [run / "predictions" / "test.jsonl", run / "evaluations" / "ncbi" / "predictions.jsonl"]
    others = [run / "llm.jsonl", run / "evaluations" / "llm" / "ncbi" / "predictions.jsonl"]
    for path in (*own, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [find_run(path) for path in own] == [None, None]  # no run yet
    for name in ("config.yaml", "split.json"):
        (run / name).touch()
    assert [find_run(path) for path in own] == [run.resolve()] * 2
    assert [find_run(path) for path in (*others, tmp_path / "x.jsonl")] == [None] * 3
