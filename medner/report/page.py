"""``report.html``: an evaluation on one page, which needs no network."""

from collections import Counter
from pathlib import Path
from typing import Any

from medner.analysis import Analysis
from medner.files import written_whole
from medner.gold import Gold
from medner.reach import BEYOND
from medner.report import plots
from medner.report.browser import browser_data
from medner.report.templates import environment
from medner.scoring.label_map import MappedPredictions


def write_page(
    path: Path, title: str, gold: Gold, mapped: MappedPredictions, found: Analysis, text: bool
) -> None:
    """Write the page of an evaluation, and beside it its plots: reliability.svg, risk_coverage.svg.

    Args:
        text: whether it may hold the corpus's text; a page to be shared may not.
    """
    confidence = found.details["confidence"]
    context = {
        "title": title,
        "gold": gold,
        "scores": found.scores,
        "details": found.details,
        "text": text,
        "beyond": BEYOND,
        "reliability": plots.reliability(confidence["spans"]),
        "risk_coverage": plots.risk_coverage(confidence),
        "confusion": _confusion(found),
        "browser": browser_data(gold.documents, mapped.predictions, found.errors, text),
    }
    for name in ("reliability", "risk_coverage"):  # for a paper; the page holds them too
        plot = path.with_name(f"{name}.svg")
        if context[name]:
            with written_whole(plot) as file:
                file.write(context[name])
        else:
            plot.unlink(missing_ok=True)
    with written_whole(path) as file:
        file.write(environment().get_template("evaluation.html").render(context))


def _confusion(found: Analysis) -> dict[str, Any]:
    """Rows by gold type, the most frequent first, columns by predicted type, none last."""
    counts = found.errors.confusion
    rows: Counter[str | None] = Counter()
    columns: Counter[str | None] = Counter()
    for (gold, predicted), number in counts.items():
        rows[gold] += number
        columns[predicted] += number
    names = [name for name, _ in rows.most_common() if name is not None]
    names += [name for name, _ in columns.most_common() if name is not None and name not in names]

    def cell(gold: str | None, predicted: str | None) -> dict[str, Any]:
        number = counts.get((gold, predicted), 0)
        share = number / rows[gold] if rows[gold] else 0.0
        return {"count": number, "share": share, "right": gold == predicted}

    return {
        "columns": [*names, "none"],
        "rows": [
            {"name": gold or "no entity", "cells": [cell(gold, name) for name in [*names, None]]}
            for gold in [*(name for name in names if rows[name]), None]
        ],
    }
