"""All that can be said of predictions without the model that made them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from medner.documents import Document
from medner.errors import UserError
from medner.factors import as_trained
from medner.files import read_json
from medner.gold import Gold
from medner.leaks import Leak, leak_caveat
from medner.parts import own_leaks, own_parts
from medner.prediction_files import read_predictions
from medner.predictions import Prediction
from medner.reach import Reach, reach_lines
from medner.runs import CALIBRATION, HISTORY, load_config, predictions_of
from medner.schema import PROJECT
from medner.scoring import bootstrap, mentions, semeval
from medner.scoring.alignment import check_alignment
from medner.scoring.confidence import DEFAULT, outcomes
from medner.scoring.confidence_report import confidence_lines, describe_confidence
from medner.scoring.errors import Errors, find_errors
from medner.scoring.label_map import LabelMap, MappedPredictions
from medner.scoring.map_effects import compare_maps, gains_and_losses
from medner.scoring.matching import Scores, score
from medner.scoring.rulers import rulers
from medner.scoring.selection import selection
from medner.scoring.temperature import Calibrator, fit
from medner.scoring.token_scores import token_scores
from medner.scoring.type_matrix import type_against_gold
from medner.tables import aligned

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """What the run behind a system tells: its training documents, how its confidences are to be
    taken, and how its validation documents were scored after each epoch (see :func:`read_epochs`);
    None where it does not. ``confidence`` is the name that was asked for; ``leaks`` are those of
    the run's split."""

    documents: Sequence[Document] | None = None
    calibrator: Calibrator | None = None
    confidence: str | None = None
    epochs: NDArray[np.int64] | None = None
    leaks: Sequence[Leak] = ()


@dataclass(frozen=True)
class Analysis:
    """``scores`` are the strict ones; ``details`` hold all figures, for JSON; ``lines`` are for the
    log."""

    scores: Scores
    errors: Errors
    details: dict[str, Any]
    lines: tuple[str, ...]


def analyse(
    gold: Gold,
    predictions: Sequence[Prediction],
    mapped: MappedPredictions,
    types: Sequence[str],
    training: Training,
    show_rulers: bool = False,
) -> Analysis:
    """Score and explain.

    Args:
        predictions: in the system's types.
        mapped: the same in the corpus's.
        types: of the system.
        training: see :func:`read_training`.
        show_rulers: whether the lines hold what other rulers give.
    """
    documents, found = gold.documents, mapped.predictions
    scores = score(documents, found)
    sections: dict[str, tuple[Any, list[str]]] = {
        "intervals": _intervals(scores, documents, found),
        "leak": _leak(gold, training),
        "matching": _matching(documents, found),
        "tokens": _tokens(gold, predictions),
    }
    confidence = describe_confidence(
        outcomes(documents, found), training.calibrator, training.confidence
    )
    sections["confidence"] = confidence, confidence_lines(confidence)
    reach = Reach.of(documents, predictions)
    errors = find_errors(documents, found, reach.alone if reach else None)
    sections["errors"] = errors.to_dict(), errors.table().splitlines()
    lost = reach.lost() if reach else None
    sections["reach"] = lost, reach_lines(lost) if lost else []
    sections["recall_by"] = _recall_by(gold, found, training)
    sections["frequent_errors"] = mentions.frequent(documents, errors), []
    sections["by_document"] = _by_document(documents, found), []
    if gold.label_map:
        sections["label_map"] = _label_map(gold, predictions, types)
    if gold.converted or show_rulers:
        sections["rulers"] = _by_ruler(gold, predictions, training, show_rulers)
    alignment = check_alignment(documents, found)
    sections["alignment"] = alignment.to_dict(), alignment.lines()
    return Analysis(
        scores,
        errors,
        {name: figures for name, (figures, _) in sections.items()},
        tuple(line for _, lines in sections.values() for line in (*lines, "") if lines),
    )


