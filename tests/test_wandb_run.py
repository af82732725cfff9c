"""A W&B run in this process: a server that is gone, a training resumed, an account or none."""

import csv
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig
from test_config import composed
from test_tracking import KEY, Offline, read_json, wandb_records
from wandb_server import serving

from medner.documents import Document
from medner.files import write_json
from medner.scoring.matching import Counts, Scores


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The environment, which W&B is steered by; it is put back."""
    import wandb

    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    yield os.environ
    wandb.teardown()
    os.environ.clear()
    os.environ.update(before)


def begun(folder: Path) -> tuple[DictConfig, Path]:
    """Options, and a run's folder as it is when the trackers start."""
    run = folder / "run"
    run.mkdir()
    write_json(run / "split.json", {"parts": {}})
    write_json(run / "data_report.json", {"fingerprint": "f"})
    return composed("train", "model=biobert", "logger=[csv,wandb]"), run


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the program warns of; W&B's own messages go into its own log."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("medner")
    ]


def test_a_server_that_refuses_is_given_up(
    tmp_path: Path, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    from medner.tracking import finish, make_loggers

    with serving() as gone:
        url = gone.url
    environment |= {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": url, "WANDB_INIT_TIMEOUT": "2"}
    config, run = begun(tmp_path)
    loggers = make_loggers(config, run)
    loggers[1].log_metrics({"val/f1": 0.5}, 1)
    finish(loggers, ended_well=True)
    (warning,) = warned(caplog)
    assert re.match(r"W&B: could not be reached \(.*refused\): offline; `cd .*sync", warning)
    assert Offline(run).history[0]["val/f1"] == 0.5


def test_a_server_that_falls_silent_is_given_up_at_the_end(
    tmp_path: Path, environment: dict[str, str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from wandb.apis.public import Api

    from medner.tracking import finish, log_training, make_loggers

    monkeypatch.setattr(Api, "_HTTP_TIMEOUT", 1)
    config, run = begun(tmp_path)
    (run / "best.ckpt").write_text("weights")
    with serving() as server:
        environment |= {
            "WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url,
            "WANDB_FINISH_TIMEOUT": "1",
        }  # fmt: skip
        loggers = make_loggers(config, run)
        server.silent.set()
        loggers[1].log_metrics({"val/f1": 0.5}, 1)
        log_training(loggers, run / "best.ckpt", {"epochs": 1})
        finish(loggers, ended_well=True)
    (warning,) = warned(caplog)
    (folder,) = run.glob("wandb/run-*")
    assert re.match(rf"W&B: .*; going on without it\. .* {folder}; .* --include-online ", warning)
    (file,) = folder.glob("*.wandb")
    assert any("val/f1" in str(record) for record in wandb_records(file))  # for `wandb sync`


@pytest.mark.filterwarnings("ignore:.*exists and is not empty")  # as in a training
def test_a_resumed_training_goes_on_in_the_same_run(
    tmp_path: Path, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Interrupted at step 25, taken up at 20; then sent by what the log says."""
    from medner.tracking import finish, log_part, log_training, make_loggers

    caplog.set_level(logging.INFO, "medner")
    environment["HOME"] = str(tmp_path)
    config, run = begun(tmp_path)
    documents = [Document("d", "a b", ())]
    (run / "p.jsonl").write_text('{"document":"d","spans":[]}\n')
    (run / "best.ckpt").write_text("the weights")
    for resumed_from, steps in ((None, (10, 15, 25)), (20, (20, 30))):
        loggers = make_loggers(config, run, resumed_from)
        for step in steps:
            for logger in loggers:
                logger.log_metrics({"val/f1": step / 100, f"only/{resumed_from}": 1.0}, step)
        if resumed_from:
            scores = Scores({"A": Counts(1, 1, 1)}, 1)
            log_part(loggers, "test", scores, run / "p.jsonl", documents, 30)
            log_training(loggers, run / "best.ckpt", {"epochs": 2})
        finish(loggers, ended_well=resumed_from is not None)
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [10, 15, 20, 30, 30]
    assert [row["only/None"] for row in rows] == ["1.0", "1.0", "", "", ""]

    first, second = Offline(run, 0), Offline(run, 1)
    assert first.run.run_id == second.run.run_id == read_json(run / "tracker.json")["wandb"]["id"]
    assert (first.run.resume, second.run.resume) == (False, True)
    assert (first.exits, second.exits) == ([1], [0])
    assert first.run.display_name == second.run.display_name == "biobert-maccrobat"
    assert first.config["model"]["name"] == "dmis-lab/biobert-v1.1"
    assert "name" not in second.config["model"]

    said = re.findall(r"W&B: offline; `(.*)` sends it", caplog.text)
    assert len(said) == 2 and len(set(said)) == 1
    with serving() as server:
        environment |= {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        sync = subprocess.run(
            said[0],
            shell=True,
            env={**environment, "PATH": binaries},
            capture_output=True,
            text=True,
        )
        assert sync.returncode == 0, sync.stdout + sync.stderr
    history = [json.loads(line) for line in server.history(first.run.run_id)]
    logged = [row["trainer/global_step"] for row in history if "val/f1" in row]
    assert logged == [10, 15, 25, 20, 30]
    uploads = [request for request in server.received if request.startswith(b"PUT /upload/")]
    assert any(request.endswith(b"the weights") for request in uploads)


def test_a_tracker_that_is_switched_off_is_none(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    from medner.tracking import make_loggers

    environment["WANDB_MODE"] = "disabled"
    config, run = begun(tmp_path)
    assert [type(logger).__name__ for logger in make_loggers(config, run)] == ["CsvLogger"]
    assert not (run / "wandb").exists()


@pytest.mark.parametrize("machine", ["api.wandb.ai", "api.forge.coreweave.com", "example.org"])
def test_an_account_is_found_in_netrc(
    tmp_path: Path, environment: dict[str, str], machine: str
) -> None:
    from medner.wandb_run import _has_account

    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    assert not _has_account()
    (tmp_path / "netrc").write_text(f"machine {machine}\n  login user\n  password {KEY}\n")
    assert _has_account() == (machine != "example.org")
