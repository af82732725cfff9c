"""How the verbs start: Hydra composes and launches, errors become lines, the exit code tells."""

import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from medner import config as options
from medner.errors import UserError
from medner.runs import METRICS, discard

log = logging.getLogger(__name__)
CONF = Path(__file__).resolve().parent.parent / "conf"


def launch(task: Callable[[DictConfig, Path], None], config_name: str) -> int:
    """Run a verb as a Hydra application.

    Args:
        task: takes the composed and checked configuration and the folder that Hydra made for this
            job; in a multirun it is called once a job.
        config_name: of the file in ``conf/``.

    Returns:
        The exit code: 0 if every job ended well, 2 for a configuration that does not compose. A
        :class:`UserError` becomes a line, any other error is logged with its traceback; in a
        multirun the jobs after it go on, and a table of all of them comes last.
    """
    options.register()
    OmegaConf.register_new_resolver("run_id", _run_id, use_cache=True)
    failures: dict[Path, str] = {}
    sweep: list[Path] = []

    def job(config: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        single = HydraConfig.get().mode == RunMode.RUN
        if not single:
            sweep.append(folder)
        try:
            options.check(config)
            task(config, folder)
        except Exception as error:
            failures[folder] = str(error).strip().partition("\n")[0] or type(error).__name__
            if isinstance(error, UserError):
                log.error("error: %s", error)
            else:
                log.exception("error: %s", failures[folder])
            if single:
                discard(folder)

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come through, to be explained here
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()
    except options.HYDRA_ERRORS as error:
        print(f"error: {options.explain(error)}", file=sys.stderr)
        return 2
    if sweep:
        log.info("\n%s", jobs_table(sweep, failures))
    return 1 if failures else 0


def _run_id() -> str:
    """A name by time that two runs started at once do not share."""
    return f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"


def jobs_table(jobs: Sequence[Path], failures: dict[Path, str]) -> str:
    """A line for each job of a multirun: how it ended, its strict micro F1, its folder."""
    rows = [("job", "F1 validation", "F1 test", "epochs", "minutes", "")]
    for job in jobs:
        if job in failures:
            rows.append((job.name, "failed", "", "", "", failures[job]))
            continue
        metrics = json.loads((job / METRICS).read_text())
        scores = [metrics["scores"].get(part) for part in ("validation", "test")]
        f1 = [f"{score['overall']['f1']:.3f}" if score else "" for score in scores]
        minutes = f"{metrics['seconds'] / 60:.1f}"
        rows.append((job.name, *f1, str(metrics["epochs"]), minutes, str(job)))
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]
        ).rstrip()
        for row in rows
    )
