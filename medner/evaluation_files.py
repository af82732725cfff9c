"""Evaluations as they lie in folders, with what the runs behind them tell."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medner import system_names
from medner.config import INT8
from medner.errors import UserError
from medner.files import read_json
from medner.leaks import Leak, united
from medner.parts import own_leaks
from medner.runs import ANALYSIS, BEST, CONFIG, LOG, METRICS, find_run, label, load_config, newest
from medner.scoring.matching import Counts
from medner.scoring.rulers import SELECTION, f1_by_ruler

_OWN_PARTS = ("validation", "test")
STUDIED = ("maccrobat", "maccrobat_2018_2020")  # the corpora that the study trained on, both forms


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One system with one seed on one set of documents, or on those of all folds together.

    ``system`` is what tables call it, another one for each of its ``settings`` (see
    ``system_names``). ``data`` and ``fingerprint`` say which documents, ``ids`` (documents,) in
    which order; ``counts`` (documents, 1, 3) are gold, predicted and correct; ``types`` are summed
    over documents; ``accuracy`` is that of tokens, where the system tells them. ``fold`` is the
    number of the run's in a cross-validation; ``runs_f1`` has the F1 of the run, or of each of the
    folds; ``rulers`` that under other rulers (see ``f1_by_ruler``), where it is known. ``leaks``
    are those of the run's split if the documents are of it. ``run`` is the folder of the training,
    ``model`` its encoder's name on the hub and ``corpus`` what it was trained on; None of other
    systems.
    """

    system: str
    settings: tuple[tuple[str, Any], ...]
    data: str
    fingerprint: str
    label_map: str
    ids: tuple[str, ...]
    counts: NDArray[np.int64]
    types: Mapping[str, Counts]
    accuracy: float | None
    seed: int | None
    fold: int | None
    runs_f1: tuple[float, ...]
    rulers: Mapping[str, float]
    leaks: tuple[Leak, ...]
    run: Path | None
    model: str | None
    corpus: str | None

    @property
    def overall(self) -> Counts:
        return _sum(self.counts)


def find_evaluations(folders: Iterable[str | Path]) -> list[Evaluation]:
    """Read the evaluations below these folders: runs, sweeps, and where ``evaluate.py`` has written
    those of other systems.

    Of a run with a test part, its validation part, on which its best epoch was chosen, is left out;
    so is what was scored of a run that has not ended well.

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
    found = {at: one for at, one in found.items() if one.run is None or _ended(one.run)}
    tested = {one.run for one in found.values() if one.data == f"{one.corpus} test"}
    chosen_on = {one.run: one for one in found.values() if one.data == f"{one.corpus} validation"}
    kept = [
        _with_selection(one, chosen_on.get(one.run))
        for one in found.values()
        if one.run not in tested or one is not chosen_on.get(one.run)
    ]
    names = system_names.told_apart([(one.system, one.settings) for one in kept])
    return [replace(one, system=name) for one, name in zip(kept, names, strict=True)]


def _with_selection(one: Evaluation, chosen_on: Evaluation | None) -> Evaluation:
    """What selection is worth is told by the validation part, and shown with the test part."""
    if chosen_on is None or one.data != f"{one.corpus} test" or not one.rulers:
        return one
    found = {name: gain for name, gain in chosen_on.rulers.items() if name == SELECTION}
    return replace(one, rulers={**one.rulers, **found})


def unfinished(folders: Iterable[str | Path]) -> list[Path]:
    """Runs below these folders that have not ended well, and so have no say in a comparison."""
    # what failed early has only its log
    names = (CONFIG, LOG)
    runs = {path.parent for at in folders for name in names for path in Path(at).rglob(name)}
    return sorted(run for run in runs if not _ended(run))


def _ended(run: Path) -> bool:
    return (run / METRICS).is_file()


def to_evaluate(evaluations: Iterable[Evaluation]) -> list[str]:
    """What to type for the study's other two tables, for runs on MACCROBAT that lack them."""
    scored: dict[Path, set[str]] = defaultdict(set)
    for one in evaluations:
        if one.run and one.corpus in STUDIED:
            scored[one.run].add(one.data)
    lines = []
    for data in ("ncbi", "bc5cdr"):
        lacking = [str(run) for run, names in scored.items() if f"{data}_test" not in names]
        if lacking:
            multirun = "-m " if len(lacking) > 1 else ""
            runs = shlex.quote(f"run={','.join(lacking)}")
            lines.append(
                f"not scored on {data}: python evaluate.py {multirun}eval_dataset={data} {runs}"
            )
    return lines


