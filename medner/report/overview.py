"""``report.html`` of many runs, with the same tables as Markdown, LaTeX and CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medner.comparison import Comparison
from medner.files import written_whole
from medner.report import plots
from medner.report.tables import (
    Table,
    cost_table,
    rulers_table,
    scores_table,
    slug,
    types_table,
    write_csv,
)  # fmt: skip
from medner.report.templates import environment
from medner.runs import PAGE
from medner.trained_runs import TrainedRun


@dataclass(frozen=True, slots=True)
class Section:
    """What is said of the systems on one set of documents."""

    comparison: Comparison
    scores: Table
    types: Table
    rulers: Table | None
    intervals: str
    heat_map: str | None

    @classmethod
    def of(cls, comparison: Comparison) -> "Section":
        return cls(
            comparison,
            scores_table(comparison),
            types_table(comparison),
            rulers_table(comparison),
            plots.intervals(comparison),
            plots.heat_map(comparison) if len(comparison.gold) > 1 else None,
        )


def write_overview(
    folder: Path, comparisons: Sequence[Comparison], runs: Sequence[TrainedRun],
    notes: Sequence[str],
) -> None:  # fmt: skip
    """Write report.html, report.md, report.tex, a .csv for each table and an .svg for each plot.

    Args:
        notes: what a reader should know of what is not here.
    """
    sections = [Section.of(comparison) for comparison in comparisons]
    cost = cost_table(runs) if runs else None
    curves = plots.learning_curves(runs) if runs else None
    tables = [each for one in sections for each in (one.scores, one.types, one.rulers)]
    tables = [table for table in (*tables, cost) if table]
    context = {
        "sections": sections, "tables": tables, "cost": cost, "curves": curves, "notes": notes,
    }  # fmt: skip
    for table in tables:
        with written_whole(folder / f"{table.name}.csv") as file:
            write_csv(file, table)
    drawn = {"learning_curves": curves}
    for section in sections:
        name = slug(section.comparison.data)
        drawn |= {f"f1_{name}": section.intervals, f"types_{name}": section.heat_map}
    for name, svg in drawn.items():
        if svg:
            with written_whole(folder / f"{name}.svg") as file:
                file.write(svg)
    for template, name in (
        ("overview.md", "report.md"), ("overview.tex", "report.tex"), ("overview.html", PAGE),
    ):  # fmt: skip
        with written_whole(folder / name) as file:
            file.write(environment().get_template(template).render(context))
