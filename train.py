"""Fine-tune an encoder for named entity recognition: ``python train.py --help``."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner.config import corpus_source, resolve, uses_official_split
from medner.corpora import read_corpus
from medner.data_report import describe_corpus, describe_encoding, describe_split
from medner.documents import Document
from medner.duplicates import find_groups
from medner.files import write_json
from medner.id_files import check_known, read_groups, read_ids
from medner.labels import Labels
from medner.launch import jobs_table, launch
from medner.predictions import write_predictions
from medner.pretrained import locate
from medner.runs import DATA_REPORT, METRICS, SPLIT, claim, save_config
from medner.scoring.matching import score, table
from medner.split import make_split

log = logging.getLogger("train")
Parts = Mapping[str, Sequence[Document]]


def train(config: DictConfig, run: Path) -> None:
    """One run, from corpus to scores, in the folder ``run``."""
    started = time.monotonic()
    claim(run)
    # what is wrong with the data or the model's name is said before torch is imported
    parts, labels, report = read_and_split(config, run)
    model = config.model
    pretrained = locate(
        model.name,
        weights=model.weights == "pretrained",
        package=model.package,
        hub_mirror=config.hub_mirror,
    )

    from medner.hardware import propose
    from medner.module import NerModule
    from medner.tracking import finish, make_logger
    from medner.training import fit, predict

    for line in resolve(config, propose(config.hardware, config.trainer.accelerator)):
        log.info("%s", line)
    save_config(run, config)

    module = build(config, labels, pretrained)
    data = module.datamodule(
        parts,
        flatten_rule=config.data.flatten,
        effective_batch=config.trainer.effective_batch,
        device_batch=config.trainer.device_batch,
        seed=config.seed,
    )
    report["encoding"] = describe_encoding(
        config.data.flatten,
        tokens={part: sum(map(len, data.tokenised[part])) for part in parts},
        windows={part: len(data.windows[part]) for part in parts},
        reachable=data.reachable(),
    )
    write_json(run / DATA_REPORT, report)
    log.info(
        "tokens: %d in %d windows; with flat tags they reach %.3f of the gold",
        sum(report["encoding"]["tokens"].values()),
        sum(report["encoding"]["windows"].values()),
        report["encoding"]["reachable"]["recall"],
    )

    logger = make_logger(config, run)
    ended_well = False
    try:
        trainer, checkpoint = fit(config, module, data, run, logger)
        best = NerModule.load(checkpoint.best_model_path)
        scores = {}
        for part in [part for part in ("validation", "test") if part in parts]:
            predictions = predict(trainer, best, data, part)
            write_predictions(run / "predictions" / f"{part}.jsonl", predictions, parts[part])
            scores[part] = score(parts[part], predictions)
            log.info("\n%s, best epoch (strict)\n%s", part, table(scores[part]))
        write_json(
            run / METRICS,
            {
                "seconds": round(time.monotonic() - started, 1),
                "epochs": trainer.current_epoch,
                "best_validation_f1": float(checkpoint.best_model_score),
                "parameters": sum(p.numel() for p in best.parameters()),
                "weights": model.weights,
                "scores": {part: scores[part].to_dict() for part in scores},
            },
        )
        ended_well = True
    finally:
        finish(logger, ended_well)
    if model.weights == "random":
        log.info("the weights were random to begin with: no score of %s", model.name)
    log.info("run: %s", run)


def read_and_split(config: DictConfig, run: Path) -> tuple[Parts, Labels, dict[str, Any]]:
    """The documents of each part, their types, and the data report so far."""
    corpus = read_corpus(corpus_source(config.data))
    by_id = {document.id: document for document in corpus.documents}
    labels = Labels.of(corpus.documents)
    wanted = config.data.split
    groups = find_groups(corpus.documents)
    given_groups = read_groups(wanted.groups) if wanted.groups else []
    check_known((id for group in given_groups for id in group), by_id, wanted.groups)
    test_ids = read_ids(wanted.test_ids) if wanted.test_ids else ()
    check_known(test_ids, by_id, wanted.test_ids)
    split = make_split(
        corpus.documents,
        seed=wanted.seed,
        validation=wanted.validation,
        test=wanted.test,
        folds=wanted.folds,
        fold=wanted.fold,
        test_ids=test_ids,
        official=corpus.parts if uses_official_split(config) else None,
        groups=[*groups.groups, *given_groups],
    )
    write_json(run / SPLIT, split.to_dict())
    report = describe_corpus(corpus)
    report["split"] = describe_split(split, corpus.documents, groups)
    log.info(
        "%s: %d documents, %d entities of %d types",
        corpus.name, report["documents"], report["entities"], len(labels.types),
    )  # fmt: skip
    for erratum in corpus.errata:
        log.info("  %s", erratum)
    log.info("groups: %s", groups.summary())
    if given_groups:
        log.info("  and %d from %s", len(given_groups), wanted.groups)
    sizes = ", ".join(f"{len(ids)} {part}" for part, ids in split.parts.items() if ids)
    log.info("split: %s (seed %d)", sizes, split.seed)
    for note in split.notes:
        log.info("  %s", note)
    parts = {part: [by_id[id] for id in ids] for part, ids in split.parts.items() if ids}
    return parts, labels, report


def build(config: DictConfig, labels: Labels, folder: Path) -> Any:
    """The module on the encoder in ``folder``."""
    import pytorch_lightning as pl

    from medner.encoder import TokenizerFiles, encoder_config
    from medner.module import NerModule

    pl.seed_everything(config.seed, verbose=False)
    optimizer = ("learning_rate", "warmup", "weight_decay")
    return NerModule(
        types=list(labels.types),
        encoder=encoder_config(
            folder, labels.tags, config.model.attention_dropout, config.window.length
        ),
        tokenizer_files=TokenizerFiles.load(folder).files,
        window=dict(config.window),
        optimizer={name: config.trainer[name] for name in optimizer},
        seed=config.seed,
        pretrained=folder if config.model.weights == "pretrained" else None,
    )


if __name__ == "__main__":
    sys.exit(launch(train, "train", jobs_table))