def read_training(run: Path | None, corpora_dir: str, confidence: str | None) -> Training:
    """What the run tells of its training, as far as its corpus is there.

    Args:
        confidence: a name of ``CONFIDENCES``; None for the run's own.
    """
    if run is None:
        return Training(confidence=confidence)
    epochs, leaks = read_epochs(run), own_leaks(run)
    calibrator = read_calibrator(run)
    try:
        data = load_config(run).data
        _, parts = own_parts(run, data, corpora_dir)
    except UserError as error:
        log.info("the documents that the run was trained on are not known: %s", error)
        return Training(calibrator=calibrator, confidence=confidence, epochs=epochs, leaks=leaks)
    name = confidence or (calibrator.confidence if calibrator else DEFAULT)
    fits = calibrator is not None and calibrator.confidence == name
    if not fits and predictions_of(run, "validation").is_file():
        calibrator = fit_calibrator(run, parts["validation"], name)
    trained = as_trained(parts, data)["train"]
    return Training(trained, calibrator, confidence, epochs, leaks)


def read_epochs(run: Path) -> NDArray[np.int64] | None:
    """Gold, predicted and correct by epoch and validation document, shape (epochs, documents, 3);
    None of a run from before they were kept."""
    if not (run / HISTORY).is_file():
        return None
    rows = [row.get("by_document") for row in read_json(run / HISTORY)]
    return np.array(rows) if rows and all(rows) else None


def read_calibrator(run: Path) -> Calibrator | None:
    """What the run has kept of how its confidences are to be taken. Raises UserError."""
    stored = run / CALIBRATION
    return Calibrator.from_dict(read_json(stored)) if stored.is_file() else None


def fit_calibrator(run: Path, validation: Sequence[Document], confidence: str) -> Calibrator:
    """Fit temperature and thresholds on the run's predictions for its validation documents.

    Raises:
        UserError: if the run has none, or there is no such confidence.
    """
    path = predictions_of(run, "validation")
    return fit(outcomes(validation, read_predictions(path, validation)), confidence)


