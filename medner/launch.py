"""How the verbs start: Hydra composes and launches, errors become lines, the exit code tells."""

import errno
import logging
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from medner import config as options
from medner import ranks
from medner.errors import ConfigError, IncompleteError, UserError
from medner.files import read_json
from medner.hydra_errors import HYDRA_ERRORS, explain
from medner.interruption import Interrupted, listen
from medner.runs import LAST, METRICS, discard, release
from medner.schema import PROJECT, register
from medner.tables import aligned

log = logging.getLogger(__name__)

INCOMPLETE = 3
REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: going on with the run may end well
# torchmetrics imports it, and it says that it has made a list of the machine's fonts
logging.getLogger("matplotlib").setLevel(logging.WARNING)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a multirun; ``failure`` is None if it ended well."""

    folder: Path
    overrides: tuple[str, ...]
    failure: str | None


def launch(
    task: Callable[[DictConfig, Path], None],
    config_name: str,
    summary: Callable[[Sequence[Job]], str] | None = None,
    own_options: Callable[[DictConfig, Sequence[str]], DictConfig] | None = None,
) -> int:
    """Run a verb as a Hydra application.

    Args:
        task: takes the composed and checked configuration and the folder that Hydra made for this
            job; in a multirun it is called once a job.
        config_name: of the file in ``conf/``.
        summary: what is said of all jobs after a multirun.
        own_options: puts the options of an earlier run in place of those composed, if this call
            names one; takes the configuration and the command line's words.

    Returns:
        The exit code: 0 if every job ended well, 2 for a wrong configuration, 3 where some of the
        documents have failed, 75 for a run that was interrupted and can go on, 128 and the signal's
        number for one that cannot, 1 for all else.
        A :class:`UserError` becomes a line, any other error is logged with its traceback; in a
        multirun the jobs after it go on.
    """
    register()
    codes, jobs = [], []

    def job(config: DictConfig) -> None:
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        failure = None
        try:
            if own_options:
                config = own_options(config, settings.overrides.task)
            options.check(config)
            task(config, folder)
        except (Exception, Interrupted) as error:
            failure, code = _explain(error, folder if own_options else None)
            codes.append(code)
            if settings.mode == RunMode.RUN:
                discard(folder)
            if isinstance(error, Interrupted):
                raise  # Hydra goes on with the next job after an Exception only
        finally:
            release(folder)
            if settings.mode == RunMode.MULTIRUN:
                jobs.append(Job(folder, tuple(settings.overrides.task), failure))

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come through, to be explained here
    listen()
    try:
        hydra.main(version_base="1.3", config_path=str(PROJECT / "conf"), config_name=config_name)(
            job
        )()
    except (*HYDRA_ERRORS, ValueError) as error:  # of Hydra: a job's own do not get here
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    except Interrupted as error:
        if not codes:
            print(f"interrupted by {error}", file=sys.stderr)
            return 128 + error.signum
    if jobs and summary:
        log.info("\n%s", summary(jobs))
    if not jobs and {"-m", "--multirun"} & set(sys.argv) and not {"--cfg", "-c"} & set(sys.argv):
        print("error: the multirun has no job: a pattern in it fits no option", file=sys.stderr)
        return 2
    return max(codes, default=0)


def follow(task: Callable[[Any], None]) -> int:
    """Do what rank 0 tells, in another process of its run; see :mod:`medner.ranks`.

    Returns:
        The exit code: 1 for an error, which is said; else 0, for that of rank 0 is the run's: who
        has started them may end the others as soon as one ends with another code.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to save
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    warnings.simplefilter("ignore")  # rank 0 has them too
    try:
        with ranks.told() as job:
            listen()
            task(job)
    except Interrupted:
        pass
    except Exception as error:
        text = "another process has failed" if ranks.is_loss(error) else str(error)
        expected = isinstance(error, UserError) or ranks.is_loss(error)
        log.error("rank %d: %s", ranks.rank(), text, exc_info=not expected)
        return 1
    return 0


def _explain(error: BaseException, run: Path | None) -> tuple[str, int]:
    """Say in one line what ended a job, with a traceback if nobody could expect it; and the exit
    code. ``run`` is the folder of a training."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    saved = run is not None and (run / LAST).is_file()
    go_on = f"; to go on: python train.py {shlex.quote(f'run={run}')}" if saved else ""
    if isinstance(error, Interrupted):
        go_on = f"; to go on: {error.go_on}" if error.go_on else go_on
        log.error("interrupted by %s%s", text, go_on)
        return f"interrupted by {text}", REQUEUE if go_on else 128 + error.signum
    if isinstance(error, OSError) and error.errno in _FULL:
        log.error("error: %s: nothing half-written is left; make room%s", text, go_on)
        return text, 1
    log.error("error: %s", text, exc_info=not isinstance(error, UserError))
    codes = ((ConfigError, 2), (IncompleteError, INCOMPLETE))
    return text, next((code for kind, code in codes if isinstance(error, kind)), 1)


class BelowError(logging.Filter):
    """What is no error goes to standard output; the terminal's other stream has the rest."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR


def jobs_table(jobs: Sequence[Job]) -> str:
    """A line a job: strict micro F1 of each part, what sets it apart from the others, its folder or
    why it failed."""
    done = {
        job.folder: read_json(job.folder / METRICS)
        for job in jobs
        if not job.failure and (job.folder / METRICS).is_file()  # a dry run leaves none
    }
    parts = list(dict.fromkeys(part for metrics in done.values() for part in metrics["scores"]))
    shared = set.intersection(*(set(job.overrides) for job in jobs))
    rows = [("job", *(f"F1 {part}" for part in parts), "epochs", "minutes", "options", "")]
    for job in jobs:
        own = " ".join(override for override in job.overrides if override not in shared)
        if job.folder not in done:
            empty = [""] * (len(parts) + 2)
            ended = f"failed: {job.failure}" if job.failure else "dry run"
            rows.append((job.folder.name, *empty, own, ended))
            continue
        metrics = done[job.folder]
        scores = [metrics["scores"].get(part) for part in parts]
        f1 = [f"{score['overall']['f1']:.3f}" if score else "" for score in scores]
        minutes = f"{metrics['seconds'] / 60:.1f}"
        rows.append((job.folder.name, *f1, str(metrics["epochs"]), minutes, own, str(job.folder)))
    return aligned(rows)
