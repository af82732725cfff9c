"""Plots as SVG, for the page and for a paper."""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; marks and lines differ too
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#808080"
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


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
