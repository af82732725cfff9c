"""Every command that README, Makefile and docs show composes, and runs (slow), on small corpora and
tiny models."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import ROOT, Run
from hub_server import hub, online
from test_config import composed
from test_evaluate_systems import published

from medner.config import check
from medner.corpora import CorpusSource, read_corpus

# What the pages show at true size, in small.
SMALLER = {
    "data.split.validation=20": "data.split.validation=3",
    "data.split.test=20": "data.split.test=4",
    "data.split.test=10": "data.split.test=3",
    "data.split.validation=8": "data.split.validation=2",
    "factor=glob(*)": "factor=clean,twins",
    "data.split.folds=5": "data.split.folds=2",
    "data.split.fold=1,2,3,4,5": "data.split.fold=1,2",
    "seed=0,1": "seed=0",
    "seed=0,1,2": "seed=0",
}
NOTES = 12
# Not here: these are the tests' own runs, and `make quickstart` is run command by command.
MAKE = {
    "make test",
    "make test-slow",
    "make quickstart",
    "make repro RUN=runs/FOLDER",
    "make help",
    "make install",
}


def blocks(page: str) -> list[str]:
    """The code blocks of a page: runs of lines indented by four spaces, outside of lists."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    found, block = [], []
    for line in [*lines, "end"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line[4:])
        else:
            if block:
                found.append("\n".join(block).strip())
            block = []
    return found


def commands(text: str) -> list[str]:
    """Its lines, with continuations joined and without comments."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [re.sub(r"\s+# .*", "", line).strip() for line in joined.splitlines() if line.strip()]


def quickstart() -> list[str]:
    """The commands of `make quickstart`, and those that it tells to type next."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = commands(makefile.split("quickstart: install")[1].split("\n\n")[0])
    own = [line for line in recipe if line.startswith(".venv/bin/python ")]
    following = commands(makefile.split("define NEXT")[1].split("endef")[0])
    following = [line for line in following if line.startswith("python ")]
    assert (len(own), len(following)) == (2, 4)
    return own + following


def words_of(command: str, mirror: Path) -> list[str]:
    """A command of ours as it is run here: one epoch, and models that are in reach."""
    words = [SMALLER.get(word, word) for word in shlex.split(command)[1:]]
    if any(word.startswith("hf_model=") for word in words):
        words = ["hf_model=dmis-lab/ner" if "hf_model" in word else word for word in words]
        words.append("hub_mirror=hub")
    if words[0] == "train.py":
        words.append("trainer.max_epochs=1")
        if "experiment=original" in words:
            words.append("data.split.validation=4")
        if not any(word.startswith("logger=") for word in words):
            words.append("logger=none")
        if "model=offline/minilm" not in words:
            words.append(f"hub_mirror={mirror}")
    return words


def newest_run(place: Path) -> None:
    """``runs/FOLDER``, as the pages write it, becomes the run that was made last."""
    link = place / "runs" / "FOLDER"
    link.unlink(missing_ok=True)
    runs = [path.parent.parent for path in place.glob("runs/**/checkpoints/best.ckpt")]
    if runs:
        link.symlink_to(max(runs, key=lambda run: run.stat().st_mtime_ns))


def run_all(run: Run, program: list[list[str]], place: Path) -> str:
    said = []
    for words in program:
        newest_run(place)
        said.append(run(*words, cwd=place).well().stdout)
    return "".join(said)


