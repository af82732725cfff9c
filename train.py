"""Fine-tune an encoder for named entity recognition: ``python train.py --help``."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner.config import resolve, uses_official_split
from medner.data_report import (
    corpus_details,
    corpus_lines,
    describe_corpus,
    describe_encoding,
    describe_split,
    encoding_details,
    encoding_line,
)
from medner.documents import Document
from medner.duplicates import find_groups
from medner.errors import UserError
from medner.files import write_json
from medner.gold import read_gold
from medner.id_files import check_known, read_groups, read_ids
from medner.labels import Labels
from medner.launch import jobs_table, launch
from medner.predictions import write_predictions
from medner.pretrained import locate
from medner.runs import DATA_REPORT, METRICS, SPLIT, claim, discard, save_config
from medner.scoring.matching import score, table
from medner.sources import open_corpus
from medner.split import Split, make_split

log = logging.getLogger("train")
Parts = Mapping[str, Sequence[Document]]


def main(config: DictConfig, run: Path) -> None:
    (dry_run if config.dry_run else train)(config, run)


def train(config: DictConfig, run: Path) -> None:
    """One run, from corpus to scores, in the folder ``run``."""
    started = time.monotonic()
    claim(run)
    # what is wrong with the data or the model's name is said before torch is imported
    parts, split, report = read_and_split(config)
    labels = Labels.of(chain.from_iterable(parts.values()))
    gold = read_gold(config.eval_dataset, config.corpora_dir, None) if config.eval_dataset else None
    if gold:
        gold.check(labels.types)
    write_json(run / SPLIT, split.to_dict())
    pretrained = find_model(config, weights=config.model.weights == "pretrained")

    from medner.evaluation import evaluate, results_folder
    from medner.module import NerModule
    from medner.tracking import finish, log_part, log_training, make_loggers
    from medner.training import fit, predict

    module, data = build(config, labels, parts, pretrained)
    save_config(run, config)
    report["encoding"] = describe(config, parts, data)
    write_json(run / DATA_REPORT, report)
    log.info("%s", encoding_line(report))

    options = config.trainer
    loggers = make_loggers(config, run)
    ended_well = False
    try:
        trainer, checkpoint = fit(config, module, data, run, loggers)
        best_file, step = Path(checkpoint.best_model_path), trainer.global_step
        best = NerModule.load(best_file)
        scores = {}
        for part in [part for part in ("validation", "test") if part in parts]:
            predictions = predict(trainer, best, data, part)
            path = run / "predictions" / f"{part}.jsonl"
            write_predictions(path, predictions, parts[part])
            scores[part] = score(parts[part], predictions)
            log_part(loggers, part, scores[part], path, parts[part], step)
            log.info("\n%s, best epoch (strict)\n%s", part, table(scores[part]))
        if gold:
            scores[gold.name] = evaluate(
                best_file,
                gold,
                run,
                precision=options.precision,
                device_batch=options.device_batch,
                accelerator=options.accelerator,
            )
            path = results_folder(best_file, gold, run) / "predictions.jsonl"
            log_part(loggers, gold.name, scores[gold.name], path, gold.documents, step)
        figures = {
            "seconds": round(time.monotonic() - started, 1),
            "epochs": trainer.current_epoch,
            "best_validation_f1": float(checkpoint.best_model_score),
            "parameters": sum(p.numel() for p in best.parameters()),
        }
        log_training(loggers, best_file, figures)
        every = {name: scores[name].to_dict() for name in scores}
        write_json(run / METRICS, {**figures, "weights": config.model.weights, "scores": every})
        ended_well = True
    finally:
        finish(loggers, ended_well)
    if config.model.weights == "random":
        log.info("the weights were random to begin with: no score of %s", config.model.name)
    log.info("run: %s", run)


def dry_run(config: DictConfig, run: Path) -> None:
    """Say what a run would read, split, lose and take; nothing is trained or left behind."""
    discard(run)
    parts, _, report = read_and_split(config)
    labels = Labels.of(chain.from_iterable(parts.values()))
    if config.eval_dataset:
        gold = read_gold(config.eval_dataset, config.corpora_dir, None)
        gold.check(labels.types)
        for line in gold.lines(labels.types, None):
            log.info("%s", line)
    log.info("%s\n", corpus_details(report))
    # time and tokens need its shape and its tokenizer alone
    pretrained = find_model(config, weights=False)

    from medner.estimate import Estimate

    module, data = build(config, labels, parts, pretrained, random=True)
    report["encoding"] = describe(config, parts, data)
    log.info("\n%s\n", encoding_details(report, chain.from_iterable(parts.values())))
    log.info("%s", Estimate.measure(config, module, data))


def read_and_split(config: DictConfig) -> tuple[Parts, Split, dict[str, Any]]:
    """The documents of each part, the split, and the data report so far."""
    corpus = open_corpus(config.data, config.corpora_dir)
    by_id = {document.id: document for document in corpus.documents}
    wanted = config.data.split
    groups = find_groups(corpus.documents)
    given_groups = read_groups(wanted.groups) if wanted.groups else []
    check_known((id for group in given_groups for id in group), by_id, wanted.groups)
    test_ids = read_ids(wanted.test_ids) if wanted.test_ids else ()
    check_known(test_ids, by_id, wanted.test_ids)
    official = uses_official_split(config)
    if official and not corpus.parts:
        patterns = ", ".join(f"{part}: {pattern}" for part, pattern in config.data.parts.items())
        raise UserError(
            f"{config.data.path}: no file is of a part of the corpus's own split ({patterns}); "
            "correct data.parts, or divide anew with data.split.official=false"
        )
    split = make_split(
        corpus.documents,
        seed=wanted.seed,
        validation=wanted.validation,
        test=wanted.test,
        folds=wanted.folds,
        fold=wanted.fold,
        test_ids=test_ids,
        official=corpus.parts if official else None,
        groups=[*groups.groups, *given_groups],
    )
    report = describe_corpus(corpus)
    report["split"] = describe_split(split, corpus.documents, groups, len(given_groups), official)
    for line in corpus_lines(report):
        log.info("%s", line)
    parts = {part: [by_id[id] for id in ids] for part, ids in split.parts.items() if ids}
    return parts, split, report


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

    for line in resolve(config, propose(config.hardware, config.trainer.accelerator)):
        log.info("%s", line)
    pl.seed_everything(config.seed, verbose=False)
    random = random or config.model.weights == "random"
    optimizer = ("learning_rate", "warmup", "weight_decay")
    module = NerModule(
        types=list(labels.types),
        encoder=encoder_config(
            folder, labels.tags, config.model.attention_dropout, config.window.length
        ),
        tokenizer_files=TokenizerFiles.load(folder).files,
        window=dict(config.window),
        optimizer={name: config.trainer[name] for name in optimizer},
        seed=config.seed,
        pretrained=None if random else folder,
    )
    data = module.datamodule(
        parts,
        flatten_rule=config.data.flatten,
        effective_batch=config.trainer.effective_batch,
        device_batch=config.trainer.device_batch,
        seed=config.seed,
    )
    return module, data


def describe(config: DictConfig, parts: Parts, data: Any) -> dict[str, Any]:
    """The part of the data report that a tokenizer is needed for."""
    return describe_encoding(
        config.data.flatten,
        tokens={part: sum(map(len, data.tokenised[part])) for part in parts},
        windows={part: len(data.windows[part]) for part in parts},
        documents=list(chain.from_iterable(parts.values())),
        reachable=data.reachable(),
    )


if __name__ == "__main__":
    sys.exit(launch(main, "train", jobs_table))
