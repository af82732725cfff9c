"""Compare runs and other systems: ``python report.py --help``."""

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from medner.launch import launch

log = logging.getLogger("report")


def report(config: DictConfig, _: Path) -> None:
    from medner import comparison

    wanted = config.runs if isinstance(config.runs, ListConfig) else [config.runs]
    folders = [comparison.latest(config.output_dir) if run == "latest" else run for run in wanted]
    evaluations = comparison.find_evaluations(folders)
    for data, rows in comparison.compare(evaluations).items():
        log.info("%s (strict micro F1)\n%s\n", data, comparison.table(rows))


if __name__ == "__main__":
    sys.exit(launch(report, "report"))