def ids(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.ann"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working folder like a clone's; its checkpoints are thrown away."""
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    (tmp_path / "runs").mkdir()
    yield tmp_path
    shutil.rmtree(tmp_path / "runs")


def test_the_readme_shows_the_study_s_commands_and_none_unknown() -> None:
    shown = [line for block in blocks("README.md") for line in commands(block)]
    # the user's own commands, word for word
    assert "python train.py model=modernbert trainer.precision=16" in shown
    assert "python train.py -m 'model=glob(*)'" in shown
    assert "python evaluate.py eval_dataset=ncbi" in shown
    other = {line for line in shown if re.match(r"(make|pip|cp|bash|wandb) ", line)}
    assert other <= MAKE


def test_what_is_shown_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps and options of Hydra's own are left to the slow tests, which run everything."""
    monkeypatch.setattr("medner.config.find_spec", bool)  # as if every package were installed
    pages = ("README.md", *(f"docs/{page.name}" for page in sorted(ROOT.glob("docs/*.md"))))
    shown = [line for page in pages for block in blocks(page) for line in commands(block)]
    composable = 0
    for line in [*shown, *quickstart()]:
        python, *words = shlex.split(line.removeprefix("!"))  # as in a notebook
        ours = python.endswith("python") and "/" not in words[0]  # studies take words of their own
        if ours and not any(word.startswith("-") for word in words):
            check(composed(words[0].removesuffix(".py"), *words[1:]))
            composable += 1
    assert composable >= 25


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/training.md", "docs/claims.md"])
def test_the_pages_whose_runs_are_of_maccrobat(
    run: Run, place: Path, corpora: Path, mirror: Path, page: str
) -> None:
    (place / "MACCROBAT2020").symlink_to(corpora / "maccrobat2020")
    reports = ids(corpora / "maccrobat2020")
    for name in ("ids.txt", "test_ids.txt"):
        (place / name).write_text("\n".join(reports[:4]) + "\n")
    (place / "patients.csv").write_text(f"{reports[0]},p1\n{reports[1]},p1\n")
    shown = [line for block in blocks(page) for line in commands(block)]
    ours = [line for line in shown if line.startswith("python ")]
    assert ours
    run_all(run, [words_of(line, mirror) for line in ours], place)


@pytest.mark.slow
def test_the_quickstart(run: Run, place: Path, mirror: Path) -> None:
    """The commands of `make quickstart`, with one epoch."""
    said = run_all(run, [words_of(line, mirror) for line in quickstart()], place)
    assert re.search(r"^test, best epoch \(strict\)$", said, re.M)
    assert re.search(r"^demo_abstracts, label map: disease_and_sign \(strict\)$", said, re.M)


@pytest.mark.slow
def test_the_page_on_scores(run: Run, place: Path, mirror: Path) -> None:
    """Of a new run; its predictions are those of the other system, too."""
    shown = [line for block in blocks("docs/scores.md") for line in commands(block)]
    ours = [words_of(line, mirror) for line in shown if line.startswith("python ")]
    train = ["train.py", "model=biobert", "trainer.max_epochs=1", "logger=none"]
    run_all(run, [[*train, "model.weights=random", f"hub_mirror={mirror}"], ours[0]], place)
    found = next(place.glob("runs/*/evaluations/bc5cdr_test_*/predictions.jsonl"))
    shutil.copy(found, place / "system.jsonl")
    published(mirror / "dmis-lab" / "biobert-v1.1", place / "hub" / "dmis-lab" / "ner")
    said = run_all(run, ours, place)
    assert said.count(", whatever the position ") == 5
    assert re.search(r"^bc5cdr_test: 4 documents, \d+ entities.*\nsystem ", said, re.M)


def test_every_picture_is_there() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for name in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / name).is_file(), f"{page.name}: {name}"


@pytest.mark.slow
def test_the_page_on_reports(run: Run, place: Path, mirror: Path) -> None:
    shown = [line for block in blocks("docs/report.md") for line in commands(block)]
    ours = [words_of(line, mirror) for line in shown if line.startswith("python ")]
    train = ["train.py", "model=biobert", "trainer.max_epochs=1", "logger=none"]
    train += ["data.split.test=3", "model.weights=random", f"hub_mirror={mirror}"]
    run_all(run, [train, ours[0], ["evaluate.py", "eval_dataset=bc5cdr"]], place)
    page = next(place.glob("runs/*/evaluations/test_identity/report.html"))
    assert "<h2>Types</h2>" in page.read_text()
    predictions = next(place.glob("runs/*/evaluations/bc5cdr_test_*/predictions.jsonl"))
    shutil.copy(predictions, place / "system.jsonl")
    run("evaluate.py", "predictions=system.jsonl", "eval_dataset=bc5cdr", cwd=place).well()
    said = run_all(run, ours, place)
    assert said.count("What training cost") == 3
    assert "not scored on ncbi: python evaluate.py -m eval_dataset=ncbi run=" in said
    assert len(list(place.glob("runs/*_report/report.html"))) == 3
    # what it says to type for the study's other tables
    (line,) = {line for line in said.splitlines() if line.startswith("not scored on ncbi: ")}
    run_all(run, [words_of(line.partition(": ")[2], mirror), ours[3]], place)
    tables = next(iter(sorted(place.glob("runs/*_report"), reverse=True))).glob("scores_*.csv")
    assert "scores_ncbi_test.csv" in {table.name for table in tables}


@pytest.mark.slow
def test_the_page_on_several_devices(run: Run, place: Path, mirror: Path) -> None:
    """Its commands for one machine, on a CPU; its Slurm script runs in test_ranks.py."""
    shown = [line for block in blocks("docs/distributed.md") for line in commands(block)]
    ours = [words_of(line, mirror) for line in shown if line.startswith("python ")]
    assert len(ours) == 2
    said = run_all(run, [[*words, "trainer.accelerator=cpu"] for words in ours], place)
    assert "trainer.device_batch=4  (its share of the effective batch)" in said
    assert "trainer.devices=1  (command line; it was 2)" in said


