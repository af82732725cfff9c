"""Score a trained model, or what any system predicted: ``python evaluate.py --help``."""

import logging
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medner import systems
from medner.gold import Gold, read_gold
from medner.runs import find_run, load_config
from medner.schema import LoggerConfig

log = logging.getLogger("evaluate")


def evaluate(config: DictConfig, _: Path) -> None:
    run, source = find_system(config)
    gold, development = read_golds(config, run)

    from medner import evaluation
    from medner.analysis import read_training

    if config.predictions:
        parts = {each.name: each.documents for each in (gold, development) if each}
        system, notes = systems.from_output(source, parts, run, config.allow_missing)
        for line in notes:
            log.info("predictions: %s", line)
    else:
        system = systems.load_model(config, run, source)
    training = read_training(run, config.corpora_dir, config.confidence)
    if system.calibrator and config.confidence in (None, system.calibrator.confidence):
        training = replace(training, calibrator=system.calibrator)
    scores, folder = evaluation.evaluate(
        system, gold, training, development, config.text, config.rulers
    )
    # what is only scored again is for the run's trackers no evaluation more
    own = load_config(run).logger if run and not config.predictions else LoggerConfig()
    chosen = config.logger or OmegaConf.structured(own)
    if any(chosen[name] is not None for name in chosen):
        from medner.tracking import log_evaluation

        log_evaluation(chosen, config, system, gold, scores, folder)


def find_system(config: DictConfig) -> tuple[Path | None, Path]:
    """The folder of the run that is evaluated, if there is one, and the file or folder that holds
    its checkpoint, a published model, or predictions."""
    if config.predictions:
        source = Path(config.predictions)
        run = Path(config.run) if config.run else find_run(source)
    else:
        run, source = systems.find_model(config)
    log.info("system: %s", config.hf_model or source)
    return run, source


def read_golds(config: DictConfig, run: Path | None) -> tuple[Gold, Gold | None]:
    """The documents to score on, and those to choose a label map on."""
    gold = read_gold(config.eval_dataset, config.corpora_dir, run)
    if not config.best_map:
        return gold, None
    dataset = config.eval_dataset.copy()
    dataset.part = "validation"
    return gold, read_gold(dataset, config.corpora_dir, run)
