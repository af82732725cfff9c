"""The wait before training, in CPU seconds: beside bare Hydra, and where the seconds go.

    python bench/wait.py      # --help, --cfg job and errors, in turn with bare Hydra
    python bench/wait.py first-step data=maccrobat model=offline/minilm experiment=minilm

Bare Hydra is an application that composes the same ``conf/`` with the same schema, and does nothing
else. ``first-step`` takes the words of train.py, and ends when the first batch reaches the model;
libraries are imported one after another before they are needed, so that each is told apart.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = {
    "--cfg job": ["--cfg", "job"],
    "--help": ["--help"],
    "a misspelt option": ["trainer.max_epoch=3"],
    "a wrong value": ["trainer.max_epochs=0"],  # bare Hydra takes it, and runs
}
TURNS = 7
LIBRARIES = ("torch", "transformers", "torchmetrics", "torch._dynamo", "pytorch_lightning")


def bare() -> None:
    import hydra

    from medner.schema import register

    register()
    hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="train")(
        lambda config: None
    )()


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def beside_bare_hydra() -> None:
    """The least of each in turns: what else runs on the machine only adds to it."""
    from machine import machine, markdown

    # those in conf/ name a class of MedNER, which bare Hydra would import
    loggers = ["hydra/job_logging=disabled", "hydra/hydra_logging=disabled", "hydra.run.dir=."]
    rows = [("CPU seconds", "train.py", "bare Hydra", "ratio")]
    for name, words in QUESTIONS.items():
        ours, theirs = [], []
        for _ in range(TURNS):
            ours.append(cpu_seconds([sys.executable, "train.py", *words]))
            theirs.append(cpu_seconds([sys.executable, __file__, "bare", *words, *loggers]))
        ratio = min(ours) / min(theirs)
        rows.append((name, f"{min(ours):.2f}", f"{min(theirs):.2f}", f"{ratio:.2f}"))
    print(f"## The wait for an answer\n\n{machine()}\n\n{markdown(rows)}")


def first_step() -> None:
    from medner.launch import launch
    from medner.tables import aligned

    marks = [("Python, Hydra", 0.0, time.process_time())]

    def mark(name: str) -> None:
        marks.append((name, marks[-1][2], time.process_time()))

    def marked(module: Any, name: str, label: str) -> None:
        function: Callable = getattr(module, name)

        def timed(*args: Any, **options: Any) -> Any:
            mark("between")
            result = function(*args, **options)
            mark(label)
            return result

        setattr(module, name, timed)

    def stop(*_: Any) -> None:
        mark("trainer, optimiser, first checkpoint")
        spent: dict[str, float] = {}
        for name, begun, ended in marks:
            spent[name] = spent.get(name, 0.0) + ended - begun
        rows = [(name, f"{seconds:.2f}") for name, seconds in spent.items()]
        print(aligned([("until the first step", "CPU s"), *rows, ("all", f"{marks[-1][2]:.2f}")]))
        sys.stdout.flush()
        os._exit(0)  # nothing that a run writes at its end

    def main(config: Any, run: Path) -> None:
        mark("composing, checking")
        verb = import_module("medner.verbs.train")
        mark("import MedNER, numpy")
        for library in LIBRARIES:
            import_module(library)
            mark(f"import {library}")
        modules = [import_module(f"medner.{name}") for name in ("module", "training", "tracking")]
        mark("import MedNER, numpy")
        marked(verb, "begin", "read, find twins, split")
        marked(verb, "build", "encoder, tokens, windows, tags")
        marked(verb, "describe", "report what is lost")
        modules[0].NerModule.training_step = stop
        verb.train(config, run)

    sys.exit(launch(main, "train"))


if __name__ == "__main__":
    questions = {"bare": bare, "first-step": first_step}
    if len(sys.argv) > 1:
        questions[sys.argv.pop(1)]()
    else:
        beside_bare_hydra()
