"""Compare runs and other systems: ``python report.py --help``."""

import logging
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from medner.comparison import compare
from medner.errors import UserError
from medner.evaluation_files import find_evaluations, latest, not_pooled, to_evaluate, unfinished
from medner.runs import PAGE
from medner.trained_runs import trained_runs

log = logging.getLogger("report")


def report(config: DictConfig, _: Path) -> None:
    wanted = config.runs if isinstance(config.runs, ListConfig) else [config.runs]
    folders = [_latest(config.output_dir) if run == "latest" else Path(run) for run in wanted]
    evaluations = find_evaluations(folders)
    notes = [f"{run} has not ended well: not compared" for run in unfinished(folders)]
    if not evaluations:
        raise UserError("; ".join(notes))
    comparisons = compare(evaluations, config.baseline)
    runs = trained_runs(evaluations)
    notes += [*not_pooled(evaluations), *to_evaluate(evaluations)]

    from medner.report.overview import write_overview
    from medner.report.tables import cost_table, rulers_table, scores_table

    tables = [make(each) for each in comparisons for make in (scores_table, rulers_table)]
    for table in filter(None, [*tables, cost_table(runs) if runs else None]):
        log.info("%s\n%s", table.caption, "\n".join([table.text(), *table.notes, ""]))
    for note in notes:
        log.info("%s", note)
    folder = Path(config.output)
    write_overview(folder, comparisons, runs, notes)
    log.info("to look at: %s (and as .md, .tex, .csv and .svg beside it)", folder / PAGE)


def _latest(output_dir: str) -> Path:
    folder = latest(output_dir)
    log.info("latest: %s\n", folder)
    return folder