@pytest.mark.slow
def test_the_page_on_exports(
    run: Run, place: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ["train.py", "model=biobert", "trainer.max_epochs=1", "logger=none"]
    run_all(run, [[*train, "model.weights=random", f"hub_mirror={mirror}"]], place)
    newest_run(place)
    shown = blocks("docs/export.md")
    with hub() as server:
        env = online(server.address, place)
        for line in [line for block in shown for line in commands(block)]:
            if line.startswith("python "):
                run(*shlex.split(line)[1:], cwd=place, env=env if "push=" in line else None).well()
        assert "README.md" in server.repositories["OWNER/NAME"].files
    assert (place / "model" / "model.safetensors").is_file()
    monkeypatch.chdir(place)
    for block in shown:
        if block.startswith("from transformers"):
            exec(compile(block, "page", "exec"), {})


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/new_encoder.md", "docs/air_gapped.md"])
def test_the_pages_on_other_encoders_and_other_machines(
    run: Run, place: Path, mirror: Path, page: str
) -> None:
    program = []
    for block in blocks(page):
        if named := re.match(r"# (my_conf/\S+\.yaml)\n", block):
            path = place / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.partition("\n\n")[0] + "\n")
        program += [words_of(c, mirror) for c in commands(block) if re.match(r"python \w+\.py", c)]
    assert len(program) >= 6
    run_all(run, program, place)


