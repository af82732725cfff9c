"""The tables and the page of a comparison."""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from compared import DOCUMENTS, counts, write_evaluation, write_leaks, write_run, write_sweep
from test_report_page import Elements

from medner.comparison import Comparison, compare
from medner.evaluation_files import find_evaluations
from medner.leaks import Leak
from medner.report.overview import write_overview
from medner.report.plots import heat_map, intervals, learning_curves
from medner.report.tables import (
    Column,
    Table,
    cost_table,
    rulers_table,
    scores_table,
    study,
    types_table,
    write_csv,
)
from medner.scoring.bootstrap import Interval
from medner.trained_runs import TrainedRun, trained_runs


@pytest.fixture
def found(tmp_path: Path) -> tuple[list[Comparison], list[TrainedRun]]:
    write_sweep(tmp_path)
    evaluations = find_evaluations([tmp_path / "sweep", tmp_path / "llm"])
    return compare(evaluations), trained_runs(evaluations)


def column(table: Table, heading: str) -> list:
    at = [column.heading for column in table.columns].index(heading)
    return [row[at] for row in table.rows]


def test_scores_stand_beside_the_study_s(found: tuple) -> None:
    ((comparison,), _) = found
    table = scores_table(comparison)
    assert table.caption == (
        f"ncbi_test: 60 documents, {sum(comparison.gold.values())} entities, label map m"
    )
    assert column(table, "system") == ["an LLM", "biobert, maccrobat", "distilbert, maccrobat"]
    assert column(table, "study F1") == [None, 0.5027, 0.4008]
    assert column(table, "F1") == [row.f1 for row in comparison.rows]
    assert column(table, "to the best") == [None, *(r.difference.f1 for r in comparison.rows[1:])]
    assert any(note.startswith("study F1: ") for note in table.notes)
    lines = table.text().splitlines()
    assert "0.503" in lines[2] and f"{comparison.rows[1].p:.4f}" in lines[2]
    assert f"{comparison.rows[2].difference.f1:+.3f}" in lines[3]


def test_the_study_s_figures_are_of_its_models_and_data(tmp_path: Path) -> None:
    assert {name: len(models) for name, models in study().items()} == {
        "maccrobat": 5, "ncbi_test": 5, "bc5cdr_test": 5,
    }  # fmt: skip
    for model in ("distilbert", "modernbert", "biomedbert", "bioformer", "biobert"):
        home = write_run(tmp_path / model, counts(0), f"model={model}", data="test")
        write_evaluation(
            home / "evaluations" / "bc5cdr", counts(1), data="bc5cdr_test", fingerprint="b",
            checkpoint="checkpoints/best.ckpt",
        )  # fmt: skip
    home, away = compare(find_evaluations([tmp_path]))
    beside = dict(
        zip(*(column(scores_table(home), c) for c in ("system", "study F1")), strict=True)
    )
    assert beside == {
        "distilbert, maccrobat": 0.865, "modernbert, maccrobat": 0.913,
        "biomedbert, maccrobat": 0.915, "bioformer, maccrobat": 0.85, "biobert, maccrobat": 0.922,
    }  # fmt: skip
    assert min(column(scores_table(away), "study F1")) == 0.0118
    # of the same corpus's other form too, and of nothing that only begins alike
    hub = write_run(tmp_path / "hub", counts(0), "data=maccrobat_2018_2020", "model=biobert")
    (comparison,) = compare(find_evaluations([hub]))
    assert column(scores_table(comparison), "study F1") == [0.5027]
    own = write_run(tmp_path / "own", counts(0), "data.name=maccrobat_mine", data="test")
    (comparison,) = compare(find_evaluations([own]))
    assert "study F1" not in [c.heading for c in scores_table(comparison).columns]
    # trained on something else, it is not the study's experiment
    other = write_run(tmp_path / "other", counts(0), "data=bc5cdr", "model=biobert")
    (comparison,) = compare(find_evaluations([other]))
    assert "study F1" not in [c.heading for c in scores_table(comparison).columns]


def test_what_a_table_must_not_be_read_as_is_below_it(tmp_path: Path) -> None:
    chosen = write_run(tmp_path / "chosen", counts(0), data="validation")
    (comparison,) = compare(find_evaluations([chosen]))
    (note,) = [note for note in scores_table(comparison).notes if "epoch" in note]
    assert "too high" in note and "data.split.test=NUMBER" in note
    for fold in (1, 2):
        write_run(
            tmp_path / "folds" / str(fold), counts(0)[fold % 2 :: 2],
            "data.split.folds=5", f"data.split.fold={fold}",
            ids=[str(at) for at in range(fold % 2, DOCUMENTS, 2)], data="test",
        )  # fmt: skip
    (comparison,) = compare(find_evaluations([tmp_path / "folds"]))
    table = scores_table(comparison)
    assert table.caption.startswith("maccrobat test, 2 of 5 folds: ")
    (note,) = [note for note in table.notes if note.startswith("Of a cross-validation")]
    assert note.endswith("; deviation is that of the folds.")
    (row,) = comparison.rows
    several = replace(comparison, rows=(replace(row, seeds=2),))
    assert any(
        note.endswith("; deviation is that of folds and seeds.")
        for note in scores_table(several).notes
    )


