"""Fine-tune an encoder for named entity recognition: ``python train.py --help``."""

import logging
import sys
import time
from pathlib import Path

from omegaconf import DictConfig

from medner.config import corpus_source, resolve, uses_official_split
from medner.corpora import read_corpus
from medner.data_report import describe_corpus, describe_encoding, describe_split
from medner.duplicates import find_groups
from medner.files import write_json
from medner.id_files import read_groups, read_ids
from medner.labels import Labels
from medner.launch import launch
from medner.predictions import write_predictions
from medner.pretrained import locate
from medner.runs import DATA_REPORT, METRICS, SPLIT, claim, save_config
from medner.scoring.matching import score, table
from medner.split import make_split

log = logging.getLogger("train")


def train(config: DictConfig, run: Path) -> None:
    started = time.monotonic()
    claim(run)

    # what is wrong with the data is said before torch is imported
    corpus = read_corpus(corpus_source(config.data))
    documents = corpus.documents
    labels = Labels.of(documents)
    wanted = config.data.split
    groups = find_groups(documents)
    split = make_split(
        documents,
        seed=wanted.seed,
        validation=wanted.validation,
        test=wanted.test,
        folds=wanted.folds,
        fold=wanted.fold,
        test_ids=read_ids(wanted.test_ids) if wanted.test_ids else None,
        official=corpus.parts if uses_official_split(config) else None,
        groups=[*groups.groups, *(read_groups(wanted.groups) if wanted.groups else ())],
    )
    report = describe_corpus(corpus) | {"split": describe_split(split, documents, groups)}
    log.info(
        "%s: %d documents, %d entities of %d types", corpus.name, len(documents),
        report["entities"], len(labels.types),
    )  # fmt: skip
    log.info("groups: %s", groups.summary())
    sizes = ", ".join(f"{len(ids)} {part}" for part, ids in split.parts.items() if ids)
    log.info("split (seed %d): %s", split.seed, sizes)
    for note in (*corpus.errata, *split.notes):
        log.info("  %s", note)
    write_json(run / SPLIT, split.to_dict())

    model = config.model
    pretrained = model.weights == "pretrained"
    folder = locate(
        model.name, weights=pretrained, package=model.package, hub_mirror=config.hub_mirror
    )

    import pytorch_lightning as pl

    from medner.decoding import reachable
    from medner.encoder import TokenizerFiles, encoder_config
    from medner.hardware import propose
    from medner.module import NerModule
    from medner.tracking import finish, make_logger
    from medner.training import fit, predict

    for line in resolve(config, propose(config.hardware, config.trainer.accelerator)):
        log.info("%s", line)
    save_config(run, config)

    pl.seed_everything(config.seed, verbose=False)
    module = NerModule(
        types=list(labels.types),
        encoder=encoder_config(folder, labels.tags, model.attention_dropout),
        tokenizer_files=TokenizerFiles.load(folder).files,
        window=dict(config.window),
        optimizer={
            name: config.trainer[name] for name in ("learning_rate", "warmup", "weight_decay")
        },
        seed=config.seed,
        pretrained=folder if pretrained else None,
    )
    by_id = {document.id: document for document in documents}
    parts = {part: [by_id[id] for id in ids] for part, ids in split.parts.items() if ids}
    data = module.datamodule(
        parts,
        flatten_rule=config.data.flatten,
        effective_batch=config.trainer.effective_batch,
        device_batch=config.trainer.device_batch,
        seed=config.seed,
    )
    tokenised = [tokens for part in parts for tokens in data.tokenised[part]]
    reachable_gold = score(
        [tokens.document for tokens in tokenised],
        [reachable(tokens, labels, config.data.flatten) for tokens in tokenised],
    )
    report["encoding"] = describe_encoding(
        config.data.flatten,
        tokens={part: sum(map(len, data.tokenised[part])) for part in parts},
        windows={part: len(data.windows[part]) for part in parts},
        reachable=reachable_gold,
    )
    write_json(run / DATA_REPORT, report)
    log.info(
        "%d tokens in %d windows; tokens and flat tags reach %.3f of the gold",
        sum(report["encoding"]["tokens"].values()), sum(report["encoding"]["windows"].values()),
        reachable_gold.overall.recall,
    )  # fmt: skip

    logger = make_logger(config, run)
    ended_well = False
    try:
        trainer, checkpoint = fit(config, module, data, run, logger)
        best = NerModule.load_from_checkpoint(
            checkpoint.best_model_path, map_location="cpu", weights_only=True
        )
        scores = {}
        for part in [part for part in ("validation", "test") if part in parts]:
            predictions = predict(trainer, best, data, part)
            write_predictions(run / "predictions" / f"{part}.jsonl", predictions, parts[part])
            scores[part] = score(parts[part], predictions)
            log.info("\n%s (best epoch, strict)\n%s", part, table(scores[part]))
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
    if not pretrained:
        log.info("weights were random: the scores say nothing of %s", model.name)
    log.info("run: %s", run)


if __name__ == "__main__":
    sys.exit(launch(train, "train"))
