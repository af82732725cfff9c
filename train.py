"""Fine-tune an encoder for named entity recognition: ``python train.py --help``."""

import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from medner import ranks
from medner.launch import follow, jobs_table, launch
from medner.resume import own_options


def main(config: DictConfig, run: Path) -> float | None:
    ranks.check(config.trainer, multirun=HydraConfig.get().mode == RunMode.MULTIRUN)
    # only now: a wrong option need not wait for numpy
    from medner.verbs import train

    return (train.dry_run if config.dry_run else train.train)(config, run)


def along(job: Any) -> None:
    from medner.verbs import train

    train.train_along(job)


if __name__ == "__main__":
    if ranks.rank():
        sys.exit(follow(along))
    sys.exit(launch(main, "train", jobs_table, own_options))
