"""Fine-tune an encoder for named entity recognition: ``python train.py --help``."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from medner.launch import jobs_table, launch
from medner.resume import own_options


def main(config: DictConfig, run: Path) -> None:
    # only now: a wrong option need not wait for numpy
    from medner.verbs import train

    (train.dry_run if config.dry_run else train.train)(config, run)


if __name__ == "__main__":
    sys.exit(launch(main, "train", jobs_table, own_options))
