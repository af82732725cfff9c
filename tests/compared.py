"""Folders of runs and of their evaluations, without models, to compare."""

import json
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from test_bootstrap import corpus
from test_config import composed

from medner.leaks import Leak

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
    tokens: float | None = None,
    rulers: dict | None = None,
    **more: str,
) -> Path:
    folder.mkdir(parents=True)
    names = ids or map(str, range(len(found)))
    rows = [
        {"document": name, "gold": g, "predicted": p, "correct": c}
        for name, ((g, p, c),) in zip(names, found.tolist(), strict=True)
    ]
    g, p, c = found.sum(axis=(0, 1)).tolist()
    by_type = {"A": (g - 7, p - 9, c - 7), "B": (7, 9, 7)}
    types = {
        t: dict(zip(("gold", "predicted", "correct"), n, strict=True)) for t, n in by_type.items()
    }
    metrics = {"system": "x", "data": "ncbi_test", "fingerprint": "f" * 64, "label_map": "m"} | more
    metrics["scores"] = {"types": types}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = rows[:: -1 if shuffled else 1]
    analysis = {"by_document": rows, "tokens": tokens and {"token_accuracy": tokens}}
    analysis["rulers"] = rulers
    (folder / "analysis.json").write_text(json.dumps(analysis))
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
    (run / "metrics.json").write_text("{}")  # it has ended well
    return run


def write_leaks(run: Path, *leaks: Leak) -> None:
    """As much of a run's data report as says what its split leaks."""
    report = {"split": {"leaks": [leak.to_dict() for leak in leaks]}}
    (run / "data_report.json").write_text(json.dumps(report))


def write_sweep(folder: Path) -> None:
    """Three seeds of two models in ``sweep``, and a system of others in ``llm``."""
    for seed in range(3):
        for model, quality in (("biobert", 0.6), ("distilbert", 0.3)):
            run = folder / "sweep" / f"{seed}_{model}"
            write_run(run, counts(seed, quality), f"model={model}", f"seed={seed}", tokens=0.9)
            history = [{"epoch": n, "step": n, "loss": 1.0, "f1": quality * n / 4} for n in (1, 2)]
            cost = {"device": "a card", "tokens_a_second": 1000.0 + seed, "peak_memory": seed * 1e9}
            metrics = {"seconds": 60.0 * (seed + 1), "epochs": 2, "parameters": 1e8, "cost": cost}
            (run / "history.json").write_text(json.dumps(history))
            (run / "metrics.json").write_text(json.dumps(metrics))
    llm = folder / "llm" / "ncbi_test_m"
    write_evaluation(llm, counts(9, 0.9), shuffled=True, system="an LLM")
