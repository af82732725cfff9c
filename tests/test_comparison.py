"""Systems side by side, from what evaluations have left."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from omegaconf import OmegaConf
from test_bootstrap import corpus
from test_config import composed

from medner.comparison import compare, find_evaluations, latest, table
from medner.errors import UserError
from medner.scoring import bootstrap

DOCUMENTS = 60


def counts(seed: int, quality: float = 0.6) -> np.ndarray:
    """Of documents that are alike for all systems: their gold and their difficulty."""
    rng = np.random.default_rng(0)
    base = corpus(rng, DOCUMENTS, 0.6)[:, :1]
    change = np.random.default_rng(seed + 1).binomial(2, abs(quality - 0.6), DOCUMENTS)
    base[:, 0, 2] += np.where(quality > 0.6, 1, -1) * change
    base[:, 0, 2] = np.clip(base[:, 0, 2], 0, base[:, 0, :2].min(axis=1))
    return base


def write_evaluation(
    folder: Path,
    found: np.ndarray,
    shuffled: bool = False,
    ids: list[str] | None = None,
    **more: str,
) -> Path:
    folder.mkdir(parents=True)
    names = ids or map(str, range(len(found)))
    rows = [
        {"document": name, "gold": g, "predicted": p, "correct": c}
        for name, ((g, p, c),) in zip(names, found.tolist(), strict=True)
    ]
    metrics = {"system": "x", "data": "ncbi_test", "fingerprint": "f" * 64, "label_map": "m"} | more
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "analysis.json").write_text(
        json.dumps({"by_document": rows[:: -1 if shuffled else 1]})
    )
    return folder


def write_run(run: Path, found: np.ndarray, *options: str, **more: object) -> Path:
    """A run with an evaluation, and none of the rest."""
    write_evaluation(
        run / "evaluations" / "ncbi_test_m",
        found,
        checkpoint=f"{run}/checkpoints/best.ckpt",
        **more,
    )
    config = composed("train", "data.path=reports", *options)
    (run / "split.json").write_text("{}")
    (run / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A sweep of three seeds of two models, and a system of others."""
    for seed in range(3):
        for model, quality in (("biobert", 0.6), ("distilbert", 0.3)):
            folder = tmp_path / "sweep" / f"{seed}_{model}"
            write_run(folder, counts(seed, quality), f"model={model}", f"seed={seed}")
    write_evaluation(
        tmp_path / "llm" / "ncbi_test_m", counts(9, 0.9), shuffled=True, system="an LLM"
    )
    return tmp_path


def test_seeds_of_a_system_are_a_row(runs: Path) -> None:
    evaluations = find_evaluations([runs / "sweep", runs / "llm"])
    assert len(evaluations) == 7
    ((data, rows),) = compare(evaluations).items()
    assert data == "ncbi_test"
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


def test_the_table_shows_it(runs: Path) -> None:
    (rows,) = compare(find_evaluations([runs / "sweep", runs / "llm"])).values()
    head, first, *_, last = table(rows).splitlines()
    assert head.split()[:6] == ["system", "label", "map", "runs", "F1", "deviation"]
    assert first.startswith("an LLM") and f"{rows[0].f1:.3f}" in first
    assert f"{rows[2].difference.f1:+.3f}" in last and f"{rows[2].p:.4f}" in last


def test_runs_that_differ_in_an_option_are_told_apart_by_it(tmp_path: Path) -> None:
    write_run(tmp_path / "a", counts(0), "trainer.learning_rate=1e-3")
    write_run(tmp_path / "b", counts(1), "trainer.learning_rate=1e-4", "hardware=cpu")
    (rows,) = compare(find_evaluations([tmp_path / "a", tmp_path / "b"])).values()
    assert {row.system for row in rows} == {
        "distilbert, maccrobat trainer.learning_rate=0.001",
        "distilbert, maccrobat trainer.learning_rate=0.0001",
    }


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
    found = compare(find_evaluations([tmp_path]))
    ((data, (row,)),) = found.items()
    assert data == "test of 5 folds"
    assert row.runs == 10
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


def test_other_documents_are_another_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", counts(0))
    write_run(tmp_path / "b", counts(0)[:30], fingerprint="e" * 64)
    write_run(tmp_path / "c", counts(0), data="bc5cdr_test", fingerprint="d" * 64)
    found = compare(find_evaluations([tmp_path]))
    assert set(found) == {"ncbi_test (ffffffff)", "ncbi_test (eeeeeeee)", "bc5cdr_test"}


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
    (rows,) = compare(find_evaluations([tmp_path])).values()
    assert {row.system for row in rows} == {
        "out.jsonl source=/a/out.jsonl", "out.jsonl source=/b/out.jsonl",
    }  # fmt: skip


def test_another_system_s_predictions_in_a_run_s_folder_are_not_the_run_s(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts(0))
    folder = run / "evaluations" / "llm" / "ncbi_test_m"
    write_evaluation(folder, counts(1), system="llm.jsonl", predictions="llm.jsonl", by_run=False)
    (rows,) = compare(find_evaluations([run])).values()
    assert {row.system for row in rows} == {"distilbert, maccrobat", "llm.jsonl"}


def test_few_documents_have_no_intervals(tmp_path: Path) -> None:
    for name, seed in (("biobert", 0), ("distilbert", 1)):
        write_run(tmp_path / name, counts(seed)[:9], f"model={name}")
    (rows,) = compare(find_evaluations([tmp_path])).values()
    assert [(row.interval, row.difference, row.p) for row in rows] == [(None, None, None)] * 2
    assert len(table(rows).splitlines()) == 3


def test_a_folder_without_evaluations(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no evaluation in it; make some: python evaluate.py with"):
        find_evaluations([tmp_path])


def test_the_latest_is_a_sweep_or_a_run(runs: Path) -> None:
    for folder in (runs / "sweep").iterdir():
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "best.ckpt").touch()
    assert latest(str(runs)) == runs / "sweep"
    assert latest(str(runs / "sweep")).parent == runs / "sweep"


def test_the_verb(run: Run, runs: Path) -> None:
    ended = run("report.py", f"runs=[{runs}/sweep,{runs}/llm]", torch=False).well()
    assert ended.stdout.startswith("ncbi_test (strict micro F1)\nsystem ")
    assert len(ended.stdout.strip().splitlines()) == 5
    assert "no evaluation in it" in run("report.py", f"runs={runs}/nothing", torch=False).error()
    assert "runs=3: takes folders" in run("report.py", "runs=3", torch=False).error()
