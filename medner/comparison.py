"""Systems side by side, on the same documents: figures, their spread, and what differs by more than
chance. It needs what evaluations have left in their folders, and neither corpora nor models."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from medner.errors import UserError
from medner.files import read_json
from medner.runs import ANALYSIS, BEST, METRICS, find_run, label, load_config, newest
from medner.scoring import bootstrap
from medner.tables import aligned

# What sets runs of one system apart, and what has no say in scores
_NOT_OF_A_SYSTEM = (
    "seed", "data.split.fold", "run", "repeat", "output_dir", "corpora_dir", "hub_mirror", "logger",
    "hardware", "trainer.accelerator", "trainer.device_batch", "trainer.save_minutes",
    "eval_dataset", "data.path", "confidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One system with one seed on one set of documents, or on those of all folds together.

    ``system`` is what tables call it, ``settings`` are a run's options but for those that seeds
    differ in; ``data`` and ``fingerprint`` say which documents, ``ids`` (documents,) in which
    order; ``counts`` (documents, 1, 3) are gold, predicted and correct. ``fold`` is the number of
    that of a cross-validation; ``runs_f1`` has the F1 of the run, or of each of the folds.
    """

    system: str
    settings: tuple[tuple[str, Any], ...]
    data: str
    fingerprint: str
    label_map: str
    ids: tuple[str, ...]
    counts: NDArray[np.int64]
    seed: int | None
    fold: int | None
    runs_f1: tuple[float, ...]

    @property
    def f1(self) -> float:
        return _f1(self.counts)


@dataclass(frozen=True, slots=True)
class Row:
    """A system on a set of documents: the mean F1 of its seeds (that of all folds' documents, if it
    was cross-validated), and the standard deviation between its runs, None of one; the interval is
    over documents, and over seeds where there are several.
    ``difference`` is that to the best system, with ``p`` as Holm corrects it; None for the best
    itself, and as the interval where documents are too few."""

    system: str
    label_map: str
    runs: int
    f1: float
    deviation: float | None
    interval: bootstrap.Interval | None = None
    difference: bootstrap.Difference | None = None
    p: float | None = None


def find_evaluations(folders: Iterable[str | Path]) -> list[Evaluation]:
    """Read the evaluations below these folders: runs, sweeps, and where ``evaluate.py`` has written
    those of other systems.

    Raises:
        UserError: if a folder holds none.
    """
    found: dict[Path, Evaluation] = {}
    for folder in map(Path, folders):
        places = [path.parent for path in sorted(folder.rglob(ANALYSIS))]
        if not places:
            raise UserError(
                f"{folder}: no evaluation in it; make some: python evaluate.py with run=FOLDER, "
                "predictions=FILE or hf_model=OWNER/NAME"
            )
        found |= {place.resolve(): _read(place) for place in places}
    return list(found.values())


def latest(output_dir: str) -> Path:
    """The newest run, or the sweep that it is a job of."""
    run = newest(output_dir)
    return run if run.parent.resolve() == Path(output_dir).resolve() else run.parent


