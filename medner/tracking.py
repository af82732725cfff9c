"""Trackers: Lightning's loggers, writing below the run's folder, and what the end of a run adds."""

import csv
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from medner.config import NO_TENSORBOARD
from medner.data_report import fingerprint
from medner.documents import Document
from medner.errors import UserError
from medner.files import read_json, write_json, written_whole
from medner.gold import Gold
from medner.scoring.matching import Scores
from medner.sharing import code_version, file_digest, fingerprints, shareable_options
from medner.systems import System
from medner.wandb_run import WandbRun

log = logging.getLogger(__name__)
TRACKER = "tracker.json"  # in a run's folder: id, name and group of its W&B run


def make_loggers(config: DictConfig, run: Path, resumed_from: int | None = None) -> list[Logger]:
    """The trackers that ``config.logger`` names, for a training in the folder ``run``.

    Args:
        resumed_from: the step at which an interrupted training is taken up again, None for a new
            one. What the trackers were told of this step and those after it is forgotten, or told
            again; W&B goes on with the same run.

    Raises:
        UserError: if a tracker's package is missing.
    """
    loggers = _local_loggers(config.logger, run, resumed_from)
    if config.logger.wandb is not None:
        loggers += _wandb_training(config, run, resumed=resumed_from is not None)
    return loggers


def log_evaluation(
    chosen: DictConfig, config: DictConfig, system: System, gold: Gold, scores: Scores,
    folder: Path,
) -> None:  # fmt: skip
    """Tell trackers of an evaluation whose results are in ``folder``.

    In W&B it is a run of its own, whose configuration names the run and, by its digest, the file
    evaluated.

    Args:
        chosen: a LoggerConfig.
    """
    loggers = _local_loggers(chosen, folder, None)
    if chosen.wandb is not None:
        trained = _tracked(system.run) if system.run else {}
        digest = file_digest(system.source) if system.source.is_file() else None
        started = WandbRun.start(
            chosen.wandb,
            folder,
            name=f"{trained.get('name') or (digest or 'other')[:8]} on {gold.name}",
            group=trained.get("group") or _sweep(),
            job_type="evaluation",
            config={
                **shareable_options(config),
                "code": code_version(),
                "fingerprints": {"data": fingerprint(gold.documents)},
                "trained": {**trained, "evaluated_sha256": digest},
            },
        )
        loggers += [started] if started else []
    ended_well = False
    try:
        log_part(loggers, gold.name, scores, folder / "predictions.jsonl", gold.documents)
        ended_well = True
    finally:
        finish(loggers, ended_well)


def log_part(
    loggers: Sequence[Logger], part: str, scores: Scores, predictions: Path,
    documents: Sequence[Document], step: int = 0,
) -> None:  # fmt: skip
    """Tell the trackers how well a part of the data was predicted.

    All get ``PART/f1`` and the like; W&B also a table and a chart by type, and the predictions, of
    which it is told no more than it may.

    Args:
        predictions: their file.
        step: the optimiser step at which training ended.
    """
    overall = scores.overall
    figures = {
        f"{part}/f1": overall.f1,
        f"{part}/precision": overall.precision,
        f"{part}/recall": overall.recall,
        f"{part}/macro_f1": scores.macro_f1,
    }
    for logger in loggers:
        if isinstance(logger, WandbRun):
            logger.log_part(part, scores, figures, predictions, documents)
        else:
            logger.log_metrics(figures, step)
            logger.save()


def log_training(loggers: Sequence[Logger], checkpoint: Path, figures: Mapping[str, float]) -> None:
    """Give W&B the best checkpoint, and ``figures`` of the whole training for its summary."""
    for logger in loggers:
        if isinstance(logger, WandbRun):
            logger.log_training(checkpoint, figures)


def finish(loggers: Sequence[Logger], ended_well: bool) -> None:
    """Close the trackers' files and runs: without it W&B shows a crash, or a run without end."""
    # W&B's first: they raise nothing, as a full disk makes the others do
    for logger in sorted(loggers, key=lambda logger: not isinstance(logger, WandbRun)):
        logger.finalize("success" if ended_well else "failed")
        if isinstance(logger, WandbRun):
            logger.close(ended_well)


def _local_loggers(chosen: DictConfig, folder: Path, resumed_from: int | None) -> list[Logger]:
    """Those that write files and nothing else."""
    loggers: list[Logger] = []
    if chosen.csv is not None:
        loggers.append(CsvLogger(folder / "metrics.csv", resumed_from))
    if chosen.tensorboard is not None:
        try:
            loggers.append(
                TensorBoardLogger(
                    folder, name="", version="tensorboard", default_hp_metric=False,
                    purge_step=resumed_from,
                )
            )  # fmt: skip
        except ModuleNotFoundError:
            raise UserError(NO_TENSORBOARD) from None
    return loggers


class CsvLogger(Logger):
    """``metrics.csv``, written whole each time: Lightning's own can be cut short by a kill, and is
    deleted when a run goes on.

    Args:
        resumed_from: rows of this step and those after it are forgotten; None: all are.
    """

    name = "csv"
    version = ""

    def __init__(self, path: Path, resumed_from: int | None) -> None:
        super().__init__()
        self._path = path
        self._rows: list[dict[str, Any]] = []
        if resumed_from is not None and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self._rows = [row for row in rows if int(row["step"]) < resumed_from]

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """config.yaml has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._rows.append({"step": step, **{name: float(metrics[name]) for name in metrics}})

    def save(self) -> None:
        columns = dict.fromkeys(name for row in self._rows for name in row)
        with written_whole(self._path) as file:
            writer = csv.DictWriter(file, list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)


def _wandb_training(config: DictConfig, run: Path, resumed: bool) -> list[WandbRun]:
    earlier = _tracked(run) if resumed else {}
    options = shareable_options(config)
    if resumed:
        # W&B has it; whether it is a folder's cannot be told from another working folder
        del options["model"]["name"]
    started = WandbRun.start(
        config.logger.wandb,
        run,
        id=earlier.get("id"),
        name=earlier.get("name") or _name(config),
        group=earlier["group"] if earlier else _sweep(),
        job_type="training",
        config={**options, "code": code_version(), "fingerprints": fingerprints(run)},
    )
    if started is None:
        return []
    write_json(run / TRACKER, {"wandb": started.identity()})
    return [started]


def _tracked(run: Path) -> dict[str, Any]:
    """Id, name and group of the W&B run of a training, if it has one."""
    path = run / TRACKER
    return read_json(path)["wandb"] if path.is_file() else {}


def _name(config: DictConfig) -> str:
    fold = f"-fold{config.data.split.fold}" if config.data.split.fold else ""
    seed = f"-seed{config.seed}" if config.seed else ""
    return f"{config.model.label}-{config.data.name}{fold}{seed}"


def _sweep() -> str | None:
    """A name for the multirun that this job belongs to; not its folder's, which could be any."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    settings = HydraConfig.get()
    folder = Path(settings.runtime.cwd, settings.sweep.dir).resolve()
    return f"sweep-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
