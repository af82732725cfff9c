"""Plots as SVG, for the page and for a paper."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

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
    names = row_names(comparison.rows)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6, 0.8 + 0.35 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        for at, row in enumerate(comparison.rows):
            if row.interval:
                axes.plot([row.interval.low, row.interval.high], [at, at], color=BLUE)
            axes.plot(row.f1, at, color=BLUE, marker="s", linestyle="")
            if published := study_figure(comparison.data, row):
                axes.plot(published, at, color=ORANGE, marker="o", fillstyle="none", linestyle="")
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1), xlabel="strict micro F1")
        return _svg(figure)


def heat_map(comparison: Comparison) -> str:
    """F1 by type and system; the rarer types below."""
    names, types = row_names(comparison.rows), list(comparison.gold)
    values = np.array([[row.types.get(type_, 0.0) for row in comparison.rows] for type_ in types])
    with matplotlib.rc_context(_STYLE):
        size = (2.5 + 0.8 * len(names), 1.6 + 0.24 * len(types))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (down, across), value in np.ndenumerate(values):
            colour = "white" if value < 0.5 else "black"
            axes.text(across, down, f"{value:.2f}", color=colour, ha="center", va="center", size=8)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="left", rotation_mode="anchor")
        axes.set_yticks(
            range(len(types)), [f"{type_} ({comparison.gold[type_]})" for type_ in types]
        )
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        return _svg(figure)


def learning_curves(runs: Sequence[TrainedRun]) -> str:
    """Validation F1 by epoch, a line a run, of one colour and dash for the runs of a system."""
    systems = list(dict.fromkeys(run.system for run in runs))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6, 3.6 + 0.2 * len(systems)), layout="constrained")
        axes = figure.add_subplot()
        for number, system in enumerate(systems):
            colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
            own = [run for run in runs if run.system == system]
            for nth, run in enumerate(own):
                axes.plot(
                    [row["epoch"] for row in run.history], [row["f1"] for row in run.history],
                    color=colour, linestyle=dash, linewidth=1.2,
                    label=system if nth == 0 else None,
                )  # fmt: skip
        axes.set(ylim=(0, 1), xlabel="epoch", ylabel="validation F1 (strict)")
        figure.legend(frameon=False, loc="outside lower left")
        return _svg(figure)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
