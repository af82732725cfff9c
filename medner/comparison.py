"""Systems side by side, on the same documents: figures, their spread, and what differs by more than
chance."""

import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from medner.errors import UserError
from medner.evaluation_files import Evaluation, folds_together
from medner.leaks import Leak
from medner.scoring import bootstrap
from medner.scoring.matching import Counts


@dataclass(frozen=True, slots=True)
class Row:
    """A system on a set of documents: means over its seeds (each over all folds' documents, if it
    was cross-validated), and the standard deviation of F1 between its runs, None of one; the
    interval is over documents, and over seeds where there are several.
    ``difference`` is that to the comparison's ``reference``, with ``p`` as Holm corrects it; None
    for the reference itself, and as the interval where documents are too few. ``accuracy`` is that
    of tokens, where the system tells them; ``types`` has the F1 of each type, ``rulers`` that under
    each that all its runs know, ``leaks`` what these documents share with what the runs had seen,
    ``model`` the encoder's name on the hub and ``corpus`` what it was trained on, None of other
    systems. Of its ``runs`` there are ``seeds`` on each fold."""

    system: str
    label_map: str
    runs: int
    seeds: int
    precision: float
    recall: float
    f1: float
    deviation: float | None
    accuracy: float | None
    types: Mapping[str, float]
    rulers: Mapping[str, float]
    leaks: tuple[Leak, ...]
    model: str | None
    corpus: str | None
    interval: bootstrap.Interval | None = None
    difference: bootstrap.Difference | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The systems on a set of documents, the best first. ``data`` is what tables call the set;
    ``gold`` counts its entities by type, the most frequent first; ``pooled`` says whether they are
    the test parts of folds. ``reference`` is the system that differences are to: the baseline,
    where one was asked for and is there; None where it is the best."""

    data: str
    documents: int
    gold: Mapping[str, int]
    pooled: bool
    reference: str | None
    rows: tuple[Row, ...]


def compare(evaluations: Sequence[Evaluation], baseline: str | None = None) -> list[Comparison]:
    """The systems on each set of documents, runs' own documents first.

    Args:
        baseline: the system that differences are to, by its name or words of it that no other has;
            None for the best of each set.

    Raises:
        UserError: if folds share documents, a run is there twice, or no system or several are
            called as the baseline.
    """
    reference = _named(baseline, evaluations) if baseline else None
    by_data: dict[tuple[str, str], list[Evaluation]] = defaultdict(list)
    at_home = sorted(
        folds_together(evaluations), key=lambda one: not one.data.startswith(f"{one.corpus} ")
    )
    for evaluation in at_home:
        by_data[evaluation.data, evaluation.fingerprint].append(evaluation)
    names = [data for data, _ in by_data]
    return [
        Comparison(
            data if names.count(data) == 1 else f"{data} ({fingerprint[:8]})",
            len(group[0].ids),
            _gold(group),
            any(len(evaluation.runs_f1) > 1 for evaluation in group),
            reference if any(one.system == reference for one in group) else None,
            tuple(_rows(group, reference)),
        )
        for (data, fingerprint), group in by_data.items()
    ]


def _gold(group: Sequence[Evaluation]) -> dict[str, int]:
    """The gold is the same for all; types that only some predict have none."""
    counts = {type_: found.gold for one in group for type_, found in one.types.items()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _named(baseline: str, evaluations: Sequence[Evaluation]) -> str:
    systems = list(dict.fromkeys(one.system for one in evaluations))
    found = [name for name in systems if name == baseline]
    found = found or [
        name for name in systems if re.search(rf"(?<!\w){re.escape(baseline)}(?!\w)", name)
    ]
    if len(found) != 1:
        wrong = "several systems are" if found else "no system is"
        raise UserError(f"baseline={baseline}: {wrong} called so; there are: {'; '.join(systems)}")
    return found[0]


def _rows(evaluations: Sequence[Evaluation], reference: str | None) -> list[Row]:
    systems: dict[tuple[str, str], list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        seeds = systems[evaluation.system, evaluation.label_map]
        own = (evaluation.seed, evaluation.fold)
        if any(own == (other.seed, other.fold) for other in seeds):
            seed = "" if evaluation.seed is None else f", seed {evaluation.seed}"
            raise UserError(f"{evaluation.system}{seed}: more than once; give one of the runs")
        seeds.append(evaluation)
    groups = sorted(systems.values(), key=lambda group: -_mean(group, lambda one: one.f1))
    if len(evaluations[0].ids) < bootstrap.FEWEST:
        return [_row(group) for group in groups]
    weights = bootstrap.draw(len(evaluations[0].ids))
    named = [at for at, group in enumerate(groups) if group[0].system == reference]
    base = named[0] if named else 0
    differences = {
        at: bootstrap.compare([e.counts for e in group], [e.counts for e in groups[base]], weights)
        for at, group in enumerate(groups)
        if at != base
    }
    corrected = bootstrap.holm({at: found.p for at, found in differences.items()})
    return [
        replace(
            _row(group),
            interval=bootstrap.mean_interval([e.counts for e in group], weights),
            difference=differences.get(at),
            p=corrected.get(at),
        )
        for at, group in enumerate(groups)
    ]


def _row(group: Sequence[Evaluation]) -> Row:
    """Without what needs resamples."""
    first, runs = group[0], [f1 for evaluation in group for f1 in evaluation.runs_f1]
    types = dict.fromkeys(type_ for one in group for type_ in one.types)
    told = [one.accuracy for one in group if one.accuracy is not None]
    return Row(
        system=first.system,
        label_map=first.label_map,
        runs=len(runs),
        seeds=len(group),
        precision=_mean(group, lambda one: one.precision),
        recall=_mean(group, lambda one: one.recall),
        f1=_mean(group, lambda one: one.f1),
        deviation=statistics.stdev(runs) if len(runs) > 1 else None,
        accuracy=statistics.fmean(told) if len(told) == len(group) else None,
        types={
            type_: statistics.fmean(one.types.get(type_, Counts()).f1 for one in group)
            for type_ in types
        },
        rulers={
            name: statistics.fmean(one.rulers[name] for one in group)
            for name in first.rulers
            if all(name in one.rulers for one in group)
        },
        leaks=first.leaks,  # seeds have the same split
        model=first.model,
        corpus=first.corpus,
    )


def _mean(group: Sequence[Evaluation], figure: Callable[[Counts], float]) -> float:
    return statistics.fmean(figure(evaluation.overall) for evaluation in group)