def compare(evaluations: Sequence[Evaluation]) -> dict[str, list[Row]]:
    """The systems on each set of documents, the best first."""
    by_data: dict[tuple[str, str], list[Evaluation]] = defaultdict(list)
    for evaluation in _folds_together(evaluations):
        by_data[evaluation.data, evaluation.fingerprint].append(evaluation)
    names = [data for data, _ in by_data]
    return {
        data if names.count(data) == 1 else f"{data} ({fingerprint[:8]})": _rows(group)
        for (data, fingerprint), group in by_data.items()
    }


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned plain text."""
    lines = [
        (
            "system", "label map", "runs", "F1", "deviation", "95 %",
            "to the best", "95 %", "p (Holm)", "could show",
        )
    ]  # fmt: skip
    for row in rows:
        cells = [row.system, row.label_map, str(row.runs), f"{row.f1:.3f}"]
        cells.append("" if row.deviation is None else f"{row.deviation:.3f}")
        cells.append("" if row.interval is None else str(row.interval))
        if row.difference:
            found = row.difference
            cells += [f"{found.f1:+.3f}", str(found.interval), f"{row.p:.4f}"]
            cells.append(f"{found.smallest:.3f}")
        else:
            cells += [""] * 4
        lines.append(tuple(cells))
    return aligned(lines)


def _read(folder: Path) -> Evaluation:
    metrics, analysis = read_json(folder / METRICS), read_json(folder / ANALYSIS)
    run = find_run(folder / METRICS)
    # of a run its best checkpoint is meant; any other is a system by itself
    best = Path(metrics.get("checkpoint", "")).name == BEST.name
    config = load_config(run) if run and (best or metrics.get("by_run")) else None
    source = next(
        (metrics[n] for n in ("checkpoint", "predictions", "hf_model") if n in metrics), ""
    )
    documents = sorted(analysis["by_document"], key=lambda row: row["document"])
    counts = [[[row[name] for name in ("gold", "predicted", "correct")]] for row in documents]
    counts = np.array(counts, dtype=np.int64)
    return Evaluation(
        system=label(config) if config else metrics["system"],
        settings=_settings(config) if config else (("source", source),),
        data=metrics["data"],
        fingerprint=metrics["fingerprint"],
        label_map=metrics["label_map"],
        ids=tuple(row["document"] for row in documents),
        counts=counts,
        seed=config.seed if config else None,
        # elsewhere each fold's model is scored on the same documents, as another seed's would be
        fold=config.data.split.fold if config and metrics["data"] == "test" else None,
        runs_f1=(_f1(counts),),
    )


def _folds_together(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The test parts of a cross-validation become one, in which each document comes once."""
    kept = [evaluation for evaluation in evaluations if evaluation.fold is None]
    validations: dict[tuple, list[Evaluation]] = defaultdict(list)
    for one in evaluations:
        if one.fold is not None:
            validations[one.system, one.settings, one.label_map, one.seed].append(one)
    for folds in validations.values():
        folds.sort(key=lambda one: one.fold)
        ids = [id for one in folds for id in one.ids]
        if len(set(ids)) != len(ids):
            raise UserError(
                f"{folds[0].system}: folds {', '.join(str(one.fold) for one in folds)} share "
                "documents; compare runs of one data.split.seed, each fold once"
            )
        order = sorted(range(len(ids)), key=lambda at: ids[at])
        together = np.concatenate([one.counts for one in folds])[order]
        kept.append(
            replace(
                folds[0],
                data=f"test of {len(folds)} folds",
                fingerprint="".join(sorted(one.fingerprint for one in folds)),
                ids=tuple(ids[at] for at in order),
                counts=together,
                runs_f1=tuple(one.f1 for one in folds),
            )
        )
    return kept


def _f1(counts: NDArray[np.int64]) -> float:
    return float(bootstrap.f1(counts.sum(axis=(0, 1))))


def _settings(config: Any) -> tuple[tuple[str, Any], ...]:
    """Options by name, in order."""
    options = OmegaConf.to_container(config)
    return tuple(
        sorted(
            (name, str(value))
            for name, value in _leaves(options, "")
            if not any(name == left or name.startswith(f"{left}.") for left in _NOT_OF_A_SYSTEM)
        )
    )


def _leaves(options: dict[str, Any], group: str) -> Iterable[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", value


def _rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """Systems on the same documents."""
    systems: dict[tuple, list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        key = evaluation.system, evaluation.settings, evaluation.label_map
        if any(evaluation.seed == other.seed for other in systems[key]):
            seed = "" if evaluation.seed is None else f", seed {evaluation.seed}"
            raise UserError(f"{evaluation.system}{seed}: more than once; give one of the runs")
        systems[key].append(evaluation)
    names = _names([key[:2] for key in systems])
    groups = sorted(zip(names, systems.values(), strict=True), key=lambda item: -_mean(item[1]))
    if len(evaluations[0].ids) < bootstrap.FEWEST:
        return [_row(name, group) for name, group in groups]
    weights = bootstrap.draw(len(evaluations[0].ids))
    best = [evaluation.counts for evaluation in groups[0][1]]
    differences = {
        at: bootstrap.compare([e.counts for e in group], best, weights)
        for at, (_, group) in enumerate(groups)
        if at
    }
    corrected = bootstrap.holm({at: found.p for at, found in differences.items()})
    return [
        replace(
            _row(name, group),
            interval=bootstrap.mean_interval([e.counts for e in group], weights),
            difference=differences.get(at),
            p=corrected.get(at),
        )
        for at, (name, group) in enumerate(groups)
    ]


def _row(name: str, group: Sequence[Evaluation]) -> Row:
    """Without what needs resamples."""
    runs = [f1 for evaluation in group for f1 in evaluation.runs_f1]
    deviation = statistics.stdev(runs) if len(runs) > 1 else None
    return Row(name, group[0].label_map, len(runs), _mean(group), deviation)


def _mean(group: Sequence[Evaluation]) -> float:
    return statistics.fmean(evaluation.f1 for evaluation in group)


def _names(systems: Sequence[tuple[str, tuple[tuple[str, Any], ...]]]) -> list[str]:
    """What tables call them: by their labels and, where several share one, what sets them apart."""
    names = []
    for own_label, settings in systems:
        others = [dict(found) for name, found in systems if name == own_label and found != settings]
        own = dict(settings)
        apart = sorted(
            name
            for other in others
            for name in own.keys() | other.keys()
            if own.get(name) != other.get(name)
        )
        settings_apart = (f"{name}={own.get(name)}" for name in dict.fromkeys(apart))
        names.append(" ".join([own_label, *settings_apart]))
    return names
