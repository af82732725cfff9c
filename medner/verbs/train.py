"""Fine-tune an encoder for named entity recognition: ``python train.py --help``."""

import logging
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner import ranks
from medner.data_report import corpus_details
from medner.documents import Parts
from medner.encoding_report import describe_encoding, encoding_details, encoding_lines
from medner.errors import ConfigError, UserError
from medner.factors import as_trained, describe_training, training_lines
from medner.files import read_json, write_json
from medner.gold import Gold, read_gold
from medner.labels import Labels
from medner.leaks import leaks_of, shared_line, shared_with_training
from medner.parts import own_parts, read_and_split, warn_of_leaks
from medner.prediction_files import write_predictions
from medner.pretrained import locate
from medner.resolution import resolve
from medner.resume import changes
from medner.runs import (
    BEST,
    CALIBRATION,
    DATA_REPORT,
    LAST,
    METRICS,
    PAGE,
    SPLIT,
    claim,
    discard,
    load_config,
    open_log,
    predictions_of,
    save_config,
)  # fmt: skip
from medner.scoring.matching import Scores, table

log = logging.getLogger("train")


def train(config: DictConfig, run: Path) -> float:
    """One run in the folder ``run``, begun now or gone on with: from corpus to scores.

    Returns:
        The best validation F1, which is what a search of ``sweeper=optuna`` maximises.
    """
    started = time.monotonic()
    if config.run and Path(config.run).resolve() != run.resolve():
        raise ConfigError(f"run={config.run}: go on with one run a command, in its own folder")
    claim(run, again=config.run is not None)
    # what is wrong with the data or the model's name is said before torch is imported
    parts, report = read_again(config, run) if config.run or config.repeat else begin(config, run)
    pretrained = None if config.run else find_model(config, config.model.weights == "pretrained")
    labels = Labels.of(chain.from_iterable(parts.values()))
    gold = read_elsewhere(config, labels, parts, report) if config.eval_dataset else None

    from medner import cost
    from medner.checkpoints import Saved, read_saved
    from medner.repetition import compare
    from medner.tracking import finish, log_training, make_loggers
    from medner.training import fit

    if config.run:
        module, data = take_up(config, parts, run)
        saved = read_saved(run / LAST)
    else:
        module, data = build(config, labels, parts, pretrained)
        saved = Saved()
        report["encoding"] = describe(config, parts, data)
        write_json(run / DATA_REPORT, report)
        for line in encoding_lines(report):
            log.info("%s", line)
    save_config(run, config)
    (run / METRICS).unlink(missing_ok=True)  # it says that the run has ended
    loggers = make_loggers(config, run, saved.step if config.run else None)
    ended_well = False
    try:
        with ranks.others(config.trainer, job_for_others(config, module, parts, run)):
            history = fit(config, module, data, run, loggers)
        devices = config.trainer.devices * config.trainer.nodes
        spent = cost.describe(read_saved(run / LAST).cost, config.trainer.accelerator, devices)
        scores = score_best(config, run, data, report, gold, loggers, history[-1]["step"])
        figures = {
            "seconds": round(saved.seconds + time.monotonic() - started, 1),
            "epochs": len(history),
            "best_validation_f1": max(row["f1"] for row in history),
            "parameters": sum(p.numel() for p in module.parameters()),
        }
        log_training(loggers, run / BEST, figures)
        by_part = {name: part.to_dict() for name, part in scores.items()}
        figures |= {"cost": spent, "weights": config.model.weights, "scores": by_part}
        write_json(run / METRICS, figures)
        ended_well = True
    finally:
        finish(loggers, ended_well)
    if config.model.weights == "random":
        log.info("the weights were random to begin with: no score of %s", config.model.name)
    log.info("run: %s", run)
    if config.repeat:
        log.info("%s", compare(Path(config.repeat), run))
    return figures["best_validation_f1"]


Job = tuple[DictConfig, dict[str, Any], Parts, Path, bool]


def job_for_others(config: DictConfig, module: Any, parts: Parts, run: Path) -> Job:
    """What the other processes of a run on several devices need to train along."""
    documents = {part: parts[part] for part in ("train", "validation")}
    return config, dict(module.hparams), documents, run.resolve(), (run / LAST).exists()


