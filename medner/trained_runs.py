"""What the trainings behind a comparison were like: their learning curves, and what they cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medner.evaluation_files import Evaluation
from medner.files import read_json
from medner.runs import HISTORY, METRICS, load_config


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """``history`` has a row an epoch, ``figures`` what the run's metrics.json says of its cost."""

    system: str
    seed: int
    history: Sequence[Mapping[str, Any]]
    figures: Mapping[str, Any]
    precision: str
    effective_batch: int
    device_batch: int


def trained_runs(evaluations: Iterable[Evaluation]) -> list[TrainedRun]:
    """The runs that have ended well, in the order of their evaluations."""
    systems = {one.run: one.system for one in evaluations if one.run}
    return [
        _read(run, system)
        for run, system in systems.items()
        if (run / HISTORY).is_file() and (run / METRICS).is_file()
    ]


def _read(run: Path, system: str) -> TrainedRun:
    config = load_config(run)
    return TrainedRun(
        system=system,
        seed=config.seed,
        history=read_json(run / HISTORY),
        figures=read_json(run / METRICS),
        precision=config.trainer.precision,
        effective_batch=config.trainer.effective_batch,
        device_batch=config.trainer.device_batch,
    )