@pytest.mark.slow
def test_the_page_on_clusters(
    run: Run, place: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its sweeps; the one for Slurm says that there is none."""
    monkeypatch.setitem(SMALLER, "model=glob(*)", "model=biobert,bioformer")
    monkeypatch.setitem(SMALLER, "hydra.sweeper.n_trials=30", "hydra.sweeper.n_trials=1")
    monkeypatch.setitem(SMALLER, "seed=0,1,2", "seed=0,1")
    shown = [line for block in blocks("docs/clusters.md") for line in commands(block)]
    ours = [line for line in shown if line.startswith("python train.py -m")]
    assert {f"medner[{extra}]" for extra in ("ray", "submitit", "optuna")} <= {
        shlex.split(line)[-1] for line in shown if line.startswith("pip install ")
    }
    for line in ours:
        words = words_of(line, mirror)
        if "launcher=submitit" in words:
            ended = run(*words, cwd=place, env={"PATH": str(place)})
            assert "there is no Slurm here (srun)" in ended.error()
        else:
            ended = run(*words, cwd=place, fresh=True).well()
            assert "\njob " in ended.stdout
    assert len(ours) == 9


@pytest.mark.slow
def test_the_page_on_notebooks(
    run: Run, place: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cells, on a CPU in fp32: what else a T4 stands for stays."""
    monkeypatch.setitem(SMALLER, "model=glob(*)", "model=biobert,bioformer")
    shown = [line for block in blocks("docs/notebooks.md") for line in commands(block)]
    ours = [line.removeprefix("!") for line in shown if line.startswith("!python ")]
    assert [line.split()[1] for line in ours] == [
        "train.py", "evaluate.py", "train.py", "train.py"
    ]  # fmt: skip
    assert sum("hardware=t4" in line for line in ours) == 2
    said = []
    for line in ours:
        words = words_of(line.replace("/kaggle/working/ner_runs", "runs"), mirror)
        if words[0] == "train.py":
            words += ["trainer.accelerator=cpu", "trainer.precision=32"]
        newest_run(place)
        said.append(run(*words, cwd=place, fresh="launcher=ray" in words).well().stdout)
    assert "trainer.device_batch=8  (hardware t4)" in said[0]
    assert "ncbi_test, label map: " in said[1]
    assert re.findall(r"model=(\w+) +runs", said[2].replace(str(place) + "/", "")) == [
        "biobert", "bioformer"
    ]  # fmt: skip


@pytest.mark.slow
def test_the_page_on_protocols(run: Run, place: Path, corpora: Path, mirror: Path) -> None:
    (place / "MACCROBAT2020").symlink_to(corpora / "maccrobat2020")
    (place / "test_ids.txt").write_text("\n".join(ids(corpora / "maccrobat2020")[:4]) + "\n")
    shown = [line for block in blocks("docs/protocols.md") for line in commands(block)]
    ours = [words_of(line, mirror) for line in shown if line.startswith("python ")]
    said = run_all(run, ours, place)
    assert "THE SPLIT LEAKS (data.split.allow_leak=true): " in said
    assert "minilm, maccrobat experiment=twins" in said
    assert "Differences are to the baseline, minilm, maccrobat experiment=clean." in said
    assert "maccrobat test, 2 folds: " in said


@pytest.mark.slow
def test_the_page_on_predictions(
    place: Path, learned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Pipes by a shell, as they are typed."""
    shutil.copytree(learned, place / "runs", dirs_exist_ok=True)
    newest_run(place)
    shell = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    python = f"{sys.executable} {ROOT}/predict.py "
    said, ours, blocks_of_python = [], 0, []
    for block in blocks("docs/predict.md"):
        if block.startswith("from "):
            blocks_of_python.append(block)
            continue
        for line in commands(block):
            if line.startswith("{"):
                assert set(json.loads(line)) == {"document", "spans"}
                continue
            ours += "predict.py" in line
            line = line.replace("python predict.py ", python)
            ended = subprocess.run(
                line, shell=True, cwd=place, env=shell, capture_output=True, text=True
            )
            assert ended.returncode == 0, ended.stderr
            said.append(ended.stdout)
    assert ours == 5
    assert json.loads(next(filter(None, said)))["document"] == "a"
    assert len(list((place / "annotated").glob("*.ann"))) == 48
    assert "<mark" in (place / "pages" / "index.html").read_text(encoding="utf-8")
    (found,) = (place / "found" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(found)["document"] == "17"
    monkeypatch.chdir(place)
    for block in blocks_of_python:
        exec(compile(block, "page", "exec"), {})
    assert re.search(r"Sign_symptom fever 0\.\d+\n", capsys.readouterr().out)


@pytest.mark.slow
def test_the_page_on_large_corpora(
    run: Run, place: Path, corpora: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed in a shell; of a model that has learned nothing."""
    train = ["train.py", "model=biobert", "trainer.max_epochs=1", "logger=none"]
    run_all(run, [[*train, "model.weights=random", f"hub_mirror={mirror}"]], place)
    monkeypatch.chdir(place)
    with tempfile.TemporaryDirectory(dir="/tmp") as own_ray:
        shell = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        shell |= {"RAY_TMPDIR": own_ray, "PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"}
        said = []
        page = blocks("docs/large_corpora.md")
        (program,) = (block for block in page if block.startswith("from "))
        exec(compile(program.replace("corpora/bc5cdr", f"{corpora}/bc5cdr"), "page", "exec"), {})
        shown = [block for block in page if not block.startswith(("from ", "hours"))]
        for line in (line for block in shown for line in commands(block)):
            line = line.replace("/tmp/killed", f"{place}/killed").replace("python ", "", 1)
            if line.split()[0].endswith(".py"):
                line = f"{sys.executable} {ROOT}/{line}"
            ended = subprocess.run(
                line, shell=True, cwd=place, env=shell, capture_output=True, text=True
            )
            assert ended.returncode == 0, ended.stderr
            said.append(ended.stdout)
    assert len(set((place / "found.jsonl").read_text().splitlines())) == 3000
    assert "300 documents, each there once: 294 with a prediction and 6 in " in said[-2]
    assert re.fullmatch(
        r"4 documents, [\d,]+ tokens a second on one core of a CPU\n37,000,000 x \d+ tokens / "
        r"\(8 x [\d,]+ a second\) = [\d,.]+ hours\n", said[-1],
    )  # fmt: skip


@pytest.mark.slow
def test_the_page_on_ones_own_corpus(
    run: Run, place: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, python = [], []
    for block in blocks("docs/own_corpus.md"):
        if named := re.match(r"# (my_conf/\S+\.yaml)\n", block):
            path = place / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block + "\n")
        elif block.startswith("from "):
            python.append(block)
        elif block.startswith("{"):
            (place / "line.jsonl").write_text(block + "\n")
        else:
            for line in commands(block):
                if line.startswith(("cp ", "printf ")):
                    subprocess.run(line, shell=True, cwd=place, check=True)
                else:
                    assert line.startswith(("python ", "parts: ")), line
                    program += [words_of(line, mirror)] if line.startswith("python ") else []
    for path in sorted((place / "notes").iterdir())[2 * NOTES :]:
        path.unlink()  # fewer, for time
    assert len(program) >= 8
    said = run_all(run, program, place)
    for block in python:
        monkeypatch.chdir(place)
        exec(compile(block, "page", "exec"), {})
    assert f"notes: {NOTES} documents" in said
    assert len(list((place / "notes_brat").glob("*.ann"))) == NOTES
    assert read_corpus(CorpusSource("line", "jsonl", str(place / "line.jsonl"))).documents
