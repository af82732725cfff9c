"""The benchmarks run, on small corpora and tiny models: what they say of time is not looked at."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT
from pytest import CaptureFixture, MonkeyPatch

pytestmark = pytest.mark.slow


def benchmark(name: str, monkeypatch: MonkeyPatch, *words: str | Path) -> ModuleType:
    """A module of ``bench/``, with a command line and one turn."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    module = import_module(name)
    monkeypatch.setattr("sys.argv", [f"bench/{name}.py", *map(str, words)])
    monkeypatch.setattr(module, "TURNS", 1, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return module


def table(said: str) -> dict[str, list[str]]:
    """Cells of each row of the last table, by its first."""
    rows = [line.strip("| ").split(" | ") for line in said.split("\n\n")[-1].splitlines()]
    return {name.strip("| "): [cell.strip() for cell in cells] for name, *cells in rows}


def test_training_beside_trainer(
    monkeypatch: MonkeyPatch, capsys: CaptureFixture, corpora: Path, mirror: Path
) -> None:
    """Both sides are scored on the same test documents, by the same ruler."""
    words = ["model=bioformer", f"hub_mirror={mirror}", f"corpora_dir={corpora}"]
    words += ["data.split.test=4", "trainer.max_epochs=12", "trainer.learning_rate=1e-2"]
    module = benchmark("training", monkeypatch, *words)
    module.main()
    said = capsys.readouterr().out
    assert f"`{' '.join(words)}`" in said
    rows = table(said)
    names = ["Trainer", "MedNER", *(f"MedNER, {option}" for option in module.OPTIONS if option)]
    assert set(names) < set(rows)
    for name in names:
        speed, ratio, f1 = rows[name]
        assert re.fullmatch(r"[\d,]+", speed) and float(ratio) > 0
        assert 0.1 < float(f1) <= 1, said
    assert rows["Trainer"][1] == "1.00"


def test_inference_beside_the_pipeline(
    monkeypatch: MonkeyPatch, capsys: CaptureFixture, corpora: Path, learned: Path
) -> None:
    """The run's own test documents and others; each side has found what the model knows."""
    (run,) = (path.parent for path in learned.glob("*/metrics.json"))
    monkeypatch.setenv("MEDNER_CORPORA", str(corpora))
    module = benchmark("inference", monkeypatch, run)
    module.main()
    rows = table(capsys.readouterr().out)
    assert set(module.SIDES) < set(rows)
    scores = {side: float(rows[side][-1]) for side in module.SIDES}
    assert scores["MedNER 32 8"] >= scores["pipeline fp32 1"] > 0.1, scores
    abstracts = corpora / "bc5cdr" / "CDR_TestSet.PubTator.txt"
    benchmark("inference", monkeypatch, run, abstracts).main()
    assert "## Inference: 4 documents, " in capsys.readouterr().out


def test_scaling(monkeypatch: MonkeyPatch, capsys: CaptureFixture, corpora: Path) -> None:
    words = [corpora / "bc5cdr", "--documents", "4", "9", "--characters", "1000", "3000"]
    benchmark("scaling", monkeypatch, *words).main()
    said = capsys.readouterr().out
    assert "| CPU seconds | 4 abstracts | 9 abstracts | growth |" in said
    assert "| CPU seconds | 1,000 characters | 3,000 characters | growth |" in said
    assert float(table(said)["GiB at the most, predict.py"][1]) > 0.1


def test_decoding(monkeypatch: MonkeyPatch, capsys: CaptureFixture, corpora: Path) -> None:
    benchmark("decoding", monkeypatch, corpora / "bc5cdr" / "CDR_TestSet.PubTator.txt").main()
    said = capsys.readouterr().out
    assert "## Decoding: 4 documents, " in said
    assert {"spans alone", "score", "spans, confidences"} < set(table(said))


def test_the_wait(monkeypatch: MonkeyPatch, capsys: CaptureFixture) -> None:
    benchmark("wait", monkeypatch).beside_bare_hydra()
    rows = table(capsys.readouterr().out)
    assert {"--cfg job", "--help", "a misspelt option", "a wrong value"} < set(rows)


def test_the_wait_for_a_first_step(corpora: Path, mirror: Path, tmp_path: Path) -> None:
    words = ["model=bioformer", f"hub_mirror={mirror}", f"corpora_dir={corpora}"]
    words += [f"output_dir={tmp_path}", "logger=none"]
    command = [sys.executable, "bench/wait.py", "first-step", *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    *parts, whole = re.findall(r"^\S.* +(\d+\.\d\d)$", ended.stdout.split("until the")[1], re.M)
    assert len(parts) > 10
    assert sum(map(float, parts)) == pytest.approx(float(whole), abs=0.1) and float(whole) > 1


def test_a_training_step(monkeypatch: MonkeyPatch) -> None:
    """With all gains and with none: another speed, the same work."""
    module = benchmark("training_step", monkeypatch)
    for name, value in (("WINDOWS", 1), ("LENGTH", 16), ("STEPS", 1)):
        monkeypatch.setattr(module, name, value)
    gains = set(module.GAINS) - {"memory that is kept"}  # that is the whole process's
    with_gains, without = module.measure(gains), module.measure(set())
    assert with_gains["operations"] == without["operations"] > 2 * 3 * 10_000_000
    assert with_gains["seconds"] > 0
    spent = module.profiled(gains)
    assert all(spent.values()) and spent["linear layers"] > spent[module.REST]
