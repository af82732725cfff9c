"""Multiruns: what their jobs need in whatever process they run, and what each says of its end."""

import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from medner.files import read_json, write_json
from medner.runs import LAST
from medner.schema import PROJECT

NO_END = "it has not ended: still at work, or killed"
_JOB = "job_{}.json"  # in the sweep's folder
_BEST = "optimization_results.yaml"  # Optuna's sweeper writes it


@dataclass(frozen=True, slots=True)
class Ended:
    """One job of a multirun; ``failure`` is None if it ended well, ``code`` its exit code."""

    folder: Path
    overrides: tuple[str, ...]
    failure: str | None
    code: int


class Record:
    """What a job says of itself, in a file of the sweep's folder: the one place that all processes
    of a multirun share, on whatever machine."""

    def __init__(self, settings: DictConfig) -> None:
        """``settings`` are Hydra's own of the job."""
        self._path = Path(settings.sweep.dir, _JOB.format(settings.job.num)).absolute()
        self._job = {
            "folder": settings.runtime.output_dir,
            "overrides": list(settings.overrides.task),
        }

    def begun_before(self) -> bool:
        """Whether an earlier process began this job: it was killed, or the job is requeued."""
        return self._path.is_file()

    def write(self, failure: str | None, code: int) -> None:
        write_json(self._path, {**self._job, "failure": failure, "code": code})


@dataclass(frozen=True, slots=True)
class Sweep:
    """A multirun of this process."""

    folder: Path
    overrides: tuple[str, ...]  # the command line's

    def records(self) -> list[Path]:
        """The files in which its jobs say of themselves, by number."""
        paths = self.folder.glob(_JOB.format("*"))
        return sorted(paths, key=lambda path: int(path.stem.rpartition("_")[2]))

    def jobs(self) -> list[Ended]:
        """Those that have begun, by number."""
        records = [read_json(path) for path in self.records()]
        return [
            Ended(Path(record["folder"]), tuple(record["overrides"]), record["failure"],
                record["code"])
            for record in records
        ]  # fmt: skip

    def best(self) -> str | None:
        """Of an Optuna study, earlier calls included: the best trial, and how to train it again."""
        if not (self.folder / _BEST).is_file():
            return None
        found = OmegaConf.to_container(OmegaConf.load(self.folder / _BEST))
        best = found["best_params"]
        fixed = [
            word for word in self.overrides if _key(word) not in {*best, "launcher", "sweeper"}
        ]
        words = [Path(sys.argv[0]).name, *fixed, *(f"{name}={best[name]}" for name in best)]
        return (
            f"the study's best trial, validation F1 {found['best_value']:.3f}; to train it again: "
            f"python {shlex.join(words)}"
        )


class Multirun(Callback):
    """What Hydra calls as a multirun begins. It turns an exception here into a warning; an exit it
    lets through."""

    begun: Sweep | None = None  # this process's

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        settings = config.hydra
        sweep = Sweep(Path(settings.sweep.dir).absolute(), tuple(settings.overrides.task))
        Multirun.begun = sweep
        for path in sweep.records():  # of an earlier one in this folder
            path.unlink()
        launcher = settings.runtime.choices["hydra/launcher"]
        if settings.runtime.choices["hydra/sweeper"] == "optuna":
            _prepare_optuna(config, sweep.overrides)
        # other processes find the package where it is not installed
        paths = (str(PROJECT), os.environ.get("PYTHONPATH"))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        if launcher == "ray":
            _start_ray(config)
        elif launcher.startswith("submitit"):
            # the signal before the time is up: training answers it, saves, and ends with 75
            os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "TERM"
            if launcher == "submitit_slurm" and not shutil.which("srun"):
                _refuse("launcher=submitit: there is no Slurm here (srun); submit from a machine "
                        "that has it, or take launcher=local")  # fmt: skip


def cores_and_cards(nodes: Sequence[dict[str, float]], jobs: int) -> tuple[int, int]:
    """What a job gets of a cluster: a card and its share of the cores where there are cards, else
    so many cores that ``jobs`` run at once, if there are as many.

    Args:
        nodes: the resources of each, as Ray names them: CPU, GPU.
        jobs: how many there are.

    Returns:
        Cores, and cards.
    """
    with_cards = [node for node in nodes if node.get("GPU", 0) >= 1]
    if with_cards:
        return max(1, int(min(node["CPU"] // node["GPU"] for node in with_cards))), 1
    each = -(-jobs // len(nodes))
    cores = int(min(node["CPU"] for node in nodes))
    return max(1, cores // each), 0


def _start_ray(config: DictConfig) -> None:
    """Start or join it, and settle what a job gets where the options leave that open."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
    import ray

    launcher = config.hydra.launcher.ray
    try:
        ray.init(**OmegaConf.to_container(launcher.init, resolve=True))
    except (ConnectionError, ValueError, RuntimeError) as error:
        _refuse(f"launcher=ray: {str(error).strip().splitlines()[0]}")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = [node for node in nodes if node.get("CPU", 0) >= 1]
    cores, cards = cores_and_cards(nodes, _jobs_at_once(config.hydra))
    with open_dict(config):
        if launcher.remote.num_gpus is None:
            launcher.remote.num_gpus = cards
        if launcher.remote.num_cpus is None:
            launcher.remote.num_cpus = cores


def _jobs_at_once(settings: DictConfig) -> int:
    if "n_jobs" in settings.sweeper:
        return settings.sweeper.n_jobs
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides(list(settings.overrides.task))
    return max(1, len(BasicSweeper.split_arguments(overrides, None)[0]))


def _prepare_optuna(config: DictConfig, overrides: Sequence[str]) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it names each of its plugins
    Path(config.output_dir).mkdir(parents=True, exist_ok=True)  # the study's file is there
    for word in overrides:
        if re.search(r"=\s*glob\(", word):
            _refuse(f"sweeper=optuna: {word}: a study is of one model and corpus; name it")


def _refuse(problem: str) -> None:
    print(f"error: {problem}", file=sys.stderr)
    sys.exit(2)


def go_on(folder: Path) -> str | None:
    """The command that goes on with the run in a folder, if there is something to go on from."""
    saved = (folder / LAST).is_file()
    return f"python train.py {shlex.quote(f'run={folder}')}" if saved else None


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
