"""Systems side by side, on the same documents: figures, their spread, and what differs by more than
chance. It needs what evaluations have left in their folders, and neither corpora nor models."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from medner.errors import UserError
from medner.files import read_json
from medner.runs import ANALYSIS, BEST, METRICS, find_run, load_config, newest
from medner.scoring import bootstrap
from medner.tables import aligned

_EVALUATIONS = "evaluations"
# What sets runs of one system apart, and what has no say in scores
_NOT_OF_A_SYSTEM = (
    "seed", "data.split.fold", "run", "repeat", "output_dir", "corpora_dir", "hub_mirror", "logger",
    "hardware", "trainer.accelerator", "trainer.device_batch", "trainer.save_minutes",
    "eval_dataset", "data.path", "confidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One system with one seed on one set of documents.

    ``system`` is what tables call it, ``settings`` are a run's options but for those that seeds
    differ in; ``data`` and ``fingerprint`` say which documents, ``ids`` (documents,) in which
    order; ``counts`` (documents, 1, 3) are gold, predicted and correct.
    """

    folder: Path
    system: str
    settings: tuple[tuple[str, Any], ...]
    data: str
    fingerprint: str
    label_map: str
    ids: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def f1(self) -> float:
        return float(bootstrap.f1(self.counts.sum(axis=(0, 1))))


@dataclass(frozen=True, slots=True)
class Row:
    """A system on a set of documents: the mean F1 of its seeds (or folds) and their standard
    deviation, None of one; the interval is over documents, and over seeds where there are several.
    ``difference`` is that to the best system, with ``p`` as Holm corrects it; None for the best
    itself."""

    system: str
    label_map: str
    runs: int
    f1: float
    deviation: float | None
    interval: bootstrap.Interval
    difference: bootstrap.Difference | None
    p: float | None


def find_evaluations(folders: Iterable[str | Path]) -> list[Evaluation]:
    """Read the evaluations of runs, of sweeps (folders of runs), and of other systems (the folder
    that ``evaluate.py predictions=...`` names).

    Raises:
        UserError: if a folder holds none.
    """
    found: dict[Path, Evaluation] = {}
    for folder in map(Path, folders):
        places = [
            path.parent
            for pattern in (f"{_EVALUATIONS}/*", f"*/{_EVALUATIONS}/*", "*", ".")
            for path in sorted(folder.glob(f"{pattern}/{ANALYSIS}"))
        ]
        if not places:
            raise UserError(
                f"{folder}: no evaluation in it; make some: python evaluate.py run={folder} "
                "eval_dataset=test"
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
    for evaluation in evaluations:
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
        cells.append(str(row.interval))
        if row.difference:
            found = row.difference
            cells += [f"{found.f1:+.3f}", str(found.interval), f"{row.p:.4f}"]
            cells.append(f"{found.smallest:.3f}")
        else:
            cells += [""] * 4
        lines.append(tuple(cells))
    return aligned(lines)


def to_dict(row: Row) -> dict[str, Any]:
    """For JSON."""
    found = row.difference
    return {
        "system": row.system,
        "label_map": row.label_map,
        "runs": row.runs,
        "f1": row.f1,
        "deviation": row.deviation,
        "interval": [row.interval.low, row.interval.high],
        "difference": found and found.f1,
        "difference_interval": found and [found.interval.low, found.interval.high],
        "p": found and found.p,
        "p_holm": row.p,
        "smallest_difference": found and found.smallest,
    }


def _read(folder: Path) -> Evaluation:
    metrics, analysis = read_json(folder / METRICS), read_json(folder / ANALYSIS)
    run = find_run(folder / METRICS)
    documents = sorted(analysis["by_document"], key=lambda row: row["document"])
    counts = [[[row[name] for name in ("gold", "predicted", "correct")]] for row in documents]
    # the best checkpoint is the run's system; another file beside it, such as the predictions of
    # another system, is its own
    own = run is not None and Path(metrics.get("checkpoint") or BEST).name == BEST.name
    return Evaluation(
        folder,
        _label(load_config(run)) if own else metrics["system"],
        _settings(load_config(run)) if own else (),
        metrics["data"],
        metrics["fingerprint"],
        metrics["label_map"],
        tuple(row["document"] for row in documents),
        np.array(counts, dtype=np.int64),
    )


def _label(config: Any) -> str:
    return f"{config.model.label}, {config.data.name}"


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
        systems[key].append(evaluation)
    names = _names([key[:2] for key in systems])
    groups = sorted(zip(names, systems.values(), strict=True), key=lambda item: -_mean(item[1]))
    weights = bootstrap.draw(len(evaluations[0].ids))
    best = [evaluation.counts for evaluation in groups[0][1]]
    differences = {
        at: bootstrap.compare([e.counts for e in group], best, weights)
        for at, (_, group) in enumerate(groups)
        if at
    }
    corrected = bootstrap.holm({at: found.p for at, found in differences.items()})
    return [
        Row(
            name,
            group[0].label_map,
            len(group),
            _mean(group),
            statistics.stdev(e.f1 for e in group) if len(group) > 1 else None,
            bootstrap.mean_interval([e.counts for e in group], weights),
            differences.get(at),
            corrected.get(at),
        )
        for at, (name, group) in enumerate(groups)
    ]


def _mean(group: Sequence[Evaluation]) -> float:
    return statistics.fmean(evaluation.f1 for evaluation in group)


def _names(systems: Sequence[tuple[str, tuple[tuple[str, Any], ...]]]) -> list[str]:
    """What tables call them: by their labels and, where several share one, what sets them apart."""
    names = []
    for label, settings in systems:
        others = [dict(found) for name, found in systems if name == label and found != settings]
        own = dict(settings)
        apart = sorted(
            name
            for other in others
            for name in own.keys() | other.keys()
            if own.get(name) != other.get(name)
        )
        settings_apart = (f"{name}={own.get(name)}" for name in dict.fromkeys(apart))
        names.append(" ".join([label, *settings_apart]))
    return names
