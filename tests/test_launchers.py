"""Multiruns on other launchers, and searches, in subprocesses as a user types them."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Ended, Run
from test_sweep import table_of

SHORT = ("logger=none", "model.weights=random", "trainer.max_epochs=1")


@pytest.mark.parametrize(
    ("option", "extra"),
    [("launcher=ray", "ray"), ("launcher=submitit", "submitit"), ("sweeper=optuna", "optuna")],
)
def test_what_is_not_installed_is_a_line_before_torch_is_imported(
    run: Run, tmp_path: Path, option: str, extra: str
) -> None:
    """Hydra finds its plugins in one package; here it is an empty one."""
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "__init__.py").touch()
    for package in ("torch", "transformers"):
        (tmp_path / f"{package}.py").write_text("raise AssertionError('it was imported')\n")
    words = ("train.py", "-m", "model=glob(*)", option, f"output_dir={tmp_path}/out")
    ended = run(*words, env={"PYTHONPATH": str(tmp_path)})
    assert ended.error() == f"error: {option}: needs pip install 'medner[{extra}]'"
    assert ended.code == 2
    assert not (tmp_path / "out").exists()


def test_a_machine_without_slurm_is_told(run: Run, tmp_path: Path) -> None:
    ended = run(
        "train.py", "launcher=submitit", f"output_dir={tmp_path}/out", torch=False,
        env={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert ended.error().startswith("error: launcher=submitit: there is no Slurm here (srun); ")


def test_a_study_is_of_one_model(run: Run, tmp_path: Path) -> None:
    words = ("-m", "model=glob(*)", "sweeper=optuna", f"output_dir={tmp_path}/out")
    line = run("train.py", *words, torch=False).error()
    assert line == (
        "error: sweeper=optuna: model=glob(*): a study is of one model and corpus; name it"
    )


def failing(mirror: Path, folder: Path) -> Path:
    """A mirror without distilbert."""
    hub = shutil.copytree(mirror, folder / "hub")
    shutil.rmtree(hub / "distilbert")
    return hub


def jobs(out: Path) -> dict[str, Path]:
    """The job folders of the only multirun, by model."""
    (sweep,) = out.glob("*_sweep")
    return {path.name.split("_")[1]: path for path in sweep.glob("[0-9]*_*")}


def began(job: Path) -> datetime:
    """When its first line was logged."""
    return datetime.strptime((job / "train.log").read_text()[:23], "%Y-%m-%d %H:%M:%S,%f")


def ended_at(job: Path) -> datetime:
    return datetime.fromtimestamp((job / "metrics.json").stat().st_mtime)


def check_the_end(ended: Ended, out: Path) -> None:
    """As of a local multirun in which distilbert fails."""
    assert ended.code == 1, ended.said
    folders = jobs(out)
    rows = table_of(ended)
    assert sorted(rows) == sorted(folder.name for folder in folders.values())
    for model, folder in folders.items():
        if model == "distilbert":
            assert (
                " failed: model distilbert/distilbert-base-uncased is not to "
                in (rows[folder.name])
            )
        else:
            assert re.fullmatch(
                rf"{folder.name} +0\.\d+ +0\.\d+ +1 +\d+\.\d +model={model} +{folder}",
                rows[folder.name],
            )
            assert yaml.safe_load((folder / "config.yaml").read_text())["model"]["label"] == model


@pytest.mark.slow
def test_ray_runs_two_jobs_at_once_a_thread_each_and_ends_as_a_local_multirun_does(
    mirror: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    out = tmp_path / "out"
    words = (
        "train.py", "-m", "model=biobert,bioformer,distilbert", "launcher=ray", "logger=none",
        "trainer.max_epochs=1", "hydra.launcher.ray.init.num_cpus=2", f"output_dir={out}",
        f"hub_mirror={failing(mirror, tmp_path)}",
    )  # fmt: skip
    env = {name: value for name, value in verbs_environment.items() if name != "OMP_NUM_THREADS"}
    with started(words, env) as multirun:
        said = multirun.communicate()
    ended = Ended(multirun.returncode, *said)
    check_the_end(ended, out)
    first, second = jobs(out)["biobert"], jobs(out)["bioformer"]
    assert began(first) < ended_at(second)
    assert began(second) < ended_at(first)
    for job in (first, second):
        device = json.loads((job / "metrics.json").read_text())["cost"]["device"]
        assert device.endswith(" 1 threads")


@pytest.mark.slow
def test_a_job_whose_process_is_killed_on_ray_goes_on(
    run: Run, mirror: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    words = (
        "train.py", "launcher=ray", "model=biobert", *SHORT, "trainer.max_epochs=12",
        "trainer.patience=99", "hydra.launcher.ray.init.num_cpus=1", f"hub_mirror={mirror}",
        f"output_dir={tmp_path}",
    )  # fmt: skip
    with started(words, verbs_environment) as multirun:
        history = wait_for(tmp_path, "*/0_*/history.json", multirun)
        os.kill(process_at_work_in(history.parent), signal.SIGKILL)
        out, err = multirun.communicate()
    assert multirun.returncode == 0, out + err
    log = (history.parent / "train.log").read_text()
    assert re.search(r"going on after step \d+, in epoch \d+\n", log)
    assert len(json.loads(history.read_text())) == 12


def started(words: tuple[str, ...], env: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(folder: Path, pattern: str, process: subprocess.Popen) -> Path:
    """The first file like that with something in it; fails if the process ends before."""
    while not (found := [path for path in folder.glob(pattern) if path.stat().st_size]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return found[0]


def process_at_work_in(run: Path) -> int:
    """The process that holds a run's lock, as Linux tells."""
    inode = (run / ".lock").stat().st_ino
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    (pid,) = {int(line[4]) for line in locks if int(line[5].rpartition(":")[2]) == inode}
    return pid


