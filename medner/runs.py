"""Run folders: what ``train.py`` leaves behind and ``evaluate.py`` starts from.

config.yaml        every option, resolved
split.json         document ids of each part
data_report.json   what was read, and what was lost where
history.json       figures of each epoch
checkpoints/       best.ckpt, the model; last.ckpt, what going on needs
predictions/       validation.jsonl, test.jsonl
calibration.json   temperature and thresholds, fitted on the validation documents
metrics.json       written last: its presence says that the run ended well
train.log
evaluations/       one folder for each, the run's own parts first: predictions.jsonl, metrics.json,
                   analysis.json, report.html
export/            what export.py makes of it
metrics.csv, tensorboard/, wandb/, tracker.json    what trackers write, and which W&B run it is
"""

import logging
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from medner.errors import UserError
from medner.files import clear_unfinished, written_whole
from medner.schema import TrainConfig

CONFIG, SPLIT, DATA_REPORT, HISTORY, METRICS, LOG, CALIBRATION, ANALYSIS, PAGE = (
    "config.yaml", "split.json", "data_report.json", "history.json", "metrics.json", "train.log",
    "calibration.json", "analysis.json", "report.html",
)  # fmt: skip
EXPORT_SETTINGS = "medner.json"  # in an exported model's folder
BEST, LAST = Path("checkpoints", "best.ckpt"), Path("checkpoints", "last.ckpt")
_LOCK = ".lock"
_held: dict[Path, FileLock] = {}


class _RunLog(logging.FileHandler):
    """On a full disk it loses lines, which the terminal shows; logging would print a traceback for
    each."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def claim(run: Path, again: bool = False) -> None:
    """Take a folder for one run, until ``release``, and open its log.

    Args:
        again: this is a run's own folder, to go on in.

    Raises:
        UserError: if another run has it, or another process is at work in it.
    """
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / _LOCK)
    try:
        lock.acquire(timeout=0)  # the system lets go of it if the process is killed
    except Timeout:
        raise UserError(f"{run} belongs to another run, which is at work there") from None
    if not again and (run / LOG).exists():
        lock.release()
        raise UserError(
            f"{run} belongs to another run; give this one a folder of its own, or go on with that "
            f"one: run={run}"
        )
    _held[run] = lock
    for folder in (run, *(run / name for name in ("checkpoints", "predictions"))):
        clear_unfinished(folder)  # an evaluation may be at work in evaluations/
    open_log(run)


def open_log(run: Path) -> None:
    """Log to the run's folder, too, until Hydra takes the handler away before the next job."""
    handler = _RunLog(run / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)


def discard(run: Path) -> None:
    """Take back the folder of a run that failed before it began: Hydra makes it too early to know.

    Removes this run's first files, and the folder if nothing else is in it.
    """
    if not run.is_dir():
        return
    present = {path.name for path in run.iterdir()}
    if CONFIG not in present and run in _held:
        own = present & {LOG, SPLIT, DATA_REPORT, _LOCK}
        for name in own:
            (run / name).unlink()
        present -= own
    if not present and run != Path.cwd():
        run.rmdir()


def release(run: Path) -> None:
    """Let others have the folder, if this process had it."""
    lock = _held.pop(run, None)
    if lock:
        lock.release()


def save_config(run: Path, config: DictConfig) -> None:
    """Save the resolved options. Paths become absolute: the folder says where its data was."""
    for key in (
        "data.path", "data.rebuild_from", "data.split.test_ids", "data.split.groups", "hub_mirror",
        "eval_dataset.path", "repeat",
    ):  # fmt: skip
        value = OmegaConf.select(config, key)
        if value is not None:
            OmegaConf.update(config, key, str(Path(value).expanduser().resolve()))
    if Path(config.model.name).is_dir():  # and not a name on the hub
        config.model.name = str(Path(config.model.name).resolve())
    with written_whole(run / CONFIG) as file:
        file.write(OmegaConf.to_yaml(config, resolve=True))