def test_a_split_that_leaks_is_told_of_below_its_scores(tmp_path: Path) -> None:
    """Of the system that it is so of, on the run's own documents alone; the page, Markdown and
    LaTeX hold it, too."""
    leak = Leak("test", "train", DOCUMENTS, {str(at): "x" for at in range(45)})
    none = replace(leak, twins={})
    for name, found in (("twins", leak), ("clean", none)):
        run = write_run(
            tmp_path / name, counts(len(name)), "experiment=minilm", f"experiment.name={name}",
            f"data.split.allow_leak={found is leak}", data="test",
        )  # fmt: skip
        write_leaks(run, found, Leak("validation", "train", 6, {"v": "t"}))
        write_evaluation(
            run / "evaluations" / "away", counts(7), checkpoint=f"{run}/checkpoints/best.ckpt",
            fingerprint="e" * 64,
        )  # fmt: skip
    home, away = compare(find_evaluations([tmp_path]))
    said = (
        f"The split leaks: 45 of {DOCUMENTS} test documents (75.0%) have a twin (nearly the same "
        "text, or the same group) in train; a score on a twin says nothing about new documents."
    )
    named = f"distilbert, maccrobat experiment=twins: {said}"
    assert [note for note in scores_table(home).notes if "leak" in note] == [named]
    assert not any("leak" in note for note in scores_table(away).notes)
    for rows, expected in (
        ([row for row in home.rows if row.leaks[0].twins], [said]),
        ([row for row in home.rows if not row.leaks[0].twins], []),
    ):
        notes = scores_table(replace(home, rows=tuple(rows))).notes
        assert [note for note in notes if "leak" in note] == expected
    write_overview(tmp_path / "out", [home], [], [])
    for name in ("report.html", "report.md", "report.tex"):
        assert (tmp_path / "out" / name).read_text().count("The split leaks: 45 of 60 test") == 1


def test_the_baseline_is_named(found: tuple, tmp_path: Path) -> None:
    (comparison,) = compare(find_evaluations([tmp_path / "sweep"]), "distilbert")
    table = scores_table(comparison)
    assert column(table, "to the baseline") == [comparison.rows[0].difference.f1, None]
    assert "Differences are to the baseline, distilbert, maccrobat." in table.notes


def test_other_rulers_are_a_table(tmp_path: Path) -> None:
    """Means over runs; what selection is worth is told by the validation part."""

    def told(strict: float, selection: float | None) -> dict:
        steps = {
            name: {"f1": strict + gain} for name, gain in (("truncation", 0.1), ("scorer", 0.2))
        }
        chosen = selection and {"best": selection, "elsewhere": 0.0}
        return {"strict": {"f1": strict}, "alone": steps, "path": steps, "selection": chosen}

    for seed, strict in enumerate((0.5, 0.6)):
        run = write_run(
            tmp_path / str(seed), counts(seed), f"seed={seed}", data="test",
            rulers=told(strict, None),
        )  # fmt: skip
        write_evaluation(
            run / "evaluations" / "validation_identity", counts(1), data="validation",
            checkpoint=f"{run}/checkpoints/best.ckpt", rulers=told(0.9, 0.02 * seed + 0.02),
        )  # fmt: skip
    (comparison,) = compare(find_evaluations([tmp_path]))
    table = rulers_table(comparison)
    headings = [each.heading for each in table.columns[1:]]
    assert headings == ["strict", "truncation", "scorer", "... + scorer", "selection"]
    assert table.rows[0][1:] == pytest.approx((0.55, 0.65, 0.75, 0.75, 0.03))
    assert table.cells()[0][-1] == "+0.030"
    assert "truncation: behind the first 510 tokens" in table.notes[0]
    write_overview(tmp_path / "out", [comparison], [], [])
    assert "<h3>Other rulers</h3>" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "rulers_maccrobat_test.csv").is_file()


def test_label_maps_are_a_column_where_they_differ(tmp_path: Path) -> None:
    for name in ("m", "n"):
        write_evaluation(tmp_path / name, counts(ord(name)), system="x", label_map=name)
    (comparison,) = compare(find_evaluations([tmp_path]))
    table = scores_table(comparison)
    assert sorted(column(table, "label map")) == ["m", "n"]
    assert "label map" not in table.caption


def test_types_are_rows(found: tuple) -> None:
    ((comparison,), _) = found
    table = types_table(comparison)
    assert column(table, "type") == ["A", "B"]
    assert column(table, "gold") == [comparison.gold["A"], 7]
    assert column(table, "biobert, maccrobat")[1] == pytest.approx(14 / 16)


