"""Systems side by side, from what evaluations have left."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from compared import DOCUMENTS, counts, write_evaluation, write_leaks, write_run, write_sweep
from conftest import Run

from medner.comparison import Row, compare
from medner.errors import UserError
from medner.evaluation_files import (
    Evaluation,
    find_evaluations,
    latest,
    not_pooled,
    to_evaluate,
    unfinished,
)  # fmt: skip
from medner.leaks import Leak
from medner.scoring import bootstrap


def rows_of(evaluations: Sequence[Evaluation]) -> tuple[Row, ...]:
    (found,) = compare(evaluations)
    return found.rows


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_sweep(tmp_path)
    return tmp_path


def test_seeds_of_a_system_are_a_row(runs: Path) -> None:
    evaluations = find_evaluations([runs / "sweep", runs / "llm"])
    assert len(evaluations) == 7
    (found,) = compare(evaluations)
    assert (found.data, found.documents) == ("ncbi_test", DOCUMENTS)
    rows = found.rows
    assert [row.system for row in rows] == ["an LLM", "biobert, maccrobat", "distilbert, maccrobat"]
    assert [row.runs for row in rows] == [1, 3, 3]
    weights = bootstrap.draw(DOCUMENTS)
    order = sorted(range(DOCUMENTS), key=str)
    best = [counts(9, 0.9)[order]]
    p = {}
    for row, quality in zip(rows[1:], (0.6, 0.3), strict=True):
        own = [counts(seed, quality)[order] for seed in range(3)]
        figures = [float(bootstrap.f1(each.sum(axis=(0, 1)))) for each in own]
        assert row.f1 == pytest.approx(np.mean(figures))
        assert row.deviation == pytest.approx(np.std(figures, ddof=1))
        # documents are told by their ids, whatever the order
        assert row.difference == bootstrap.compare(own, best, weights)
        p[row.system] = row.difference.p
    assert {row.system: row.p for row in rows[1:]} == bootstrap.holm(p)
    assert rows[0].deviation is rows[0].difference is rows[0].p is None
    assert rows[0].interval == bootstrap.mean_interval(best, weights)


def test_precision_recall_types_and_accuracy_are_means_over_seeds(runs: Path) -> None:
    _, row, _ = rows_of(find_evaluations([runs / "sweep", runs / "llm"]))
    sums = [counts(seed, 0.6).sum(axis=(0, 1)) for seed in range(3)]
    assert row.precision == pytest.approx(np.mean([c / p for _, p, c in sums]))
    assert row.recall == pytest.approx(np.mean([c / g for g, _, c in sums]))
    # the helper gives type B seven entities, nine predictions, seven of them right
    assert row.types["B"] == pytest.approx(14 / 16)
    assert row.types["A"] == pytest.approx(
        np.mean([2 * (c - 7) / (g + p - 16) for g, p, c in sums])
    )
    assert row.accuracy == pytest.approx(0.9)
    assert (row.model, row.corpus) == ("dmis-lab/biobert-v1.1", "maccrobat")


def test_of_a_run_with_a_test_part_validation_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts(0), data="test")
    best = f"{run}/checkpoints/best.ckpt"
    validation = run / "evaluations" / "validation_identity"
    write_evaluation(validation, counts(1), data="validation", checkpoint=best)
    assert [one.data for one in find_evaluations([tmp_path])] == ["maccrobat test"]
    other = write_run(tmp_path / "other", counts(0), "data=ncbi", data="validation")
    assert [one.data for one in find_evaluations([other])] == ["ncbi validation"]


def test_home_comes_first(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts(0))
    best = f"{run}/checkpoints/best.ckpt"
    home = run / "evaluations" / "test_identity"
    write_evaluation(home, counts(1), data="test", checkpoint=best, fingerprint="e" * 64)
    found = compare(find_evaluations([tmp_path]))
    assert [each.data for each in found] == ["maccrobat test", "ncbi_test"]


def test_what_is_missing_is_named_with_the_command(runs: Path) -> None:
    (line,) = to_evaluate(find_evaluations([runs / "sweep"]))
    assert line.startswith("not scored on bc5cdr: python evaluate.py -m eval_dataset=bc5cdr run=")
    assert sorted(line.partition("run=")[2].split(",")) == [
        str(run) for run in sorted((runs / "sweep").iterdir())
    ]
    assert to_evaluate(find_evaluations([runs / "llm"])) == []
    run = runs / "sweep" / "0_biobert"
    (line,) = to_evaluate(find_evaluations([run]))
    assert line.endswith(f"python evaluate.py eval_dataset=bc5cdr run={run}")
    spaced = runs / "my runs"
    run.rename(spaced)
    (line,) = to_evaluate(find_evaluations([spaced]))
    assert line.endswith(f"python evaluate.py eval_dataset=bc5cdr 'run={spaced}'")


def test_runs_that_have_not_ended_are_named(runs: Path) -> None:
    assert unfinished([runs]) == []
    broken = runs / "sweep" / "2_biobert"
    (broken / "metrics.json").unlink()
    early = runs / "sweep" / "3_biobert"
    early.mkdir()
    (early / "train.log").write_text("an error before anything else was written")
    assert unfinished([runs]) == [broken, early]
    # what was scored of it half way has no say
    rows = rows_of(find_evaluations([runs / "sweep"]))
    assert {row.system: row.runs for row in rows} == {
        "biobert, maccrobat": 2, "distilbert, maccrobat": 3,
    }  # fmt: skip


def test_runs_that_differ_in_an_option_are_told_apart_by_it(tmp_path: Path) -> None:
    write_run(tmp_path / "a", counts(0), "trainer.learning_rate=1e-3")
    write_run(tmp_path / "b", counts(1), "trainer.learning_rate=1e-4", "hardware=cpu")
    rows = rows_of(find_evaluations([tmp_path / "a", tmp_path / "b"]))
    assert {row.system for row in rows} == {
        "distilbert, maccrobat trainer.learning_rate=0.001",
        "distilbert, maccrobat trainer.learning_rate=0.0001",
    }


def test_experiments_tell_systems_apart(tmp_path: Path) -> None:
    """By name, where each of their settings has one of its own."""
    for name, rate in (("clean", "1e-3"), ("twins", "1e-4")):
        options = ["experiment=minilm", f"experiment.name={name}", f"trainer.learning_rate={rate}"]
        write_run(tmp_path / name, counts(len(name)), *options)
    rows = rows_of(find_evaluations([tmp_path]))
    assert {row.system for row in rows} == {
        "distilbert, maccrobat experiment=clean", "distilbert, maccrobat experiment=twins",
    }  # fmt: skip
    write_run(
        tmp_path / "c",
        counts(0),
        "experiment=minilm",
        "experiment.name=twins",
        "trainer.learning_rate=1e-5",
    )
    rows = rows_of(find_evaluations([tmp_path]))
    assert len({row.system for row in rows}) == 3
    assert all("trainer.learning_rate=" in row.system for row in rows)


def test_differences_to_a_baseline(runs: Path) -> None:
    evaluations = find_evaluations([runs / "sweep", runs / "llm"])
    (found,) = compare(evaluations, "distilbert")
    assert found.reference == "distilbert, maccrobat"
    llm, biobert, distilbert = found.rows
    assert distilbert.difference is distilbert.p is None
    order = sorted(range(DOCUMENTS), key=str)
    base = [counts(seed, 0.3)[order] for seed in range(3)]
    wanted = bootstrap.compare([counts(9, 0.9)[order]], base, bootstrap.draw(DOCUMENTS))
    assert llm.difference == wanted and wanted.f1 > biobert.difference.f1 > 0
    with pytest.raises(UserError, match="baseline=maccrobat: several systems are called so; "):
        compare(evaluations, "maccrobat")
    with pytest.raises(UserError, match="baseline=bert: no system is called so; there are: "):
        compare(evaluations, "bert")
    # on documents where it is not, differences are to the best
    write_evaluation(runs / "away", counts(1), data="away", system="x")
    away, _ = sorted(compare(find_evaluations([runs]), "an LLM"), key=lambda one: one.data)
    assert away.reference is None


def test_elsewhere_folds_are_like_seeds(tmp_path: Path) -> None:
    """Their models are scored on the same documents."""
    for fold in (1, 2):
        write_run(
            tmp_path / str(fold), counts(fold), "data.split.folds=2", f"data.split.fold={fold}"
        )
    (row,) = rows_of(find_evaluations([tmp_path]))
    assert row.runs == 2
    figures = [float(bootstrap.f1(counts(fold).sum(axis=(0, 1)))) for fold in (1, 2)]
    assert row.f1 == pytest.approx(np.mean(figures))


def test_folds_are_pooled(tmp_path: Path) -> None:
    """Each document is in the test part of one fold; a seed has five."""
    for seed in (0, 1):
        whole = counts(seed)
        for fold in range(1, 6):
            ids = [str(at) for at in range(fold - 1, DOCUMENTS, 5)]
            write_run(
                tmp_path / f"{seed}_{fold}", whole[fold - 1 :: 5],
                f"seed={seed}", "data.split.folds=5", f"data.split.fold={fold}",
                ids=ids, data="test", fingerprint=str(fold) * 64,
            )  # fmt: skip
    evaluations = find_evaluations([tmp_path])
    (found,) = compare(evaluations)
    (row,) = found.rows
    assert found.data == "maccrobat test, 5 folds"
    assert (row.runs, row.seeds) == (10, 2)
    assert not_pooled(evaluations) == []
    whole = [counts(seed).sum(axis=(0, 1)) for seed in (0, 1)]
    assert found.gold["B"] == 5 * 7
    assert found.gold["A"] == whole[0][0] - 5 * 7
    pooled = [float(bootstrap.f1(counts(seed).sum(axis=(0, 1)))) for seed in (0, 1)]
    assert row.f1 == pytest.approx(np.mean(pooled))
    of_folds = [
        float(bootstrap.f1(counts(seed)[at::5].sum(axis=(0, 1))))
        for seed in (0, 1)
        for at in range(5)
    ]
    assert row.deviation == pytest.approx(np.std(of_folds, ddof=1))
    write_run(
        tmp_path / "again", counts(0)[:12], "data.split.folds=5", "data.split.fold=1",
        ids=[str(at) for at in range(0, DOCUMENTS, 5)], data="test",
    )  # fmt: skip
    with pytest.raises(UserError, match="folds 1, 1, 2, 3, 4, 5 share documents"):
        compare(find_evaluations([tmp_path]))


def test_folds_that_leak_and_have_other_rulers(tmp_path: Path) -> None:
    """Leaks add up; rulers of all folds together are not known, and that is said."""
    told = {"strict": {"f1": 0.5}, "alone": {}, "path": {}, "selection": None}
    for fold in (1, 2):
        ids = [str(at) for at in range(fold - 1, DOCUMENTS, 2)]
        run = write_run(
            tmp_path / str(fold), counts(0)[fold - 1 :: 2], "data.split.folds=2",
            f"data.split.fold={fold}", ids=ids, data="test", fingerprint=str(fold) * 64,
            rulers=told,
        )  # fmt: skip
        write_leaks(
            run, Leak("test", "train", 30, {ids[0]: "x"}), Leak("validation", "train", 3, {})
        )
    evaluations = find_evaluations([tmp_path])
    (row,) = rows_of(evaluations)
    assert row.leaks == (Leak("test", "train", 60, {"0": "x", "1": "x"}),)
    assert row.rulers == {}
    (line,) = not_pooled(evaluations)
    assert line.startswith("distilbert, maccrobat: F1 under other rulers is of each fold alone")


def test_other_documents_are_another_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", counts(0))
    write_run(tmp_path / "b", counts(0)[:30], fingerprint="e" * 64)
    write_run(tmp_path / "c", counts(0), data="bc5cdr_test", fingerprint="d" * 64)
    found = compare(find_evaluations([tmp_path]))
    assert {each.data for each in found} == {
        "ncbi_test (ffffffff)",
        "ncbi_test (eeeeeeee)",
        "bc5cdr_test",
    }


def test_the_same_run_twice_is_no_second_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, counts(0), "seed=3")
    with pytest.raises(UserError, match="distilbert, maccrobat, seed 3: more than once"):
        compare(find_evaluations([tmp_path]))


def test_other_systems_of_one_name_are_told_apart_by_their_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_evaluation(
            tmp_path / name / "ncbi_test_m",
            counts(ord(name)),
            system="out.jsonl",
            predictions=f"/{name}/out.jsonl",
        )
    rows = rows_of(find_evaluations([tmp_path]))
    assert {row.system for row in rows} == {
        "out.jsonl source=/a/out.jsonl", "out.jsonl source=/b/out.jsonl",
    }  # fmt: skip


def test_an_evaluation_that_was_moved_from_its_run_is_told_by_its_source_alone(
    tmp_path: Path,
) -> None:
    write_run(tmp_path / "run", counts(0))
    write_evaluation(
        tmp_path / "moved" / "ncbi_test_m", counts(1), system="distilbert, maccrobat",
        checkpoint="/old/checkpoints/best.ckpt",
    )  # fmt: skip
    rows = rows_of(find_evaluations([tmp_path]))
    assert {row.system for row in rows} == {
        "distilbert, maccrobat", "distilbert, maccrobat source=/old/checkpoints/best.ckpt",
    }  # fmt: skip


def test_another_system_s_predictions_in_a_run_s_folder_are_not_the_run_s(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts(0))
    folder = run / "evaluations" / "llm" / "ncbi_test_m"
    write_evaluation(folder, counts(1), system="llm.jsonl", predictions="llm.jsonl", by_run=False)
    rows = rows_of(find_evaluations([run]))
    assert {row.system for row in rows} == {"distilbert, maccrobat", "llm.jsonl"}


def test_few_documents_have_no_intervals(tmp_path: Path) -> None:
    for name, seed in (("biobert", 0), ("distilbert", 1)):
        write_run(tmp_path / name, counts(seed)[:9], f"model={name}")
    rows = rows_of(find_evaluations([tmp_path]))
    assert [(row.interval, row.difference, row.p) for row in rows] == [(None, None, None)] * 2


def test_a_folder_without_evaluations(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no evaluation in it; make some: python evaluate.py with"):
        find_evaluations([tmp_path])


def test_the_latest_is_a_sweep_or_a_run(runs: Path) -> None:
    for folder in (runs / "sweep").iterdir():
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "best.ckpt").touch()
    assert latest(str(runs)) == runs / "sweep"
    (runs / "link").symlink_to(runs / "sweep" / "2_biobert")
    assert latest(str(runs)) == runs / "sweep"
    assert latest(str(runs / "sweep")).parent == runs / "sweep"


def test_the_verb(run: Run, runs: Path) -> None:
    wanted = f"runs=[{runs}/sweep,{runs}/llm]"
    early = runs / "sweep" / "3_biobert"
    early.mkdir()
    (early / "train.log").touch()
    ended = run("report.py", wanted, f"output={runs}/out", torch=False).well()
    assert ended.stdout.startswith("ncbi_test: 60 documents, ")
    assert f"{early} has not ended well: not compared" in ended.stdout
    assert "an LLM" in ended.stdout and "What training cost" in ended.stdout
    assert f"to look at: {runs}/out/report.html" in ended.stdout
    assert {path.name for path in (runs / "out").iterdir()} == {
        "report.html", "report.md", "report.tex", "scores_ncbi_test.csv", "types_ncbi_test.csv",
        "cost.csv", "f1_ncbi_test.svg", "types_ncbi_test.svg", "learning_curves.svg",
    }  # fmt: skip
    assert "no evaluation in it" in run("report.py", f"runs={runs}/nothing", torch=False).error()
    assert "runs=3: takes folders" in run("report.py", "runs=3", torch=False).error()