def load_config(run: Path) -> DictConfig:
    """The options of a run, held to the schema; nothing that they name is instantiated.

    Raises:
        UserError: if the folder is no run's, or its options are not of this program.
    """
    path = run / CONFIG
    if not path.is_file():
        raise UserError(f"{run} is not the folder of a run: it has no {CONFIG}")
    try:
        saved = OmegaConf.load(path)
        # a run saves what is resolved; resolving would read the environment for whoever wrote this
        if found := _interpolation(OmegaConf.to_container(saved)):
            raise ValueError(f"{found} is an interpolation, which no run saves")
        config = OmegaConf.merge(OmegaConf.structured(TrainConfig), saved)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise UserError(f"{path}: not the options of a run: {problem}") from None
    for corpus in filter(None, (config.data, config.eval_dataset)):
        corpus.release = None  # a run knows the path; nothing is fetched from where its folder says
    return config


def label(config: DictConfig) -> str:
    """What tables and pages call the best model of a run with these options."""
    return f"{config.model.label}, {config.data.name}"


def _interpolation(values: Any) -> str | None:
    """The first interpolation among plain values, unresolved."""
    if isinstance(values, dict | list):
        inner = [*values, *values.values()] if isinstance(values, dict) else values
        return next(filter(None, map(_interpolation, inner)), None)
    return values if isinstance(values, str) and "${" in values else None


def predictions_of(run: Path, part: str) -> Path:
    """The run's predictions for its own documents of a part, by its best epoch."""
    return run / "predictions" / f"{part}.jsonl"


def newest(output_dir: str | Path) -> Path:
    """The run whose best checkpoint was written last, in ``output_dir`` or a sweep in it.

    Raises:
        UserError: if there is none.
    """
    output_dir = Path(output_dir)
    runs = [p for depth in ("*", "*/*") for p in output_dir.glob(f"{depth}/{CONFIG}")]
    best = [path.parent / BEST for path in runs if (path.parent / BEST).is_file()]
    if not best:
        raise UserError(
            f"no run with a finished best checkpoint in {output_dir}/; train one, or give "
            "output_dir=DIR, run=DIR or ckpt_path=FILE"
        )
    return max(best, key=lambda path: path.stat().st_mtime_ns).parent.parent


def find_run(predictions: Path) -> Path | None:
    """The folder of the run that has made a file, by where it lies: in the run's ``predictions`` or
    in one of its ``evaluations``. None of any other file."""
    parents = predictions.resolve().parents
    places = ((0, "predictions"), (1, "evaluations"))  # predictions/FILE, evaluations/NAME/FILE
    for up, place in places:
        if len(parents) > up + 1 and parents[up].name == place:
            run = parents[up + 1]
            if (run / CONFIG).is_file() and (run / SPLIT).is_file():
                return run
    return None


def find_checkpoint(config: DictConfig) -> tuple[Path | None, Path]:
    """The run's folder, if there is one, and the checkpoint that an evaluation asks for.

    Raises:
        UserError: if there is none.
    """
    if config.ckpt_path is not None:
        checkpoint = Path(config.ckpt_path)
        if not checkpoint.is_file():
            raise UserError(f"ckpt_path={checkpoint}: there is no such file")
        run = checkpoint.resolve().parent.parent
        return (run if (run / CONFIG).is_file() else None), checkpoint
    run = trained_run(config.run, config.output_dir)
    return run, run / BEST


def trained_run(run: str | None, output_dir: str) -> Path:
    """The folder of the run that is asked for, or of the newest, with a finished best checkpoint.

    Raises:
        UserError: if it is no run's folder, or has none.
    """
    run = Path(run) if run is not None else newest(output_dir)
    if not run.is_dir():
        raise UserError(f"run={run}: there is no such folder")
    load_config(run)
    if not (run / BEST).is_file():
        raise UserError(f"run={run}: no finished best checkpoint ({BEST})")
    return run
