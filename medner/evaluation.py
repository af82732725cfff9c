"""A system, scored on gold documents; its results in a folder."""

import logging
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from medner.analysis import Analysis, Training, analyse
from medner.config import INT8
from medner.data_report import fingerprint
from medner.documents import Document
from medner.errors import UserError
from medner.files import read_json, write_json, written_whole
from medner.gold import Gold
from medner.prediction_files import read_predictions, write_predictions
from medner.report.page import write_page
from medner.runs import ANALYSIS, METRICS, PAGE, SPLIT
from medner.scoring.label_map import LabelMap, map_predictions
from medner.scoring.map_search import best_map
from medner.scoring.matching import Scores, score, table
from medner.systems import System

log = logging.getLogger(__name__)


def evaluate(
    system: System,
    gold: Gold,
    training: Training,
    development: Gold | None = None,
    text: bool = True,
    rulers: bool = False,
) -> tuple[Scores, Path]:
    """Record an evaluation, and say all of it.

    Args:
        training: what is known of the system's.
        development: documents to choose the label map on, instead of taking the chosen one.
        text: as of :func:`record`.
        rulers: as of :func:`record`.

    Returns:
        The strict scores, and the evaluation's folder.

    Raises:
        ConfigError: if the label map is none for this system.
    """
    if development:
        gold = replace(gold, label_map=_best_map(system, gold, development))
    else:
        gold = gold.fitted(system.types, system.complete)
    known = training.documents
    if known is None and system.run and (system.run / SPLIT).is_file():
        known = [Document(id, "") for id in read_json(system.run / SPLIT)["parts"]["train"]]
    for line in gold.lines(system.types, known, system.complete):
        log.info("%s", line)
    replaced = results_folder(system, gold).exists()
    found, folder = record(system, gold, training, text, rulers)
    log.info("\n%s, label map: %s (strict)", gold.name, map_name(gold))
    log.info("%s\n", table(found.scores))
    for line in found.lines:
        log.info("%s", line)
    log.info("written: %s%s", folder, " (in place of an earlier one)" if replaced else "")
    log.info("to look at: %s", folder / PAGE)
    return found.scores, folder


def record(
    system: System, gold: Gold, training: Training, text: bool = True, rulers: bool = False
) -> tuple[Analysis, Path]:
    """Predict, map, score, explain.

    Args:
        gold: with the label map that fits the system.
        training: what is known of the system's.
        text: whether report.html may hold the documents' texts.
        rulers: whether what is said holds what other ways of scoring make of it.

    Returns:
        What was found, and the folder that got predictions.jsonl, metrics.json, analysis.json,
        report.html with its plots and, where there is a label map, label_map.yaml, which
        ``--config-dir`` can take again.
    """
    folder = results_folder(system, gold)
    path = folder / "predictions.jsonl"
    write_predictions(path, system.predict(gold.documents), gold.documents)
    # as the file has them: whoever scores it again gets the same figures
    predictions = read_predictions(path, gold.documents)
    mapped = map_predictions(gold.label_map, gold.documents, predictions, gold.types)
    found = analyse(gold, predictions, mapped, system.types, training, rulers)
    write_json(folder / ANALYSIS, found.details)
    if gold.label_map:
        with written_whole(folder / "label_map.yaml") as file:
            file.write(OmegaConf.to_yaml(gold.label_map.to_dict()))
    # a page to be shared names no file or folder, which may be called by a patient
    shared = not text and Path(system.label).resolve() == system.source.resolve()
    title = f"{'a system' if shared else system.label} on {gold.name}"
    write_page(folder / PAGE, title, gold, mapped, found, text)
    metrics = {
        "system": system.label,
        **system.details,
        "data": gold.name,
        "path": gold.path,
        "skipped": gold.report["skipped"],
        "fingerprint": fingerprint(gold.documents),
        "label_map": map_name(gold),
        "mapping": mapped.to_dict(),
        "scores": found.scores.to_dict(),
    }
    write_json(folder / METRICS, metrics)
    return found, folder


def _best_map(system: System, gold: Gold, development: Gold) -> LabelMap:
    """The label map that scores best on the development documents."""
    predictions = system.predict(development.documents)
    best = best_map(development.documents, predictions, system.types, gold.types, development.name)
    if not best.types:
        raise UserError(
            f"best_map=true: no predicted span is an entity of {development.name}, so that every "
            "type would be left out; look at the predictions (see analysis.json of an evaluation "
            "with best_map=false)"
        )
    mapped = map_predictions(best, development.documents, predictions, gold.types)
    scores = score(development.documents, mapped.predictions)
    log.info("label map: the best on %s, F1 %.3f there", development.name, scores.overall.f1)
    for type_, names in best.types.items():
        joined = best.join_preceding.get(type_, ())
        after = f" (and directly before it {', '.join(joined)})" if joined else ""
        log.info("  %s: %s%s", type_, ", ".join(names), after)
    return best


def results_folder(system: System, gold: Gold) -> Path:
    """``NAME_MAP`` among the system's evaluations; what int8 makes of a model lies beside it."""
    rounded = f"_{INT8}" if system.details.get("precision") == INT8 else ""
    return system.folder / f"{gold.name}_{map_name(gold)}{rounded}"


def map_name(gold: Gold) -> str:
    return gold.label_map.name if gold.label_map else "identity"