def _intervals(
    scores: Scores, documents: Sequence[Document], found: Sequence[Prediction]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Headline figures, with intervals where there are documents enough."""
    overall = scores.overall
    figures = {
        "F1": ("f1", overall.f1),
        "precision": ("precision", overall.precision),
        "recall": ("recall", overall.recall),
        "macro F1": ("macro_f1", scores.macro_f1),
        "weighted F1": ("weighted_f1", scores.weighted_f1),
    }
    if len(documents) < bootstrap.FEWEST:
        headline = ", ".join(f"{name} {value:.3f}" for name, (_, value) in figures.items())
        few = f"{len(documents)} documents are too few for intervals: {bootstrap.FEWEST} are needed"
        return None, [headline, few]
    types = list(scores.by_type)
    counts = bootstrap.document_counts(documents, found, types)
    weights = bootstrap.draw(len(documents))
    spread = bootstrap.intervals(counts, types, weights)
    smallest = bootstrap.smallest_difference(counts, weights)
    lines = [
        ", ".join(f"{name} {value:.3f} ({spread[key]})" for name, (key, value) in figures.items()),
        f"in brackets: what 95 % of {bootstrap.RESAMPLES} resamples of the documents span",
    ]
    if smallest:
        lines[1] += (
            f"; another system would have to differ by {smallest:.3f} F1 to show it here, or by "
            "less if it errs alike"
        )
    record = {
        name: _interval_record(interval) for name, interval in spread.items() if name != "types"
    }
    record["types"] = {name: _interval_record(i) for name, i in spread["types"].items()}
    record |= {"smallest_difference": smallest, "resamples": bootstrap.RESAMPLES}
    return record, lines


def _interval_record(interval: bootstrap.Interval) -> list[float]:
    return [interval.low, interval.high]


def _leak(gold: Gold, training: Training) -> tuple[str | None, list[str]]:
    """What is to be known of scores on the run's own documents; None of those that do not leak."""
    caveat = leak_caveat(leak for leak in training.leaks if leak.part == gold.name)
    return caveat or None, [caveat] if caveat else []


def _matching(
    documents: Sequence[Document], found: Sequence[Prediction]
) -> tuple[dict[str, Any], list[str]]:
    counts = semeval.tallies(documents, found)
    columns = ("correct", "partial", "incorrect", "missed", "spurious")
    rows = [("matching", *columns, "precision", "recall", "F1")]
    for mode, by_type in counts.items():
        tally = by_type.get(None, semeval.Tally())
        whole = (str(getattr(tally, name)) for name in columns)
        rows.append(
            (mode, *whole, *(f"{x:.3f}" for x in (tally.precision, tally.recall, tally.f1)))
        )
    return semeval.to_dict(counts), aligned(rows).splitlines()


def _tokens(gold: Gold, predictions: Sequence[Prediction]) -> tuple[dict | None, list[str]]:
    found = token_scores(gold.documents, predictions, gold.label_map, gold.types)
    if found is None:
        return None, []
    line = (
        "as in other tables, on the likeliest tag of each token: "
        f"seqeval F1 {found.lenient['f1']:.3f} (lenient, its default), "
        f"{found.strict['f1']:.3f} (strict IOB2), token accuracy {found.accuracy:.3f}"
    )
    return found.to_dict(), [line]


def _by_ruler(
    gold: Gold, predictions: Sequence[Prediction], training: Training, show: bool
) -> tuple[dict[str, Any] | None, list[str]]:
    """None where tokens are not known, or types are not the corpus's."""
    if gold.label_map or any(prediction.tokens is None for prediction in predictions):
        return None, ["rulers: these predictions have no tokens, or a label map"] if show else []
    # these documents chose the epoch
    own = gold.name == "validation" and training.epochs is not None
    found = rulers(
        gold.full or gold.documents,
        predictions,
        gold.converted,
        selection(training.epochs) if own else None,
    )
    return found.to_dict(), found.lines() if show else []


def _recall_by(
    gold: Gold, found: Sequence[Prediction], training: Training
) -> tuple[dict[str, Any], list[str]]:
    seen = None
    if training.documents:
        seen = mentions.TrainingMentions(training.documents, gold.label_map)
    shares = mentions.recall_by(gold.documents, found, seen)
    record = {
        aspect: {name: share.to_dict() for name, share in kinds.items()}
        for aspect, kinds in shares.items()
    }
    return record, mentions.table(shares).splitlines()


def _by_document(
    documents: Sequence[Document], found: Sequence[Prediction]
) -> list[dict[str, Any]]:
    predicted = {prediction.document: prediction for prediction in found}
    return [
        {"document": document.id} | score([document], [predicted[document.id]]).overall.to_dict()
        for document in documents
    ]


def _label_map(
    gold: Gold, predictions: Sequence[Prediction], types: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    matrix = type_against_gold(gold.documents, predictions)
    effects = gains_and_losses(gold.documents, predictions, gold.label_map, gold.types)
    maps = [gold.label_map, *(m for m in shipped_maps() if m != gold.label_map)]
    comparison = compare_maps(maps, gold.documents, predictions, types, gold.types)
    return (
        {
            "types_against_gold": matrix.to_dict(),
            "effects": effects.to_dict(),
            "maps": comparison.to_dict(),
        },
        [*matrix.lines(), "", *effects.lines(), "", *comparison.lines()],
    )


@cache
def shipped_maps() -> tuple[LabelMap, ...]:
    """Those of ``conf/eval_dataset/label_map``."""
    files = sorted((PROJECT / "conf" / "eval_dataset" / "label_map").glob("*.yaml"))
    return tuple(LabelMap.from_config(OmegaConf.to_container(OmegaConf.load(f))) for f in files)
