"""A trained model, scored on gold documents."""

import logging
from pathlib import Path

from medner.data_report import fingerprint
from medner.files import write_json
from medner.gold import Gold
from medner.hardware import check_card
from medner.module import NerModule
from medner.predictions import write_predictions
from medner.runs import METRICS
from medner.scoring.label_map import map_predictions
from medner.scoring.matching import Scores, score, table
from medner.training import predict

log = logging.getLogger(__name__)


def evaluate(
    checkpoint: Path,
    gold: Gold,
    run: Path | None,
    *,
    precision: str,
    device_batch: int,
    accelerator: str,
) -> Scores:
    """Predict, map, score, and say so.

    Args:
        checkpoint: of the model.
        run: its folder, if there is one.
        precision, device_batch, accelerator: to predict with.

    The :func:`results_folder` gets predictions.jsonl and metrics.json.

    Raises:
        ConfigError: if the label map is none for this model, or a card is asked for that is not
            there.
    """
    check_card(accelerator, f"trainer.accelerator={accelerator}")
    module = NerModule.load(checkpoint)
    gold.check(module.labels.types)
    for line in gold.lines(module.labels.types, run):
        log.info("%s", line)
    data = module.datamodule(
        {gold.name: gold.documents}, flatten_rule="longest_first", device_batch=device_batch
    )
    predictions = predict(module, data, gold.name, precision, accelerator)
    mapped = map_predictions(gold.label_map, gold.documents, predictions, gold.types)
    scores = score(gold.documents, mapped.predictions)

    map_name = _map_name(gold)
    folder = results_folder(checkpoint, gold, run)
    replaced = folder.exists()
    write_predictions(folder / "predictions.jsonl", predictions, gold.documents)
    write_json(
        folder / METRICS,
        {
            "checkpoint": str(checkpoint),
            "data": gold.name,
            "path": gold.path,
            "skipped": gold.report["skipped"],
            "fingerprint": fingerprint(gold.documents),
            "precision": precision,
            "label_map": map_name,
            "mapping": mapped.to_dict(),
            "scores": scores.to_dict(),
        },
    )
    log.info("\n%s, label map: %s (strict)\n%s", gold.name, map_name, table(scores))
    log.info("written: %s%s", folder, " (in place of an earlier one)" if replaced else "")
    return scores


def results_folder(checkpoint: Path, gold: Gold, run: Path | None) -> Path:
    """``evaluations/NAME_MAP`` in the run's folder, or beside the checkpoint."""
    return (run or checkpoint.parent) / "evaluations" / f"{gold.name}_{_map_name(gold)}"


def _map_name(gold: Gold) -> str:
    return gold.label_map.name if gold.label_map else "identity"
