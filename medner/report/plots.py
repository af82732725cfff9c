"""Plots as SVG, for the page and for a paper."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medner.comparison import Comparison
from medner.report.tables import row_names, study_figure
from medner.trained_runs import TrainedRun

# Okabe and Ito's colours, which colour-blind readers can tell apart; marks and lines differ too
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#808080"
_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))  # coprime with the colours
_STAGES = (("before", ORANGE, "o", "--"), ("after", BLUE, "s", "-"))  # the temperature
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "medner",  # the same figures give the same file
    "text.parse_math": False,  # a $ in a name is one
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def reliability(report: Mapping[str, Any]) -> str | None:
    """Share correct against confidence, in bins of equal mass, before and after the temperature.

    Args:
        report: ``spans`` or ``tokens`` as of :func:`medner.scoring.confidence_report`.
    """
    if "before" not in report:
        return None
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        for stage, colour, mark, line in _STAGES:
            if stage in report:
                bins = report[stage]["equal_mass"]
                label = f"{stage} (ECE {report[stage]['ece_mass']:.3f})"
                axes.plot(
                    [each["confidence"] for each in bins], [each["accuracy"] for each in bins],
                    color=colour, marker=mark, linestyle=line, label=label,
                )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share correct")
        axes.legend(frameon=False, loc="upper left")
        return _svg(figure)


def risk_coverage(report: Mapping[str, Any]) -> str | None:
    """What share is wrong of the spans that are kept, the surest first, before and after the
    temperature.

    Args:
        report: as of :func:`medner.scoring.confidence_report.describe_confidence`.
    """
    if not report["risk_coverage"]:
        return None
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for stage, colour, _, line in _STAGES:
            if curve := report["risk_coverage"].get(stage):
                label = f"{stage} (AURC {report['spans'][stage]['aurc']:.3f})"
                axes.plot(
                    curve["coverage"], curve["risk"], color=colour, linestyle=line, label=label
                )
        axes.set(xlim=(0, 1), ylim=(0, None), xlabel="coverage", ylabel="share wrong")
        axes.legend(frameon=False, loc="upper left")
        return _svg(figure)


def intervals(comparison: Comparison) -> str:
    """F1 of the systems with its interval, the best on top, and what the study has published."""
    names = _wrapped(row_names(comparison.rows))
    lines = sum(name.count("\n") + 1.6 for name in names)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7, 1.3 + 0.22 * lines), layout="constrained")
        axes = figure.add_subplot()
        ours, study = _mark(BLUE, "s", "-"), _mark(ORANGE, "o", "", fillstyle="none")
        published = [study_figure(comparison.data, row) for row in comparison.rows]
        for at, row in enumerate(comparison.rows):
            if row.interval:
                axes.plot([row.interval.low, row.interval.high], [at, at], color=BLUE)
            axes.plot(row.f1, at, color=BLUE, marker="s", linestyle="")
            if published[at]:
                axes.plot(published[at], at, color=ORANGE, marker="o", fillstyle="none")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel="F1 (strict, micro)")
        if any(published):
            labels = ["here, with its interval", "study F1, of its own split and measure"]
            figure.legend([ours, study], labels, frameon=False, loc="outside lower center", ncols=2)
        return _svg(figure)


def heat_map(comparison: Comparison) -> str:
    """F1 by type and system; the rarer types below."""
    names, types = _wrapped(row_names(comparison.rows)), list(comparison.gold)
    values = np.array([[row.types.get(type_, 0.0) for row in comparison.rows] for type_ in types])
    with matplotlib.rc_context(_STYLE):
        tallest = max(name.count("\n") for name in names)
        size = (4 + (0.8 + 0.2 * tallest) * len(names), 2.6 + 0.24 * len(types))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (down, across), value in np.ndenumerate(values):
            colour = "white" if value < 0.5 else "black"
            axes.text(across, down, f"{value:.2f}", color=colour, ha="center", va="center", size=8)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="left", rotation_mode="anchor")
        axes.set_yticks(
            range(len(types)), [f"{type_} ({comparison.gold[type_]})" for type_ in types]
        )
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        return _svg(figure)


def learning_curves(runs: Sequence[TrainedRun]) -> str:
    """Validation F1 by epoch, a line a run, of one colour and dash for the runs of a system."""
    systems = list(dict.fromkeys(run.system for run in runs))
    names = _wrapped(systems, 80)
    lines = sum(name.count("\n") + 1.2 for name in names)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7, 3.4 + 0.19 * lines), layout="constrained")
        axes = figure.add_subplot()
        handles = []
        for number, system in enumerate(systems):
            colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
            handles.append(_mark(colour, "", dash))
            for run in runs:
                if run.system == system:
                    axes.plot(
                        [row["epoch"] for row in run.history], [row["f1"] for row in run.history],
                        color=colour, linestyle=dash, linewidth=1.2,
                    )  # fmt: skip
        axes.set(ylim=(0, 1), xlabel="epoch", ylabel="validation F1 (strict)")
        figure.legend(handles, names, frameon=False, loc="outside lower left")
        return _svg(figure)


def _mark(colour: str, mark: str, line: Any, **more: str) -> Line2D:
    """For a legend."""
    return Line2D([], [], color=colour, marker=mark, linestyle=line, **more)


def _wrapped(names: Sequence[str], width: int = 40) -> list[str]:
    return ["\n".join(textwrap.wrap(name, width)) or name for name in names]


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