@contextmanager
def cluster(env: dict[str, str]) -> Iterator[tuple[dict[str, str], str]]:
    """The environment of those for whom this machine is part of a Ray cluster, and its address;
    its folder is its own, that no other Ray here finds it."""
    place = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # sockets have short names
    own = env | {"RAY_TMPDIR": str(place), "RAY_USAGE_STATS_ENABLED": "0"}
    own |= {"RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT)}
    words = ("--head", "--port=0", "--num-cpus=1", "--include-dashboard=false", "--block")
    with started(("-m", "ray.scripts.scripts", "start", *words), own) as ray:
        try:
            yield own, wait_for(place, "ray/ray_current_cluster", ray).read_text()
            assert ray.poll() is None  # those who use it leave it
        finally:
            ray.terminate()
            ray.communicate()
            shutil.rmtree(place)


@pytest.mark.slow
def test_jobs_run_on_the_ray_cluster_that_the_machine_is_part_of(
    mirror: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    words = (
        "train.py", "launcher=ray", "hydra.launcher.ray.init.address=auto", "model=biobert",
        *SHORT, f"hub_mirror={mirror}", f"output_dir={tmp_path}/out",
    )  # fmt: skip
    with cluster(verbs_environment) as (joined, address), started(words, joined) as multirun:
        said = multirun.communicate()
    ended = Ended(multirun.returncode, *said).well()
    assert f"Connecting to existing Ray cluster at address: {address}..." in ended.stderr
    job = jobs(tmp_path / "out")["biobert"]
    assert job.name in table_of(ended)  # with what Ray still says of it behind the table
    assert (job / "metrics.json").is_file()


@pytest.mark.slow
def test_submitit_s_own_executor_ends_as_a_local_multirun_does(
    run: Run, mirror: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = run(
        "train.py", "-m", "model=distilbert,biobert", "hydra/launcher=submitit_local", *SHORT,
        f"hub_mirror={failing(mirror, tmp_path)}", f"output_dir={out}", cwd=tmp_path, fresh=True,
    )  # fmt: skip
    check_the_end(ended, out)


# A Slurm of one machine and one job: what sbatch is given runs again as long as it is requeued.
SLURM = {
    "sbatch": """
        cp "$1" "$SLURM/script"
        (
            export SLURM_JOB_ID=7
            while :; do
                rm -f "$SLURM/requeued"
                bash "$SLURM/script"
                echo $? >> "$SLURM/codes"
                [ -e "$SLURM/requeued" ] || break
            done
        ) > "$SLURM/log" 2>&1 &
        echo "Submitted batch job 7"
    """,
    "srun": """
        while [ "${1#--}" != "$1" ]; do
            case $1 in --output | --error) shift ;; esac
            shift
        done
        exec "$@"
    """,
    "scontrol": '[ "$*" = "requeue 7" ] && touch "$SLURM/requeued"',
    "sacct": r"printf 'JobID|State|NodeList\n7|RUNNING|here\n'",
}


def codes_of_the_script(slurm: Path) -> list[int]:
    """Of each of its runs; it ends a little later than its job."""
    while (slurm / "requeued").exists() or len((slurm / "codes").read_text().split()) < 2:
        time.sleep(0.05)
    return [int(code) for code in (slurm / "codes").read_text().split()]


@pytest.mark.slow
def test_a_slurm_job_is_requeued_when_it_ends_with_75_and_goes_on(
    mirror: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    """The script that is submitted really runs; Slurm's four commands are a few lines of shell."""
    for name, text in SLURM.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = verbs_environment | {"SLURM": str(tmp_path)}
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    words = (
        "train.py", "-m", "launcher=submitit", "model=biobert", *SHORT, "trainer.max_epochs=12",
        "trainer.patience=99", "hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=90",
        "hydra.launcher.gpus_per_node=2", f"hub_mirror={mirror}", f"output_dir={tmp_path}/out",
    )  # fmt: skip
    with started(words, env) as multirun:
        history = wait_for(tmp_path, "out/*/0_*/history.json", multirun)
        os.kill(process_at_work_in(history.parent), signal.SIGTERM)  # as Slurm does at TERM@120
        out, err = multirun.communicate()
    ended = Ended(multirun.returncode, out, err).well()
    script = (tmp_path / "script").read_text()
    for flag in (
        "partition=gpu", "time=90", "gpus-per-node=2", "requeue", "signal=TERM@120",
        "cpus-per-task=4", "job-name=medner",
    ):  # fmt: skip
        assert f"#SBATCH --{flag}\n" in script
    assert codes_of_the_script(tmp_path) == [75, 0], (tmp_path / "log").read_text()
    log = (history.parent / "train.log").read_text()
    assert re.search(r"SIGTERM: finishing the batch, then saving\n", log)
    assert re.search(r"going on after step \d+, in epoch \d+\n", log)
    assert len(json.loads(history.read_text())) == 12
    assert list(table_of(ended)) == [history.parent.name]
    assert len(jobs(tmp_path / "out")) == 1


@pytest.mark.slow
def test_a_study_goes_on_with_the_same_command_and_tells_its_best_trial(
    run: Run, mirror: Path, tmp_path: Path
) -> None:
    command = (
        "train.py", "-m", "model=biobert", "sweeper=optuna", *SHORT, "trainer.warmup=0.2",
        f"hub_mirror={mirror}", f"output_dir={tmp_path}/out",
    )  # fmt: skip
    first = run(*command, "hydra.sweeper.n_trials=3").well()
    second = run(*command, "hydra.sweeper.n_trials=2").well()
    assert sum(row[0].isdigit() for row in table_of(first)) == 3
    assert sum(row[0].isdigit() for row in table_of(second)) == 2

    with sqlite3.connect(tmp_path / "out" / "studies.db") as database:
        values = "SELECT trial_id, value FROM trial_values ORDER BY trial_id"
        told = dict(database.execute(values).fetchall())
        asked = "SELECT trial_id, param_name, param_value FROM trial_params"
        parameters = {}
        for trial, name, value in database.execute(asked):
            parameters.setdefault(trial, {})[name] = value
        assert database.execute("SELECT COUNT(*) FROM studies").fetchone() == (1,)
    searched = {"trainer.learning_rate", "trainer.layer_decay", "model.dropout"}
    assert all(set(trial) == searched for trial in parameters.values())

    sweeps = sorted((tmp_path / "out").glob("*_sweep"))
    runs = [run for sweep in sweeps for run in sorted(sweep.glob("[0-9]*_biobert_*"))]
    assert len(runs) == len(told) == 5
    for folder, trial in zip(runs, sorted(told), strict=True):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert config["trainer"]["layer_decay"] == parameters[trial]["trainer.layer_decay"]
        assert config["model"]["dropout"] == parameters[trial]["model.dropout"]
        assert config["trainer"]["warmup"] == 0.2
        metrics = json.loads((folder / "metrics.json").read_text())
        assert told[trial] == pytest.approx(metrics["best_validation_f1"])

    best = max(told, key=lambda trial: told[trial])
    line = re.search(
        r"^the study's best trial, validation F1 (\S+); to train it again: python (.*)$",
        second.stdout, re.M,
    )  # fmt: skip
    assert line[1] == f"{told[best]:.3f}"
    words = line[2].split()
    assert set(words) == {
        *(word for word in command if word not in ("-m", "sweeper=optuna")),
        *(f"{name}={value}" for name, value in parameters[best].items()),
    }
    again = run(*words, "hydra.run.dir=again", cwd=tmp_path).well()
    metrics = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert metrics["best_validation_f1"] == pytest.approx(told[best]), again.said


@pytest.mark.slow
def test_a_study_goes_on_after_trials_that_fail(run: Run, mirror: Path, tmp_path: Path) -> None:
    """One of the two learning rates is past all bounds."""
    ended = run(
        "train.py", "-m", "model=biobert", "sweeper=optuna", "hydra.sweeper.n_trials=3", *SHORT,
        "trainer.learning_rate=choice(1e-4, 1e30)", "hydra.sweeper.sampler.seed=0",
        f"hub_mirror={mirror}", f"output_dir={tmp_path}/out",
    )  # fmt: skip
    assert ended.code == 1
    assert "Traceback" not in ended.said
    with sqlite3.connect(tmp_path / "out" / "studies.db") as database:
        trials = database.execute(
            "SELECT state, value FROM trials LEFT JOIN trial_values USING (trial_id) "
            "ORDER BY number"
        ).fetchall()
    states = [state for state, _ in trials]
    assert states[0] == "FAIL" and set(states) == {"FAIL", "COMPLETE"}  # by the seed
    jobs_and_best = table_of(ended)
    rows = [row for name, row in sorted(jobs_and_best.items()) if re.match(r"\d+_", name)]
    for row, (state, value) in zip(rows, trials, strict=True):
        if state == "FAIL":
            assert value is None and "trainer.learning_rate=1e+30" in row
            assert re.search(r" failed: the (loss is (nan|inf)|weights are no finite)", row)
        else:
            assert "trainer.learning_rate=0.0001" in row and "failed" not in row
    best = max(value for _, value in trials if value is not None)
    begins = f"the study's best trial, validation F1 {best:.3f}; to train it again: "
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith(begins)]
    assert "trainer.learning_rate=0.0001" in line
