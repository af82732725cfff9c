"""Score a trained model at home or away: ``python evaluate.py --help``."""

import logging
import sys
from pathlib import Path

from omegaconf import DictConfig

from medner.gold import read_gold
from medner.launch import launch
from medner.runs import find_checkpoint, load_config
from medner.schema import EvaluationOptions, LoggerConfig

log = logging.getLogger("evaluate")


def evaluate(config: DictConfig, _: Path) -> None:
    run, checkpoint = find_checkpoint(config)
    log.info("model: %s", checkpoint)
    gold = read_gold(config.eval_dataset, config.corpora_dir, run)
    own = load_config(run) if run else None
    trained = own.trainer if own else EvaluationOptions(precision="32", device_batch=8)
    chosen = config.logger or (own.logger if own else LoggerConfig())

    from medner import evaluation
    from medner.tracking import log_evaluation

    scores = evaluation.evaluate(
        checkpoint,
        gold,
        run,
        precision=config.trainer.precision or trained.precision,
        device_batch=config.trainer.device_batch or trained.device_batch,
        accelerator=config.trainer.accelerator,
    )
    folder = evaluation.results_folder(checkpoint, gold, run)
    log_evaluation(chosen, config, run, checkpoint, gold, scores, folder)


if __name__ == "__main__":
    sys.exit(launch(evaluate, "evaluate"))