def train_along(job: Job) -> None:
    """Train what rank 0 trains, in another process; weights come from there, or from last.ckpt."""
    config, values, documents, run, goes_on = job
    if goes_on != (run / LAST).exists():
        raise UserError(f"{run} is not the same folder here: all nodes need to have it")

    from medner.module import NerModule
    from medner.training import fit

    open_log(run)
    module = NerModule(**values)
    fit(config, module, documents_for(module, config, documents), run, ())


def begin(config: DictConfig, run: Path) -> tuple[Parts, dict[str, Any]]:
    """The documents of a new run by part, and its data report; the split is saved."""
    parts, split, report = read_and_split(config)
    write_json(run / SPLIT, split.to_dict())
    return parts, report


def read_again(config: DictConfig, run: Path) -> tuple[Parts, dict[str, Any]]:
    """The documents of an earlier run by part, and its data report, to go on with or to repeat.

    Its split is not judged again, but if it leaks, that is said again.
    """
    earlier = run if config.run else Path(config.repeat)
    _, as_split = own_parts(earlier, config.data, config.corpora_dir)
    parts = as_trained(as_split, config.data)
    if not config.run:
        write_json(run / SPLIT, read_json(earlier / SPLIT))
    report = read_json(earlier / DATA_REPORT)
    for line in training_lines(describe_training(as_split, parts, config.data)):
        log.info("%s", line)
    # of an older program's run it is not known
    warn_of_leaks(leaks_of(report) or (), config.data.split)
    return parts, report


def read_elsewhere(
    config: DictConfig, labels: Labels, parts: Parts, report: dict[str, Any]
) -> Gold:
    """The documents of ``eval_dataset``. What training shares with them is said and reported."""
    gold = read_gold(config.eval_dataset, config.corpora_dir, None).fitted(labels.types)
    shared = shared_with_training(gold.name, gold.documents, parts["train"])
    report["evaluation"] = shared.to_dict()
    log.log(logging.WARNING if shared.twins else logging.INFO, "%s", shared_line(shared))
    return gold


def take_up(config: DictConfig, parts: Parts, run: Path) -> tuple[Any, Any]:
    """The module as it was saved last, and the documents for it."""
    import pytorch_lightning as pl

    from medner.hardware import check_card
    from medner.module import NerModule

    for line in changes(load_config(run), config):
        log.info("%s", line)
    check_card(config.trainer.accelerator, f"run={run}", config.trainer.devices)
    resolve(config, config.hardware, given_by=f"run {run}")
    pl.seed_everything(config.seed, verbose=False)
    module = NerModule.load(run / LAST)
    return module, documents_for(module, config, parts)


def score_best(
    config: DictConfig, run: Path, data: Any, report: dict[str, Any], gold: Gold | None,
    loggers: Sequence[Any], step: int,
) -> dict[str, Scores]:  # fmt: skip
    """Predictions of the best epoch, and their scores: validation, test, and what else to score.

    ``report`` describes the corpus; ``step`` is the one at which training ended.
    """
    from medner import systems
    from medner.analysis import Training, fit_calibrator, read_epochs
    from medner.evaluation import evaluate, record
    from medner.inference import Predictor
    from medner.module import NerModule
    from medner.tracking import log_part

    options = config.trainer
    best = NerModule.load(run / BEST)
    predict = Predictor(best, options.precision, options.accelerator, data.device_batch)
    scores = {}
    own = [part for part in ("validation", "test") if part in data.tokenised]
    for part in own:
        documents, path = data.documents(part), predictions_of(run, part)
        write_predictions(path, predict(documents), documents)
    calibrator = fit_calibrator(run, data.documents("validation"), config.confidence)
    write_json(run / CALIBRATION, calibrator.to_dict())
    training = Training(
        data.documents("train"),
        calibrator,
        epochs=read_epochs(run),
        leaks=leaks_of(report) or (),
    )
    for part in own:
        documents, path = data.documents(part), predictions_of(run, part)
        system, _ = systems.from_output(path, {part: documents}, run, allow_missing=False)
        own_gold = Gold.of(part, config.data, documents, report)
        found, folder = record(system, own_gold, training)
        scores[part] = found.scores
        log_part(loggers, part, found.scores, path, documents, step)
        which = "which chose the epoch" if part == "validation" else "best epoch"
        log.info("\n%s, %s (strict)\n%s", part, which, table(found.scores))
        log.info("to look at: %s", folder / PAGE)
    if gold:
        system = systems.from_checkpoint(
            run / BEST,
            run,
            precision=options.precision,
            device_batch=data.device_batch,
            accelerator=options.accelerator,
        )
        scores[gold.name], folder = evaluate(system, gold, training)
        path = folder / "predictions.jsonl"
        log_part(loggers, gold.name, scores[gold.name], path, gold.documents, step)
    return scores


