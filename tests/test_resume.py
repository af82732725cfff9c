"""Runs that are killed, interrupted or out of space, and go on: real processes, real signals."""

import json
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Ended, Run

SETTINGS = (
    "model=bioformer", "logger=none", "trainer.max_epochs=3", "trainer.patience=9",
    "trainer.ema_decay=0.9", "trainer.learning_rate=1e-3", "model.weights=random",
    "trainer.device_batch=2",  # of 8
)  # fmt: skip


@pytest.fixture(scope="module")
def begin(mirror: Path) -> Callable[[Path], tuple[str, ...]]:
    """The words that begin the run of these tests in a folder."""
    return lambda folder: (
        "train.py", *SETTINGS, f"hub_mirror={mirror}", f"hydra.run.dir={folder}",
    )  # fmt: skip


Start = Callable[..., subprocess.Popen]


@pytest.fixture(scope="module")
def process(verbs_environment: dict[str, str]) -> Start:
    def process(*words: str, **options: object) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *map(str, words)], cwd=ROOT, env=verbs_environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    return process


def outcome(process: subprocess.Popen) -> Ended:
    out, err = process.communicate()
    return Ended(process.returncode, out, err)


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    """Until it holds; fails if the process ends before."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def result(run: Path) -> dict:
    """All of a run that must not depend on how often it was interrupted."""
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["seconds"], metrics["cost"]
    return {
        "metrics": metrics,
        "history": json.loads((run / "history.json").read_text()),
        "predictions": (run / "predictions" / "validation.jsonl").read_text(),
        "best": tensors(run / "checkpoints" / "best.ckpt"),
        "last": tensors(run / "checkpoints" / "last.ckpt"),
    }


def tensors(path: Path) -> dict[str, bytes]:
    import torch

    saved = torch.load(path, weights_only=True)
    weights = {**saved["state_dict"], **saved.get("current_model_state", {})}
    return {name: tensor.numpy().tobytes() for name, tensor in weights.items()}


@pytest.fixture(scope="module")
def whole(run: Run, begin: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(*begin(folder)).well()
    return folder


@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_with_75_and_it_goes_on(
    process: Start, run: Run, begin: Callable, whole: Path, tmp_path: Path, signum: int
) -> None:
    folder = tmp_path / "run"
    training = process(*begin(folder))
    wait_for(lambda: (folder / "checkpoints" / "last.ckpt").exists(), training)
    training.send_signal(signum)
    ended = outcome(training)
    name = signal.Signals(signum).name
    assert ended.code == 75, ended.said
    assert f"{name}: finishing the batch, then saving" in ended.stdout
    assert re.search(r"saved after step \d+", ended.stdout)
    assert f"interrupted by {name}; to go on: python train.py run={folder}" in ended.stderr
    assert "Traceback" not in ended.said
    assert not (folder / "metrics.json").exists()
    step = re.search(r"saved after step (\d+)", ended.stdout)[1]
    again = run("train.py", f"run={folder}").well()
    assert f"going on after step {step}, in epoch " in again.stdout
    assert result(folder) == result(whole)


def killed(training: subprocess.Popen, run: Path, delay: float | None) -> bool:
    """Kill it ``delay`` seconds after it has saved something, or, if None, in the next save; False
    if it came to its end before."""
    last = run / "checkpoints" / "last.ckpt"
    begun = time.time()
    while training.poll() is None and not (last.exists() and last.stat().st_mtime > begun):
        time.sleep(0.002)
    if delay is not None:
        time.sleep(delay)
    else:
        while training.poll() is None and not unfinished(run):
            time.sleep(0.002)
    if training.poll() is not None:
        assert training.returncode == 0, outcome(training).said
        return False
    training.kill()
    assert outcome(training).code == -signal.SIGKILL
    return True


def unfinished(run: Path) -> list[Path]:
    return list(run.rglob(".*.aside"))


def kill_and_go_on(
    process: Start, words: tuple[str, ...], run: Path, times: int, most: float
) -> int:
    """Begin a run, kill it ``times`` times, go on with it to its end.

    Three kills of four come at most ``most`` seconds after a save, the fourth in one.

    Returns:
        How many of the kills left something half-written.
    """
    moments = random.Random(0)
    half_written = 0
    for number in range(times):
        delay = moments.uniform(0, most) if number % 4 < 3 else None
        training = process(*words)
        assert killed(training, run, delay), f"too few epochs for {times} kills"
        half_written += bool(unfinished(run))
        words = ("train.py", f"run={run}")
    ended = outcome(process(*words, "trainer.save_minutes=10"))
    assert ended.code == 0, ended.said
    assert unfinished(run) == []
    return half_written


def test_a_run_killed_three_times_ends_the_same(
    process: Start, begin: Callable, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    kill_and_go_on(process, (*begin(folder), "trainer.save_minutes=0"), folder, 3, 0.2)
    assert result(folder) == result(whole)


@pytest.mark.slow
def test_a_real_training_killed_twenty_times_ends_the_same(
    process: Start, run: Run, tmp_path: Path
) -> None:
    """MiniLM on the demo corpus, saved after each step: some of the kills hit a save."""
    words = (
        "train.py", "experiment=quickstart", "model=offline/minilm", "data=demo", "logger=none",
        "trainer.max_epochs=6",
    )  # fmt: skip
    run(*words, f"hydra.run.dir={tmp_path}/whole").well()
    words = (*words, "trainer.save_minutes=0", f"hydra.run.dir={tmp_path}/run")
    half_written = kill_and_go_on(process, words, tmp_path / "run", 20, 1.5)
    assert half_written > 0
    assert result(tmp_path / "run") == result(tmp_path / "whole")
    shutil.rmtree(tmp_path)  # gigabytes


# ---------------------------------------------------------------- a full disk


@pytest.fixture(scope="module")
def stopped(process: Start, begin: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted in its first epoch; a test takes a copy."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    training = process(*begin(folder))
    wait_for(lambda: (folder / "checkpoints" / "last.ckpt").exists(), training)
    training.send_signal(signal.SIGTERM)
    assert outcome(training).code == 75
    return folder


@pytest.fixture
def copy(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "copy"))


def test_a_full_disk_ends_it_with_a_line_and_it_goes_on(
    process: Start, run: Run, copy: Path, whole: Path
) -> None:
    """No file may grow beyond what a checkpoint takes: the kernel refuses as it does when full."""
    last = copy / "checkpoints" / "last.ckpt"
    size = last.stat().st_size // 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    before = last.read_bytes()
    ended = outcome(process("train.py", f"run={copy}", preexec_fn=limit))
    assert ended.code == 1
    line = ended.error()
    assert re.search(r"File too large.*nothing half-written is left; make room; to go on: ", line)
    assert last.read_bytes() == before
    assert list(copy.rglob(".*.aside")) == []
    run("train.py", f"run={copy}").well()
    assert result(copy) == result(whole)


# ---------------------------------------------------------------- what a call may change


def test_a_run_that_has_ended_is_scored_again_and_may_go_further(
    run: Run, whole: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(whole, tmp_path / "copy"))
    ended = run("train.py", f"run={copy}").well()
    assert "training has ended already, with epoch 3" in ended.stdout
    assert result(copy) == result(whole)
    run("train.py", f"run={copy}", "trainer.max_epochs=4").well()
    assert "trainer.max_epochs=4  (command line; it was 3)" in (copy / "train.log").read_text()
    history = json.loads((copy / "history.json").read_text())
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[:3] == json.loads((whole / "history.json").read_text())
    assert "max_epochs: 4" in (copy / "config.yaml").read_text()


@pytest.mark.slow
def test_a_moved_run_goes_on_on_another_machine(run: Run, copy: Path, corpora: Path) -> None:
    """Its corpus is elsewhere now, and the device holds less."""
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace(str(corpora), "/nowhere"))
    assert "/nowhere/maccrobat2020: " in run("train.py", f"run={copy}", torch=False).error()
    path = f"data.path={corpora}/maccrobat2020"
    run("train.py", f"run={copy}", path, "trainer.device_batch=4").well()
    assert len(json.loads((copy / "history.json").read_text())) == 3


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("model=biobert", r"model=biobert: run=.* keeps its model, data and protocol; .*change tr"),
        ("data.split.seed=3", r"data\.split\.seed=3: run=.* all else is a new run"),
        ("trainer.learning_rate=1", r"trainer\.learning_rate=1: "),
        ("trainer.device_batch=3", r"trainer\.device_batch=3: takes a divisor"),
        ("dry_run=true", r"run, repeat and dry_run contradict each other"),
        ("repeat={copy}", r"run, repeat and dry_run contradict each other"),
        ("data.path={corpora}/ncbi_disease", r"brat|\.txt|\.ann"),
    ],
)
def test_what_makes_a_run_what_it_is_stays(
    run: Run, copy: Path, corpora: Path, override: str, problem: str
) -> None:
    override = override.format(copy=copy, corpora=corpora)
    before = (copy / "config.yaml").read_text()
    assert re.search(problem, run("train.py", f"run={copy}", override, torch=False).error())
    assert (copy / "config.yaml").read_text() == before


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(
    run: Run, copy: Path, tmp_path: Path
) -> None:
    (copy / "checkpoints" / "last.ckpt").unlink()
    line = run("train.py", f"run={copy}", torch=False).error()
    assert re.search(r"run=.*copy: no checkpoint to go on from .*; train anew", line)
    line = run("train.py", f"run={tmp_path}/none", torch=False).error()
    assert f"run={tmp_path}/none: there is no such folder of a run" in line
    assert not (tmp_path / "none").exists()


def test_a_run_goes_on_in_its_own_folder_alone(run: Run, copy: Path, tmp_path: Path) -> None:
    for elsewhere in (("-m",), (f"hydra.run.dir={tmp_path}/elsewhere",)):
        options = (f"output_dir={tmp_path}/runs", f"hydra.sweep.dir={tmp_path}/sweep")
        ended = run("train.py", *elsewhere, f"run={copy}", *options, torch=False)
        assert f"run={copy}: go on with one run a command, in its own folder" in ended.error()


@pytest.mark.slow
def test_a_tracker_can_be_chosen_that_the_run_did_not_have(run: Run, copy: Path) -> None:
    run("train.py", f"run={copy}", "logger=wandb", "logger.wandb.offline=true").well()
    assert len(list(copy.glob("wandb/offline-run-*"))) == 1
    assert len(json.loads((copy / "history.json").read_text())) == 3


def test_other_documents_are_refused(run: Run, copy: Path, corpora: Path, tmp_path: Path) -> None:
    altered = Path(shutil.copytree(corpora / "maccrobat2020", tmp_path / "altered"))
    file = sorted(altered.glob("*.ann"))[3]
    file.write_text(file.read_text().replace("\tMedication ", "\tOther_entity ", 1))
    line = run("train.py", f"run={copy}", f"data.path={altered}", torch=False).error()
    assert f"{altered}: not the documents that {copy} was trained on" in line


def test_a_torn_checkpoint_is_not_taken_for_whole(run: Run, copy: Path) -> None:
    last = copy / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1000])
    assert "last.ckpt: not a checkpoint of this program" in run("train.py", f"run={copy}").error()


# ---------------------------------------------------------------- interruptions elsewhere


def test_before_training_begins_there_is_nothing_left(
    process: Start, begin: Callable, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    training = process(*begin(folder))
    wait_for((folder / "train.log").exists, training)
    training.send_signal(signal.SIGINT)
    ended = outcome(training)
    assert ended.code == 130
    assert "interrupted by SIGINT" in ended.stderr
    assert "Traceback" not in ended.said
    assert not folder.exists()


@pytest.mark.slow
def test_an_interrupted_sweep_does_not_go_on_with_the_next_job(
    process: Start, mirror: Path, tmp_path: Path
) -> None:
    sweep = process(
        "train.py", "-m", "model=biobert,bioformer", *SETTINGS[1:], f"hub_mirror={mirror}",
        f"hydra.sweep.dir={tmp_path}", "trainer.max_epochs=50",
    )  # fmt: skip
    wait_for(lambda: list(tmp_path.glob("0_*/history.json")), sweep)
    sweep.send_signal(signal.SIGTERM)
    ended = outcome(sweep)
    assert ended.code == 75, ended.said
    assert list(tmp_path.glob("1_*")) == []
    assert re.search(r"^0_biobert\S* .* failed: interrupted by SIGTERM", ended.stdout, re.M)
    assert f"python train.py run={tmp_path}/0_biobert_maccrobat" in ended.stderr


# ---------------------------------------------------------------- the same again


def test_a_run_trained_anew_is_the_same_to_the_bit(run: Run, whole: Path, tmp_path: Path) -> None:
    """From the folder alone, which has been moved since."""
    moved = Path(shutil.copytree(whole, tmp_path / "moved"))
    ended = run("train.py", f"repeat={moved}", f"output_dir={tmp_path}/runs").well()
    assert (
        f"the same as {moved} to the bit: history, scores (validation, test), predictions, weights"
        in ended.stdout
    )
    (again,) = (tmp_path / "runs").iterdir()
    assert result(again) == result(whole)


def test_what_has_not_ended_cannot_be_compared_with(run: Run, copy: Path) -> None:
    line = run("train.py", f"repeat={copy}", torch=False).error()
    assert f"repeat={copy}: it has not ended, so there is nothing to compare with" in line


@pytest.mark.slow
def test_an_interrupted_repetition_is_compared_all_the_same(
    process: Start, run: Run, whole: Path, tmp_path: Path
) -> None:
    repetition = process("train.py", f"repeat={whole}", f"output_dir={tmp_path}")
    wait_for(lambda: list(tmp_path.glob("*/checkpoints/last.ckpt")), repetition)
    repetition.send_signal(signal.SIGTERM)
    assert outcome(repetition).code == 75
    (again,) = tmp_path.iterdir()
    assert again.name.endswith("_repeated")
    ended = run("train.py", f"run={again}").well()
    assert f"the same as {whole} to the bit" in ended.stdout
    # a run that was gone on with can be repeated in its turn
    ended = run("train.py", f"repeat={again}", f"output_dir={tmp_path}/more").well()
    assert f"the same as {again} to the bit" in ended.stdout


@pytest.mark.slow
def test_a_run_that_differs_is_told(run: Run, whole: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(whole, tmp_path / "moved"))
    config = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(config.replace("\nseed: 0\n", "\nseed: 1\n"))
    ended = run("train.py", f"repeat={moved}", f"output_dir={tmp_path}/runs")
    assert re.search(r"is not the same as .*tensors of weights, by up to", ended.error())


@pytest.mark.slow
def test_two_runs_started_in_the_same_second_are_the_same_and_in_each_other_s_way_nowhere(
    process: Start, begin: Callable, whole: Path, tmp_path: Path
) -> None:
    """The same command twice, at once, with one output folder."""
    words = [*begin(Path("x"))[:-1], f"output_dir={tmp_path}/runs"]
    both = [process(*words) for _ in range(2)]
    for training in both:
        outcome(training).well()
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    for folder in runs:
        assert result(folder) == result(whole)
