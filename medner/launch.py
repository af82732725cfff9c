"""How the verbs start: Hydra composes and launches, errors become lines, the exit code tells."""

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
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
from medner.runs import LAST, LOG, METRICS, discard, release
from medner.schema import PROJECT, register
from medner.sweeps import NO_END, Ended, Multirun, Record, Sweep, go_on
from medner.tables import aligned

log = logging.getLogger(__name__)

INCOMPLETE = 3
REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: going on with the run may end well
# torchmetrics imports it, and it says that it has made a list of the machine's fonts
logging.getLogger("matplotlib").setLevel(logging.WARNING)
_LAUNCHERS = ("ray.", "submitit.")  # whose errors say all in words
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Task = Callable[[DictConfig, Path], float | None]
OwnOptions = Callable[[DictConfig, Sequence[str]], DictConfig]


class Job:
    """What Hydra calls for each job, in this process or, from a pickle, in another one.

    Args:
        task: as of :func:`launch`.
        own_options: likewise; the verb that has them is training.
    """

    def __init__(self, task: Task, own_options: OwnOptions | None) -> None:
        self.task, self.own_options = task, own_options
        self.code: int | None = None  # of the one job that is no multirun's

    def __reduce__(self) -> tuple:
        return _unpickled, (self.task, self.own_options, str(Path.cwd()))

    def __call__(self, config: DictConfig) -> float | None:
        """The task's result, or None if it failed: what Optuna is told."""
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        record = Record(settings) if settings.mode == RunMode.MULTIRUN else None
        listen()  # in another process the launcher has answers of its own
        result, failure, self.code = None, None, 0
        try:
            again = record is not None and record.begun_before()
            if record:
                record.write(NO_END, 1)
            if self.own_options:
                config = self._options(config, settings.overrides.task, folder, again)
            options.check(config)
            result = self.task(config, folder)
        except (Exception, Interrupted) as error:
            failure, self.code = _explain(error, folder if self.own_options else None)
            if not record:
                discard(folder)
            if isinstance(error, Interrupted):
                launcher = settings.runtime.choices["hydra/launcher"]
                if launcher.startswith("submitit"):
                    sys.exit(self.code)  # for the job's script, which has it requeued at 75
                if launcher != "ray":  # whose other jobs are asked themselves
                    raise  # Hydra goes on with the next job after an Exception only
        finally:
            release(folder)
            if record:
                with suppress(OSError):  # a full disk
                    record.write(failure, self.code)
        return result

    def _options(
        self, config: DictConfig, overrides: Sequence[str], folder: Path, again: bool
    ) -> DictConfig:
        if not again:
            return self.own_options(config, overrides)
        if not (folder / LAST).is_file():  # it was killed before training began
            (folder / LOG).unlink(missing_ok=True)
            return self.own_options(config, overrides)
        config.run, config.repeat = str(folder), None
        return self.own_options(config, ())


def _unpickled(task: Task, own_options: OwnOptions | None, cwd: str) -> Job:
    """In another process: with the names that the options need, in the folder of the command."""
    register()
    os.chdir(cwd)
    return Job(task, own_options)


def launch(
    task: Task,
    config_name: str,
    summary: Callable[[Sequence[Ended]], str] | None = None,
    own_options: OwnOptions | None = None,
) -> int:
    """Run a verb as a Hydra application.

    Args:
        task: takes the composed and checked configuration and the folder that Hydra made for this
            job; in a multirun it is called once a job, by some launchers in other processes. What
            it returns, if anything, is what a search maximises.
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
    job = Job(task, own_options)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come through, to be explained here
    listen()
    stopped = None
    try:
        hydra.main(version_base="1.3", config_path=str(PROJECT / "conf"), config_name=config_name)(
            job
        )()
    except (Exception, Interrupted) as error:  # a job's own get here only if they end a multirun
        stopped = error
    sweep = Multirun.begun
    jobs = sweep.jobs() if sweep else []
    codes = [each.code for each in jobs] or [job.code] * (job.code is not None)
    if not codes:
        return _nothing_done(stopped, sweep)
    if sweep and stopped and not (isinstance(stopped, Interrupted) and job.code):
        codes.append(_stopped(stopped, jobs))
    if jobs and summary:
        log.info("\n%s", summary(jobs))
    if sweep and (best := sweep.best()):
        log.info("%s", best)
    return max(codes)


def _nothing_done(stopped: BaseException | None, sweep: Sweep | None) -> int:
    """Say why no job has begun; the exit code."""
    if isinstance(stopped, Interrupted):
        print(f"interrupted by {stopped}", file=sys.stderr)
        return 128 + stopped.signum
    if isinstance(stopped, (*HYDRA_ERRORS, ValueError)):
        print(f"error: {explain(stopped)}", file=sys.stderr)
        return 2
    if stopped:
        raise stopped
    if sweep:
        print("error: the multirun has no job: a pattern in it fits no option", file=sys.stderr)
        return 2
    return 0  # a question to Hydra


def _stopped(stopped: BaseException, jobs: Sequence[Ended]) -> int:
    """Say what ended a multirun before its time; the exit code."""
    if isinstance(stopped, Interrupted):
        log.error("interrupted by %s", stopped)
        return (
            REQUEUE
            if any(each.failure and go_on(each.folder) for each in jobs)
            else (128 + stopped.signum)
        )
    text = str(stopped).strip().partition("\n")[0] or type(stopped).__name__
    known = type(stopped).__module__.startswith(_LAUNCHERS) or isinstance(stopped, ValueError)
    log.error("error: %s", text, exc_info=None if known else stopped)
    return 1


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
    command = go_on(run) if run else None
    if isinstance(error, Interrupted):
        command = error.go_on or command
        log.error("interrupted by %s%s", text, f"; to go on: {command}" if command else "")
        return f"interrupted by {text}", REQUEUE if command else 128 + error.signum
    if isinstance(error, OSError) and error.errno in _FULL:
        then = f"; to go on: {command}" if command else ""
        log.error("error: %s: nothing half-written is left; make room%s", text, then)
        return text, 1
    log.error("error: %s", text, exc_info=not isinstance(error, UserError))
    codes = ((ConfigError, 2), (IncompleteError, INCOMPLETE))
    return text, next((code for kind, code in codes if isinstance(error, kind)), 1)


class BelowError(logging.Filter):
    """What is no error goes to standard output; the terminal's other stream has the rest."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR


def jobs_table(jobs: Sequence[Ended]) -> str:
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