def dry_run(config: DictConfig, run: Path) -> None:
    """Say what a run would read, split, lose and take; nothing is trained or left behind."""
    discard(run)
    config.token_cache = None
    parts, split, report = read_and_split(config)
    labels = Labels.of(chain.from_iterable(parts.values()))
    log.info("%s\n", corpus_details(report, split))
    if config.eval_dataset:
        gold = read_gold(config.eval_dataset, config.corpora_dir, None).fitted(labels.types)
        log.info("%s\n", "\n".join(gold.lines(labels.types, parts["train"])))
    # time and tokens need its shape and its tokenizer alone
    pretrained = find_model(config, weights=False)

    from medner.estimate import Estimate

    module, data = build(config, labels, parts, pretrained, random=True)
    report["encoding"] = describe(config, parts, data)
    log.info("\n%s\n", encoding_details(report, chain.from_iterable(parts.values())))
    log.info("%s", Estimate.measure(config, module, data))


def find_model(config: DictConfig, weights: bool) -> Path:
    """The folder of the encoder that ``config.model`` names."""
    model = config.model
    return locate(model.name, weights=weights, package=model.package, hub_mirror=config.hub_mirror)


def build(
    config: DictConfig, labels: Labels, parts: Parts, folder: Path, random: bool = False
) -> tuple[Any, Any]:
    """Settle the options; the module on the encoder in ``folder``, and the documents for it."""
    import pytorch_lightning as pl

    from medner.encoder import TokenizerFiles, encoder_config
    from medner.hardware import propose
    from medner.module import NerModule

    given_by = f"run {config.repeat}" if config.repeat else "command line"
    proposed = propose(config.hardware, config.trainer.accelerator, config.trainer.devices)
    for line in resolve(config, proposed, given_by):
        log.info("%s", line)
    pl.seed_everything(config.seed, verbose=False)
    random = random or config.model.weights == "random"
    optimizer = ("learning_rate", "warmup", "weight_decay", "layer_decay")
    module = NerModule(
        types=list(labels.types),
        encoder=encoder_config(
            folder,
            labels.tags,
            config.model.attention_dropout,
            config.window.length,
            config.model.dropout,
        ),
        tokenizer_files=TokenizerFiles.load(folder).files,
        window=dict(config.window),
        optimizer={name: config.trainer[name] for name in optimizer},
        seed=config.seed,
        subtokens=config.data.subtokens,
        pretrained=None if random else folder,
    )
    return module, documents_for(module, config, parts)


def documents_for(module: Any, config: DictConfig, parts: Parts) -> Any:
    """The documents as windows and batches of this model."""
    return module.datamodule(
        parts,
        flatten_rule=config.data.flatten,
        effective_batch=config.trainer.effective_batch,
        device_batch=config.trainer.device_batch,
        seed=config.seed,
        ranks=config.trainer.devices * config.trainer.nodes,
        token_cache=Path(config.token_cache) if config.token_cache else None,
    )


def describe(config: DictConfig, parts: Parts, data: Any) -> dict[str, Any]:
    """The part of the data report that a tokenizer is needed for."""
    return describe_encoding(
        config.data.flatten,
        parts={part: data.documents(part) for part in parts},
        windows=data.windows,
        whole=data.whole,
        reachable=data.reachable(),
    )
