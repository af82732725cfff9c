"""Score a trained model at home or away: ``python evaluate.py --help``."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medner.config import corpus_source
from medner.corpora import read_corpus
from medner.data_report import fingerprint
from medner.documents import Document, entity_types
from medner.errors import UserError
from medner.files import write_json
from medner.launch import launch
from medner.predictions import write_predictions
from medner.runs import DATA_REPORT, METRICS, SPLIT, find_checkpoint, load_config
from medner.schema import EvaluationOptions
from medner.scoring.label_map import LabelMap, map_predictions
from medner.scoring.matching import score, table

log = logging.getLogger("evaluate")


def evaluate(config: DictConfig, _: Path) -> None:
    run, checkpoint = find_checkpoint(config)
    log.info("model: %s", checkpoint)
    dataset = config.eval_dataset
    label_map = LabelMap.from_config(dataset.label_map) if dataset.label_map else None
    if dataset.own:
        name, corpus, documents = own_part(run, dataset)
    else:
        name, corpus, documents = given_part(dataset)
    log.info("data: %s, %d documents", name, len(documents))

    from medner.module import NerModule
    from medner.training import make_trainer, predict

    module = NerModule.load(checkpoint)
    if label_map:
        label_map.check(module.labels.types)
    options = OmegaConf.to_object(config.trainer)
    trained = load_config(run).trainer if run else EvaluationOptions(precision="32", device_batch=8)
    precision = options.precision or trained.precision
    data = module.datamodule(
        {name: documents},
        flatten_rule="longest_first",
        device_batch=options.device_batch or trained.device_batch,
    )
    trainer = make_trainer(precision, options.accelerator, logger=False)
    predictions = predict(trainer, module, data, name)
    mapped = map_predictions(label_map, documents, predictions, entity_types(corpus))
    scores = score(documents, mapped.predictions)

    map_name = label_map.name if label_map else "identity"
    folder = (run or checkpoint.parent) / "evaluations" / f"{name}_{map_name}"
    write_predictions(folder / "predictions.jsonl", predictions, documents)
    write_json(
        folder / METRICS,
        {
            "checkpoint": str(checkpoint),
            "data": name,
            "fingerprint": fingerprint(documents),
            "precision": precision,
            "label_map": map_name,
            "mapping": mapped.to_dict(),
            "scores": scores.to_dict(),
        },
    )
    log.info("\n%s, label map: %s (strict)\n%s", name, map_name, table(scores))
    log.info("written: %s", folder)


def given_part(dataset: DictConfig) -> tuple[str, Sequence[Document], Sequence[Document]]:
    """Name, all documents of the corpus, and those of the part that is asked for."""
    corpus = read_corpus(corpus_source(dataset))
    # a single file that fits no part's name is taken for what was asked
    if dataset.part is None or not corpus.parts:
        return corpus.name, corpus.documents, corpus.documents
    if dataset.part not in corpus.parts:
        raise UserError(
            f"eval_dataset.part={dataset.part}: {dataset.path} holds {', '.join(corpus.parts)}"
        )
    ids = set(corpus.parts[dataset.part])
    chosen = [document for document in corpus.documents if document.id in ids]
    return f"{corpus.name}_{dataset.part}", corpus.documents, chosen


def own_part(
    run: Path | None, dataset: DictConfig
) -> tuple[str, Sequence[Document], Sequence[Document]]:
    """The same of the corpus that the run was trained on, by the run's own split."""
    if run is None:
        raise UserError(
            "a checkpoint outside of its run's folder has no documents of its own; give run=DIR, "
            "or another eval_dataset"
        )
    source = load_config(run).data
    if dataset.path is not None:
        source.path = dataset.path
    corpus = read_corpus(corpus_source(source))
    if fingerprint(corpus.documents) != json.loads((run / DATA_REPORT).read_text())["fingerprint"]:
        raise UserError(f"{source.path}: not the documents that {run} was trained on")
    parts = json.loads((run / SPLIT).read_text())["parts"]
    if not parts.get(dataset.part):
        raise UserError(f"{run} has no {dataset.part} part; its split is {run / SPLIT}")
    ids = set(parts[dataset.part])
    chosen = [document for document in corpus.documents if document.id in ids]
    return dataset.part, corpus.documents, chosen


if __name__ == "__main__":
    sys.exit(launch(evaluate, "evaluate"))
