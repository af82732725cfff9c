"""The tables of a comparison: as text, Markdown, LaTeX, HTML (by templates) and CSV."""

import csv
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from omegaconf import OmegaConf

from medner.comparison import Comparison, Row
from medner.evaluation_files import STUDIED
from medner.leaks import leak_caveat
from medner.scoring.bootstrap import Interval
from medner.scoring.rulers import RULERS, SELECTION
from medner.tables import aligned
from medner.trained_runs import TrainedRun

STUDY, TO_THE_BEST = "study F1", "to the best"
Cell = str | int | float | Interval | None


@dataclass(frozen=True, slots=True)
class Column:
    """``show`` is how a number is written for readers; a CSV file has it whole."""

    heading: str
    show: str = "{:.3f}"


@dataclass(frozen=True, slots=True)
class Table:
    """``name`` is that of its files; a row has a cell for each column."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def cells(self) -> list[list[str]]:
        """As readers get them."""
        return [
            [_shown(cell, column) for cell, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]

    def numeric(self) -> list[bool]:
        """By column, whether it is one of numbers, which are set to the right."""
        return [
            all(cell is None or isinstance(cell, int | float) for cell in column)
            for column in zip(*self.rows, strict=True)
        ]

    def text(self) -> str:
        """Aligned, for the terminal."""
        return aligned([[column.heading for column in self.columns], *self.cells()])


def _shown(cell: Cell, column: Column) -> str:
    if cell is None:
        return ""
    return column.show.format(cell) if isinstance(cell, float) else str(cell)


def write_csv(file: TextIO, table: Table) -> None:
    """Numbers whole; an interval is two columns."""
    headings: list[str] = []
    columns: list[Sequence[Cell]] = []
    for column, cells in zip(table.columns, zip(*table.rows, strict=True), strict=True):
        if any(isinstance(cell, Interval) for cell in cells):
            headings += [f"{column.heading} low", f"{column.heading} high"]
            columns.append([cell and cell.low for cell in cells])
            columns.append([cell and cell.high for cell in cells])
        else:
            headings.append(column.heading)
            columns.append(cells)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(zip(*columns, strict=True))


_LABEL_MAP: tuple[Column, Callable[[Row], Cell]] = (
    Column("label map"), lambda row: row.label_map,
)  # fmt: skip
_SCORES: tuple[tuple[Column, Callable[[Row], Cell]], ...] = (
    (Column("system"), lambda row: row.system),
    (Column("runs"), lambda row: row.runs),
    (Column("precision"), lambda row: row.precision),
    (Column("recall"), lambda row: row.recall),
    (Column("F1"), lambda row: row.f1),
    (Column("95 %"), lambda row: row.interval),
    (Column("deviation"), lambda row: row.deviation),
    (Column("token accuracy"), lambda row: row.accuracy),
    (Column(TO_THE_BEST, "{:+.3f}"), lambda row: row.difference and row.difference.f1),
    (Column("its 95 %"), lambda row: row.difference and row.difference.interval),
    (Column("p (Holm)", "{:.4f}"), lambda row: row.p),
    (Column("could show"), lambda row: row.difference and row.difference.smallest),
)


def scores_table(comparison: Comparison) -> Table:
    """A row a system, with the study's figure beside it where it has published one; columns that
    nobody fills are left out, and the label map is in the caption where all have the same."""
    columns, notes = list(_SCORES), []
    if any(study_figure(comparison.data, row) for row in comparison.rows):
        beside = (Column(STUDY), lambda row: study_figure(comparison.data, row))
        columns.insert([column.heading for column, _ in columns].index("token accuracy"), beside)
        notes.append(
            f"{STUDY}: what the study has published for the encoder, of its own split, labels and "
            "measure; no difference to it can be read from this table."
        )
    maps = list(dict.fromkeys(row.label_map for row in comparison.rows))
    if len(maps) > 1:
        columns.insert(1, _LABEL_MAP)
    if any(comparison.data == f"{row.corpus} validation" for row in comparison.rows):
        notes.append(
            "The best epoch of each run was chosen on these documents, so that their figures are "
            "too high; data.split.test=NUMBER keeps others for the end."
        )
    notes += _leak_notes(comparison)
    if comparison.reference:
        at = [column.heading for column, _ in columns].index(TO_THE_BEST)
        columns[at] = Column("to the baseline", "{:+.3f}"), columns[at][1]
        notes.append(f"Differences are to the baseline, {comparison.reference}.")
    if comparison.pooled:
        several = any(row.seeds > 1 for row in comparison.rows)
        notes.append(
            "Of a cross-validation each document is scored by the model that has not seen it, and "
            "all are counted together; deviation is that of "
            f"{'folds and seeds' if several else 'the folds'}."
        )
    filled = [
        (column, [figure(row) for row in comparison.rows])
        for column, figure in columns
        if any(figure(row) is not None for row in comparison.rows)
    ]
    entities = sum(comparison.gold.values())
    caption = f"{comparison.data}: {comparison.documents} documents, {entities} entities"
    if len(maps) == 1 and maps != ["identity"]:
        caption += f", label map {maps[0]}"
    return Table(
        name=f"scores_{slug(comparison.data)}",
        caption=caption,
        columns=tuple(column for column, _ in filled),
        rows=tuple(zip(*(cells for _, cells in filled), strict=True)),
        notes=tuple(notes),
    )


def _leak_notes(comparison: Comparison) -> list[str]:
    """What leaks to the systems, named unless it is so of all."""
    leaking: dict[str, list[str]] = defaultdict(list)
    for row, name in zip(comparison.rows, row_names(comparison.rows), strict=True):
        if caveat := leak_caveat(row.leaks):
            leaking[caveat].append(name)
    return [
        caveat if len(names) == len(comparison.rows) else f"{'; '.join(names)}: {caveat}"
        for caveat, names in leaking.items()
    ]


@cache
def study() -> Mapping[str, Mapping[str, float]]:
    """The F1 that the study has published, by data set and model."""
    return OmegaConf.to_container(OmegaConf.load(Path(__file__).with_name("study.yaml")))


def study_figure(data: str, row: Row) -> float | None:
    """Of a model that was trained on MACCROBAT, on its own parts or elsewhere."""
    if row.corpus not in STUDIED:
        return None
    name = "maccrobat" if data.startswith(f"{row.corpus} ") else data
    return study().get(name, {}).get(row.model)


def types_table(comparison: Comparison) -> Table:
    """F1 of each type, a column a system."""
    return Table(
        name=f"types_{slug(comparison.data)}",
        caption=f"{comparison.data}: F1 by type",
        columns=(Column("type"), Column("gold"), *map(Column, row_names(comparison.rows))),
        rows=tuple(
            (type_, gold, *(row.types.get(type_) for row in comparison.rows))
            for type_, gold in comparison.gold.items()
        ),
    )


def rulers_table(comparison: Comparison) -> Table | None:
    """F1 of the same predictions under other rulers; None where nobody tells."""
    rows = [row for row in comparison.rows if row.rulers]
    names = list(dict.fromkeys(name for row in rows for name in row.rulers))
    if not rows:
        return None
    columns = [Column(name, "{:+.3f}" if name == SELECTION else "{:.3f}") for name in names]
    said = "; ".join(f"{name}: {meaning}" for name, meaning in RULERS.items() if name in names)
    return Table(
        name=f"rulers_{slug(comparison.data)}",
        caption=f"{comparison.data}: F1 of the same predictions under other rulers",
        columns=(Column("system"), *columns),
        rows=tuple((row.system, *map(row.rulers.get, names)) for row in rows),
        notes=(f"First each alone, then added one after the other. {said}.",),
    )


def row_names(rows: Sequence[Row]) -> list[str]:
    """Systems, with the label map where one system has several."""
    systems = [row.system for row in rows]
    return [
        row.system if systems.count(row.system) == 1 else f"{row.system}, {row.label_map}"
        for row in rows
    ]


def cost_table(runs: Sequence[TrainedRun]) -> Table:
    """What training took: means over a system's runs, of memory the most."""
    systems: dict[str, list[TrainedRun]] = defaultdict(list)
    for run in runs:
        systems[run.system].append(run)
    columns = (
        Column("system"), Column("runs"), Column("parameters (M)", "{:.1f}"), Column("precision"),
        Column("effective batch"), Column("device batch"), Column("epochs", "{:.1f}"),
        Column("minutes", "{:.1f}"), Column("tokens/s", "{:.0f}"),
        Column("peak memory (GB)", "{:.2f}"), Column("device"),
    )  # fmt: skip
    return Table(
        name="cost",
        caption="What training cost",
        columns=columns,
        rows=tuple(_cost(system, group) for system, group in systems.items()),
        notes=(
            "Tokens are those of the documents, read once an epoch; minutes include validation and "
            "scoring; memory is that of the card, or resident of the process on a CPU.",
        ),
    )


def _cost(system: str, runs: Sequence[TrainedRun]) -> tuple[Cell, ...]:
    figures = [run.figures for run in runs]
    costs = [each["cost"] for each in figures if "cost" in each]  # older runs have none
    speeds = [cost["tokens_a_second"] for cost in costs if cost["tokens_a_second"]]
    return (
        system,
        len(runs),
        figures[0]["parameters"] / 1e6,
        _several(run.precision for run in runs),
        _several(run.effective_batch for run in runs),
        _several(run.device_batch for run in runs),
        statistics.fmean(each["epochs"] for each in figures),
        statistics.fmean(each["seconds"] for each in figures) / 60,
        statistics.fmean(speeds) if speeds else None,
        max(cost["peak_memory"] for cost in costs) / 1e9 if costs else None,
        _several(cost["device"] for cost in costs),
    )


def _several(values: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def slug(name: str) -> str:
    """For the name of a file."""
    return "".join(c if c.isalnum() else "_" for c in name).strip("_")