def latest(output_dir: str) -> Path:
    """The newest run, or the sweep that it is a job of."""
    run = newest(output_dir)
    run = run.resolve() if run.is_symlink() else run  # a link says not where its run belongs
    return run if run.parent.resolve() == Path(output_dir).resolve() else run.parent


def folds_together(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The test parts of a cross-validation become one, in which each document comes once.

    Raises:
        UserError: if folds share documents.
    """
    kept: list[Evaluation] = []
    validations: dict[tuple, list[Evaluation]] = defaultdict(list)
    for one in evaluations:
        if _of_a_fold(one):
            validations[one.system, one.label_map, one.seed].append(one)
        else:
            kept.append(one)
    return kept + [_together(folds) for folds in validations.values()]


def _of_a_fold(one: Evaluation) -> bool:
    """Elsewhere each fold's model is scored on the same documents, as another seed's would be."""
    return one.fold is not None and one.data == f"{one.corpus} test"


def not_pooled(evaluations: Iterable[Evaluation]) -> list[str]:
    """What folds that are counted together lack."""
    told = dict.fromkeys(one.system for one in evaluations if _of_a_fold(one) and one.rulers)
    return [
        f"{system}: F1 under other rulers is of each fold alone, and left out here, for its counts "
        "are not kept: python evaluate.py eval_dataset=test rulers=true run=FOLDER"
        for system in told
    ]


def _together(folds: list[Evaluation]) -> Evaluation:
    folds.sort(key=lambda one: one.fold)
    ids = [id for one in folds for id in one.ids]
    if len(set(ids)) != len(ids):
        raise UserError(
            f"{folds[0].system}: folds {', '.join(str(one.fold) for one in folds)} share "
            "documents; compare runs of one data.split.seed, each fold once"
        )
    order = sorted(range(len(ids)), key=lambda at: ids[at])
    types: dict[str, Counts] = defaultdict(Counts)
    for one in folds:
        for type_, counts in one.types.items():
            types[type_] += counts
    total = int(dict(folds[0].settings)["data.split.folds"])
    there = f"{total}" if len(folds) == total else f"{len(folds)} of {total}"
    return replace(
        folds[0],
        data=f"{folds[0].data}, {there} folds",
        fingerprint="".join(sorted(one.fingerprint for one in folds)),
        ids=tuple(ids[at] for at in order),
        counts=np.concatenate([one.counts for one in folds])[order],
        types=types,
        accuracy=None,  # tokens of each fold are not counted here
        fold=None,
        rulers={},  # nor are the counts under each
        leaks=united(leak for one in folds for leak in one.leaks),
        runs_f1=tuple(one.overall.f1 for one in folds),
    )


def _read(folder: Path) -> Evaluation:
    metrics, analysis = read_json(folder / METRICS), read_json(folder / ANALYSIS)
    run = find_run(folder / METRICS)
    # of a run its best checkpoint as it is is meant; any other is a system by itself
    best = Path(metrics.get("checkpoint", "")).name == BEST.name
    best &= metrics.get("precision") != INT8
    trained = load_config(run) if run else None
    config = trained if best or metrics.get("by_run") else None
    source = next(
        (metrics[n] for n in ("checkpoint", "predictions", "hf_model") if n in metrics), ""
    )
    documents = sorted(analysis["by_document"], key=lambda row: row["document"])
    counts = [[[row[name] for name in ("gold", "predicted", "correct")]] for row in documents]
    counts = np.array(counts, dtype=np.int64)
    own = trained is not None and metrics["data"] in _OWN_PARTS
    return Evaluation(
        system=label(config) if config else system_names.of_others(metrics),
        settings=system_names.settings(config) if config else ((system_names.SOURCE, source),),
        data=f"{trained.data.name} {metrics['data']}" if own else metrics["data"],
        fingerprint=metrics["fingerprint"],
        label_map=metrics["label_map"],
        ids=tuple(row["document"] for row in documents),
        counts=counts,
        types={
            type_: Counts(row["gold"], row["predicted"], row["correct"])
            for type_, row in metrics["scores"]["types"].items()
        },
        accuracy=(analysis["tokens"] or {}).get("token_accuracy"),
        seed=config.seed if config else None,
        fold=config.data.split.fold if config else None,
        runs_f1=(_sum(counts).f1,),
        rulers=f1_by_ruler(analysis["rulers"]) if analysis.get("rulers") else {},
        leaks=_leaks(run, metrics["data"]) if own else (),
        run=run if config else None,
        model=config.model.name if config else None,
        corpus=config.data.name if config else None,
    )


def _leaks(run: Path, part: str) -> tuple[Leak, ...]:
    return tuple(leak for leak in own_leaks(run) if leak.part == part)


def _sum(counts: NDArray[np.int64]) -> Counts:
    return Counts(*counts.sum(axis=(0, 1)).tolist())
