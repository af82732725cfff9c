"""Make a folder of a run that plain transformers loads, with a model card: ``python export.py
--help``."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from medner.launch import launch


def main(config: DictConfig, folder: Path) -> None:
    # only now: a wrong option need not wait for numpy
    from medner.verbs.export import export

    export(config, folder)


if __name__ == "__main__":
    sys.exit(launch(main, "export"))
