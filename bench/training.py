"""Training beside Hugging Face's Trainer: tokens a second, and F1 on the test documents.

    python bench/training.py experiment=minilm model=offline/minilm data=maccrobat \\
        data.path=MACCROBAT2020 data.split.test=20 trainer.max_epochs=3

takes the words of train.py, which must leave a test part. The other side gets the same documents,
encoder, epochs and learning rate, and has all else at its defaults (see hf_trainer.py). Ours is
trained as it is, and with each of a few options. All take turns, with the turn's number as their
seed. What is timed is training from its first step on, without validation; a document's tokens
count once, also for the share of the GEMM's peak, which so knows no windows that overlap.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from machine import machine, markdown, operations, peak
from transformers import AutoModelForTokenClassification

from medner.corpora.writers import write_jsonl
from medner.files import read_json
from medner.parts import own_parts
from medner.pretrained import locate
from medner.runs import load_config

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = (None, "window.context=32", "model.attention_dropout=0.1")
TURNS = 2


def ours(words: list[str], output: Path) -> tuple[Path, dict[str, float]]:
    """The run's folder, its tokens a second and its F1."""
    _run(["train.py", "logger=none", f"output_dir={output}", *words])
    (run,) = (path.parent for path in output.glob("*/metrics.json"))
    metrics = read_json(run / "metrics.json")
    f1 = metrics["scores"]["test"]["overall"]["f1"]
    return run, {"speed": metrics["cost"]["tokens_a_second"], "f1": f1}


def theirs(run: Path, output: Path) -> dict[str, float]:
    """The same of Trainer, on the documents of a run of ours."""
    config = load_config(run)
    parts = own_parts(run, config.data, config.corpora_dir)[1]
    output.mkdir()
    for part in ("train", "test"):
        write_jsonl(output / f"{part}.jsonl", parts[part])
    model = config.model
    folder = locate(model.name, package=model.package, hub_mirror=config.hub_mirror)
    said = _run(
        [
            "bench/hf_trainer.py", output / "train.jsonl", output / "test.jsonl", folder, output,
            "--epochs", config.trainer.max_epochs, "--seed", config.seed,
            "--learning-rate", config.trainer.learning_rate,
        ]
    )  # fmt: skip
    figures = json.loads(said.splitlines()[-1])
    found = output / "predictions.jsonl"
    _run(["evaluate.py", f"predictions={found}", "eval_dataset=test", f"run={run}"])
    metrics = read_json(run / "evaluations" / "test_identity" / "metrics.json")
    f1 = metrics["scores"]["overall"]["f1"]
    return {"speed": figures["tokens"] / figures["seconds"], "f1": f1}


def _run(words: list[object]) -> str:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def share_of_peak(run: Path, speed: float) -> float:
    """Of a run's precision, at so many tokens a second."""
    config = load_config(run)
    model = config.model
    folder = locate(model.name, package=model.package, hub_mirror=config.hub_mirror)
    encoder = AutoModelForTokenClassification.from_pretrained(folder)
    each = operations(encoder, config.window.length, training=True)
    in_bf16 = config.trainer.precision.startswith("bf16")
    return speed * each / peak(torch.bfloat16 if in_bf16 else torch.float32)


def main() -> None:
    words = sys.argv[1:]
    names = {option: f"MedNER, {option}" if option else "MedNER" for option in OPTIONS}
    sides: dict[str, list[dict[str, float]]] = {"Trainer": [], **{n: [] for n in names.values()}}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(TURNS):
            for number, (option, name) in enumerate(names.items()):
                given = [*words, f"seed={turn}", *([option] if option else [])]
                run, figures = ours(given, Path(scratch, f"ours_{turn}_{number}"))
                sides[name].append(figures)
            sides["Trainer"].append(theirs(run, Path(scratch, f"theirs_{turn}")))
            print({name: turns[-1] for name, turns in sides.items()}, file=sys.stderr)
        speeds = {
            name: statistics.fmean(turn["speed"] for turn in turns) for name, turns in sides.items()
        }
        share = share_of_peak(run, speeds["MedNER"])
    rows = [("", "tokens/s", "ratio", "F1, test")]
    for name, turns in sides.items():
        f1 = " ".join(f"{turn['f1']:.3f}" for turn in turns)
        ratio = f"{speeds[name] / speeds['Trainer']:.2f}"
        rows.append((name, f"{speeds[name]:,.0f}", ratio, f1))
    print(f"## Training\n\n{machine()}; MedNER at {share:.0%} of the GEMM's peak")
    print(f"`{' '.join(words)}`\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
