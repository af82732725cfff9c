"""Score a trained model, or what any system predicted: ``python evaluate.py --help``."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from medner.launch import launch


def main(config: DictConfig, folder: Path) -> None:
    # only now: a wrong option need not wait for numpy
    from medner.verbs.evaluate import evaluate

    evaluate(config, folder)


if __name__ == "__main__":
    sys.exit(launch(main, "evaluate"))