def test_cost_is_by_system(found: tuple) -> None:
    _, runs = found
    assert len(runs) == 6 and {run.seed for run in runs} == {0, 1, 2}
    table = cost_table(runs)
    assert column(table, "system") == ["biobert, maccrobat", "distilbert, maccrobat"]
    assert column(table, "minutes") == [2.0, 2.0]
    assert column(table, "tokens/s") == [1001.0, 1001.0]
    assert column(table, "peak memory (GB)") == [2.0, 2.0]
    assert column(table, "parameters (M)") == [100.0, 100.0]
    assert column(table, "device") == ["a card", "a card"]


AWKWARD = Table(
    "awkward",
    "50 % of a_b & {c}",
    (Column("na|me"), Column("F1"), Column("95 %"), Column("n")),
    (("[x_1 | <b>", 0.123456, Interval(0.1, 0.2), 3), ("y, $z", None, None, 4)),
    ("a_note of 50 %",),
)


def test_csv_has_whole_numbers_and_two_columns_for_an_interval() -> None:
    file = io.StringIO()
    write_csv(file, AWKWARD)
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [
        ["na|me", "F1", "95 % low", "95 % high", "n"],
        ["[x_1 | <b>", "0.123456", "0.1", "0.2", "3"],
        ["y, $z", "", "", "", "4"],
    ]


def test_text_sets_numbers_to_the_right() -> None:
    assert AWKWARD.numeric() == [False, True, False, True]
    assert AWKWARD.cells() == [
        ["[x_1 | <b>", "0.123", "0.100 to 0.200", "3"],
        ["y, $z", "", "", "4"],
    ]


def written(name: str, tables: list[Table]) -> str:
    from medner.report.templates import environment

    return environment().get_template(name).render(tables=tables, notes=["run_a is not there"])


def test_markdown_is_escaped() -> None:
    lines = written("overview.md", [AWKWARD]).splitlines()
    assert lines[:6] == [
        "**50 % of a\\_b & {c}**",
        "",
        "| na\\|me | F1 | 95 % | n |",
        "| --- | ---: | --- | ---: |",
        "| \\[x\\_1 \\| \\<b\\> | 0.123 | 0.100 to 0.200 | 3 |",
        "| y, $z |  |  | 4 |",
    ]
    assert "- run\\_a is not there" in lines


def test_latex_is_escaped_and_whole() -> None:
    text = written("overview.tex", [AWKWARD])
    assert r"\caption{50 \% of a\_b \& \{c\}}" in text
    assert r"\begin{tabular}{lrlr}" in text
    assert r"\par\footnotesize a\_note of 50 \%" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows[1].strip() == r"{}[x\_1 | <b> & 0.123 & 0.100 to 0.200 & 3 \\"
    assert all(len(re.split(r"(?<!\\)&", row)) == 4 for row in rows)
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]


def test_the_page_is_alone_and_says_what_is_missing(found: tuple, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_overview(folder, *found, ["<b>runs/x</b> has not ended well"])
    html = (folder / "report.html").read_text()
    elements = Elements(html)
    assert (elements.scripts, elements.fetched) == (1, [])
    assert "&lt;b&gt;runs/x&lt;/b&gt; has not ended well" in html
    assert html.count("<svg") == 2
    words = [
        {e.text for e in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")}
        for path in sorted(folder.glob("*.svg"))
    ]
    f1, curves, types = words
    assert {"an LLM", "biobert, maccrobat", "F1 (strict, micro)"} <= f1
    assert {"biobert, maccrobat", "distilbert, maccrobat", "epoch"} <= curves
    assert {"B (7)", "0.88"} <= types


def test_awkward_names_in_plots(tmp_path: Path) -> None:
    """Long ones, ones with formulas' signs, ones that legends would take for hidden."""
    names = ["_a $x_1$ b", "a very long name of a system, " * 5]
    for seed, name in enumerate(names):
        write_evaluation(tmp_path / str(seed), counts(seed), system=name)
    runs = [TrainedRun(name, 0, [{"epoch": 1, "f1": 0.5}], {}, "32", 8, 8) for name in names]
    (comparison,) = compare(find_evaluations([tmp_path]))
    for plot in (intervals(comparison), heat_map(comparison), learning_curves(runs)):
        tree = ElementTree.fromstring(plot)
        words = [e.text for e in tree.iter("{http://www.w3.org/2000/svg}text")]
        assert names[0] in words
        found = " ".join(word for word in words if word.startswith(("a very", "of a", "system,")))
        assert found.count("a very long name") >= 2
        width, height = (float(tree.get(side).removesuffix("pt")) for side in ("width", "height"))
        assert width < 800 and height < 800
        at = [float(e.get("x", 0)) for e in tree.iter("{http://www.w3.org/2000/svg}text")]
        assert all(0 <= x <= width for x in at)


def test_other_systems_alone_have_no_curves(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    evaluations = find_evaluations([tmp_path / "llm"])
    write_overview(tmp_path / "out", compare(evaluations), trained_runs(evaluations), [])
    assert "Learning curves" not in (tmp_path / "out" / "report.html").read_text()
    assert not (tmp_path / "out" / "cost.csv").exists()
