"""``train.py`` and ``evaluate.py`` in subprocesses, as a user types them."""

import hashlib
import json
import math
import os
import pty
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Ended, Run, Start

from medner.schema import TrainingOptions

OFFLINE = ("experiment=minilm", "model=offline/minilm")
SHORT = ("logger=none", "trainer.max_epochs=1")


def one_run(output_dir: Path) -> Path:
    """The only run folder in an output folder."""
    runs = [path for path in output_dir.iterdir() if path.is_dir()]
    assert len(runs) == 1, runs
    return runs[0]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def digests(folder: Path) -> dict[Path, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# ---------------------------------------------------------------- training


@pytest.fixture(scope="module")
def trainings(
    start: Start, mirror: Path, bare: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Path, "Future[Ended]"]]]:
    """Output folder and end of each training, all of them started, the longest first."""
    commands = {
        "minilm": (
            *OFFLINE, "logger=csv", "data.split.validation=3", "data.split.test=4",
            "trainer.max_epochs=7", "trainer.learning_rate=1e-3", "trainer.ema_decay=0.5",
        ),
        "modernbert": (
            "model=modernbert", "trainer.precision=16", "eval_dataset=ncbi",
            f"hub_mirror={mirror}", *SHORT,
        ),
        "random": (
            "data=ncbi", "model=biomedbert", "model.weights=random", f"hub_mirror={bare}", *SHORT,
        ),
    }  # fmt: skip
    started = {}
    for name, command in commands.items():
        out = tmp_path_factory.mktemp(name) / "runs"
        started[name] = out, start("train.py", *command, f"output_dir={out}", fresh=True)
    yield started
    for out, ended in started.values():
        ended.cancel()
        for checkpoint in out.rglob("*.ckpt"):  # pytest keeps its folders: half a gigabyte a time
            checkpoint.unlink()


@pytest.fixture(scope="module")
def minilm(trainings: dict) -> tuple[Path, Ended]:
    """The run folder of a training with real weights, and what it said."""
    out, ended = trainings["minilm"]
    ended = ended.result().well()
    return one_run(out), ended


def test_training_finds_most_of_what_it_learnt(minilm: tuple[Path, Ended]) -> None:
    metrics = read_json(minilm[0] / "metrics.json")
    assert metrics["scores"]["validation"]["overall"]["f1"] > 0.5
    assert metrics["scores"]["test"]["overall"]["f1"] > 0.5
    assert metrics["epochs"] == 7
    assert metrics["weights"] == "pretrained"
    cost = metrics["cost"]
    assert cost["device"].startswith("CPU") and cost["tokens_a_second"] > 10
    assert 3e8 < cost["peak_memory"] < 2e10


def test_its_own_documents_are_explained(minilm: tuple[Path, Ended]) -> None:
    run, ended = minilm
    for part in ("validation", "test"):
        folder = run / "evaluations" / f"{part}_identity"
        own, trained = read_json(folder / "metrics.json"), read_json(run / "metrics.json")
        assert own["scores"] == trained["scores"][part]
        assert own["system"] == "minilm, maccrobat"
        predictions = (run / "predictions" / f"{part}.jsonl").read_bytes()
        assert (folder / "predictions.jsonl").read_bytes() == predictions
        analysis = read_json(folder / "analysis.json")
        assert analysis["confidence"]["temperature"] and "novelty" in analysis["recall_by"]
        assert f"to look at: {folder}/report.html" in ended.stdout


def test_the_run_folder_holds_what_it_should(minilm: tuple[Path, Ended]) -> None:
    run = minilm[0]
    wanted = {
        "config.yaml", "split.json", "data_report.json", "train.log",
        "history.json", "metrics.json", "metrics.csv", "calibration.json",
        "checkpoints/best.ckpt", "checkpoints/last.ckpt",
        "predictions/validation.jsonl", "predictions/test.jsonl",
    }  # fmt: skip
    explained = {
        "predictions.jsonl", "metrics.json", "analysis.json", "report.html", "reliability.svg",
        "risk_coverage.svg",
    }  # fmt: skip
    for part in ("validation", "test"):
        wanted |= {f"evaluations/{part}_identity/{name}" for name in explained}
    files = {str(path.relative_to(run)) for path in digests(run)}
    assert wanted <= files
    assert files - wanted <= {".lock"}


def test_the_saved_options_are_settled(minilm: tuple[Path, Ended], corpora: Path) -> None:
    text = (minilm[0] / "config.yaml").read_text()
    config = yaml.safe_load(text)
    assert "${" not in text
    assert config["data"]["path"] == str(corpora / "maccrobat2020")
    assert config["model"]["name"] == "sentence-transformers/all-MiniLM-L6-v2"
    settled = {option.name: config["trainer"][option.name] for option in fields(TrainingOptions)}
    assert None not in settled.values()
    assert settled["max_epochs"] == 7
    assert settled["learning_rate"] == 1e-3
    assert settled["patience"] == 10
    assert settled["device_batch"] == settled["effective_batch"] == 4


def test_every_option_is_logged_with_who_decided(minilm: tuple[Path, Ended]) -> None:
    run, ended = minilm
    config = yaml.safe_load((run / "config.yaml").read_text())
    logged = (run / "train.log").read_text()
    for option in ("accelerator", *(option.name for option in fields(TrainingOptions))):
        line = re.search(rf"^trainer\.{option}=(\S+)  \((.+)\)$", ended.stdout, re.MULTILINE)
        assert line, f"{option} is not logged"
        assert yaml.safe_load(line[1]) == yaml.safe_load(str(config["trainer"][option]))
        assert line[0] in logged
        given = option in ("max_epochs", "learning_rate", "ema_decay")
        assert (line[2] == "command line") == given, line[0]


def test_the_split_is_disjoint_and_of_the_sizes_asked(
    minilm: tuple[Path, Ended], corpora: Path
) -> None:
    parts = read_json(minilm[0] / "split.json")["parts"]
    assert {part: len(ids) for part, ids in parts.items()} == {
        "train": 17, "validation": 3, "test": 4,
    }  # fmt: skip
    everything = [id for ids in parts.values() for id in ids]
    assert sorted(everything) == sorted(
        path.stem for path in (corpora / "maccrobat2020").glob("*.ann")
    )


def test_the_report_says_what_was_read_and_lost(minilm: tuple[Path, Ended]) -> None:
    report = read_json(minilm[0] / "data_report.json")
    assert report["documents"] == 24
    assert len(report["types"]) == 41
    assert report["discontinuous"] == 1
    assert report["overlapping"] == 2
    assert report["passed_over"] == {"relations": 24}
    assert report["encoding"]["lost"] == 2  # the entity with a gap, and the inner one of two
    assert sum(report["encoding"]["windows"].values()) > 24  # one report is longer than a window


@pytest.mark.parametrize("name", ["best", "last"])
def test_checkpoints_are_plain_values(minilm: tuple[Path, Ended], name: str) -> None:
    import torch

    path = minilm[0] / "checkpoints" / f"{name}.ckpt"
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    assert len(checkpoint["hyper_parameters"]["types"]) == 41


def test_training_is_quiet(minilm: tuple[Path, Ended]) -> None:
    run, ended = minilm
    assert ended.stderr == ""
    assert not re.search(r"[\r\x1b█]|it/s|warning", ended.stdout, re.IGNORECASE)
    epochs = re.findall(r"^epoch (\d+): loss .* validation F1 ", ended.stdout, re.MULTILINE)
    assert epochs == [str(epoch) for epoch in range(1, 8)]
    assert ended.stdout.endswith(f"run: {run}\n")


def test_the_log_has_all_that_was_said(minilm: tuple[Path, Ended]) -> None:
    run, ended = minilm
    log = re.sub(r"^\d{4}-\S+ \S+ [A-Z]+ \S+: ", "", (run / "train.log").read_text(), flags=re.M)
    assert log == ended.stdout


def test_a_second_run_does_not_take_the_folder_of_the_first(
    run: Run, minilm: tuple[Path, Ended]
) -> None:
    before = digests(minilm[0])
    ended = run("train.py", *OFFLINE, *SHORT, f"hydra.run.dir={minilm[0]}", torch=False)
    assert "belongs to another run" in ended.error()
    assert digests(minilm[0]) == before


def test_a_mirror_serves_modernbert_in_half_precision(trainings: dict) -> None:
    out, ended = trainings["modernbert"]
    ended = ended.result().well()
    config = yaml.safe_load((one_run(out) / "config.yaml").read_text())
    assert config["trainer"]["precision"] == "16"
    assert "trainer.precision=16  (command line)" in ended.stdout
    assert "trainer.effective_batch=4  (model modernbert)" in ended.stdout
    assert read_json(one_run(out) / "metrics.json")["epochs"] == 1


def test_training_can_end_with_an_evaluation(trainings: dict) -> None:
    out, ended = trainings["modernbert"]
    folder = one_run(out) / "evaluations" / "ncbi_test_disease_joined"
    scores = read_json(folder / "metrics.json")["scores"]
    assert scores["documents"] == 4
    assert scores == read_json(one_run(out) / "metrics.json")["scores"]["ncbi_test"]
    assert "ncbi_test, label map: disease_joined (strict)" in ended.result().stdout


def test_random_weights_need_none_and_the_log_says_so(trainings: dict) -> None:
    out, ended = trainings["random"]
    ended = ended.result().well()
    assert re.search(r"weights were random.*BiomedBERT", ended.stdout)
    assert read_json(one_run(out) / "metrics.json")["weights"] == "random"
    parts = read_json(one_run(out) / "split.json")["parts"]  # the corpus's own
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [8, 3, 4]
    assert all(id.startswith("2") for id in parts["validation"])


# ---------------------------------------------------------------- evaluation


@pytest.fixture(scope="module")
def moved(minilm: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the best checkpoint, outside of its run."""
    folder = tmp_path_factory.mktemp("moved")
    yield Path(shutil.copy(minilm[0] / "checkpoints" / "best.ckpt", folder / "model.ckpt"))
    (folder / "model.ckpt").unlink()


@pytest.fixture(scope="module")
def evaluations(
    start: Start, minilm: tuple[Path, Ended], moved: Path, trainings: dict, corpora: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, "Future[Ended]"]]:  # fmt: skip
    """The end of each evaluation, all of them started."""
    run = minilm[0]
    folder = tmp_path_factory.mktemp("elsewhere")
    same = shutil.copytree(corpora / "maccrobat2020", folder / "same")
    broken = shutil.copytree(corpora / "maccrobat2020", folder / "broken")
    annotations = broken / "15939911.ann"
    annotations.write_text(annotations.read_text().replace(" ", " 1", 1))  # an offset
    single = shutil.copy(corpora / "ncbi_disease" / "NCBItestset_corpus.txt", folder / "some.txt")
    with zipfile.ZipFile(folder / "CDR.zip", "w") as archive:
        for file in (corpora / "bc5cdr").iterdir():
            archive.write(file, f"CDR_Data/{file.name}")
    (folder / "text.ckpt").write_text("not a checkpoint\n")
    trainings["random"][1].result().well()
    random = one_run(trainings["random"][0])
    commands = {
        "val": ("eval_dataset=val", f"output_dir={run.parent}"),
        "test": ("eval_dataset=test", f"run={run}", f"eval_dataset.path={same}"),
        "ncbi": (
            "eval_dataset=ncbi", "eval_dataset/label_map=disease_and_sign",
            f"ckpt_path={run}/checkpoints/best.ckpt",
        ),
        "bc5cdr": ("eval_dataset=bc5cdr", "eval_dataset/label_map=disease_joined", f"run={run}"),
        "moved": (
            "eval_dataset=ncbi", "eval_dataset/label_map=disease_disorder",
            f"ckpt_path={moved}", f"eval_dataset.path={single}",
        ),
        "zip": (
            "eval_dataset=bc5cdr", f"run={run}", f"eval_dataset.path={folder}/CDR.zip",
            "eval_dataset.part=train",
        ),
        "own types": (
            "eval_dataset=ncbi", "eval_dataset.label_map=null", f"run={random}",
            "eval_dataset.part=validation",
        ),
        "types by name": ("eval_dataset=bc5cdr", f"run={random}"),
        "no checkpoint": ("eval_dataset=ncbi", f"ckpt_path={folder}/text.ckpt"),
        "home": ("eval_dataset=maccrobat", f"run={run}"),
        "skip": (
            "eval_dataset=brat", f"eval_dataset.path={broken}", "eval_dataset.on_error=skip",
            f"run={run}",
        ),
    }  # fmt: skip
    started = {name: start("evaluate.py", *command) for name, command in commands.items()}
    yield started
    for ended in started.values():
        ended.cancel()


@pytest.mark.parametrize(("name", "part"), [("val", "validation"), ("test", "test")])
def test_evaluation_gives_what_training_gave(
    evaluations: dict, minilm: tuple[Path, Ended], name: str, part: str
) -> None:
    run = minilm[0]
    ended = evaluations[name].result().well()
    evaluated = read_json(run / "evaluations" / f"{part}_identity" / "metrics.json")
    trained = read_json(run / "metrics.json")
    assert evaluated["scores"] == trained["scores"][part]
    assert ended.stderr == ""
    assert f"system: {run}/checkpoints/best.ckpt\n" in ended.stdout  # for val, the newest


def test_the_best_f1_is_that_of_the_best_epoch(
    evaluations: dict, minilm: tuple[Path, Ended]
) -> None:
    run, ended = minilm
    evaluations["val"].result().well()
    evaluated = read_json(run / "evaluations" / "validation_identity" / "metrics.json")
    f1 = evaluated["scores"]["overall"]["f1"]
    logged = re.findall(r"^epoch \d+: .*validation F1 (\S+)", ended.stdout, re.MULTILINE)
    assert f"{f1:.4f}" == max(logged)
    # Lightning keeps it in single precision
    assert math.isclose(read_json(run / "metrics.json")["best_validation_f1"], f1, rel_tol=1e-7)


def gold_of(path: Path) -> dict[str, tuple[str, list[tuple[int, int, str]]]]:
    """Text and mentions of each PubTator document, read in the plainest way."""
    documents = {}
    for block in path.read_text().strip().split("\n\n"):
        title, abstract, *rest = block.split("\n")
        id = title.split("|")[0]
        text = f"{title.split('|', 2)[2]} {abstract.split('|', 2)[2]}"
        rows = [row for line in rest if len(row := line.split("\t")) == 6]
        documents[id] = text, [(int(start), int(end), t) for _, start, end, _, t, _ in rows]
    return documents


def check_scores(folder: Path, gold_file: Path, types: dict[str, str], ended: Ended) -> dict:
    """Hold the evaluation in a folder to its predictions file, by the model's type -> corpus's."""
    gold = gold_of(gold_file)
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    predictions = {record["document"]: record for record in map(json.loads, lines)}
    assert sorted(predictions) == sorted(gold)
    wanted, found = set(), set()
    for id, (text, mentions) in gold.items():
        record = predictions[id]
        for span in record["spans"]:
            assert span["text"] == text[span["start"] : span["end"]]
            assert 0 < span["confidence"] <= 1
            if span["type"] in types:
                found.add((id, span["start"], span["end"], types[span["type"]]))
        tokens = record["tokens"]
        assert tokens.pop("classes") == 83
        assert {len(column) for column in tokens.values()} == {len(tokens["start"])}
        assert "".join(
            text[s:e] for s, e in zip(tokens["start"], tokens["end"], strict=True)
        ) == "".join(text.split())
        for start, end, type_ in mentions:
            wanted.add((id, start, end, type_ if type_ in types.values() else "Disease"))
    metrics = read_json(folder / "metrics.json")
    overall = metrics["scores"]["overall"]
    assert overall["gold"] == len(wanted)
    assert overall["predicted"] == len(found)
    assert overall["correct"] == len(wanted & found)
    assert overall["precision"] == pytest.approx(len(wanted & found) / len(found))
    assert overall["recall"] == pytest.approx(len(wanted & found) / len(wanted))
    for name, row in {**metrics["scores"]["types"], "overall": overall}.items():
        cells = [name, *(str(row[count]) for count in ("gold", "predicted", "correct"))]
        cells += [f"{row[figure]:.3f}" for figure in ("precision", "recall", "f1")]
        assert re.search(r" +".join(map(re.escape, cells)) + "$", ended.stdout, re.MULTILINE)
    return metrics


def test_ncbi(evaluations: dict, minilm: tuple[Path, Ended], corpora: Path) -> None:
    ended = evaluations["ncbi"].result().well()
    folder = minilm[0] / "evaluations" / "ncbi_test_disease_and_sign"
    types = {"Disease_disorder": "Disease", "Sign_symptom": "Disease"}
    metrics = check_scores(
        folder, corpora / "ncbi_disease" / "NCBItestset_corpus.txt", types, ended
    )
    assert metrics["scores"]["overall"]["f1"] > 0.5
    assert list(metrics["scores"]["types"]) == ["Disease"]
    assert ended.stdout.endswith(f"written: {folder}\nto look at: {folder}/report.html\n")


def test_a_run_s_predictions_are_scored_again_without_its_model(
    evaluations: dict, minilm: tuple[Path, Ended], run: Run, tmp_path: Path
) -> None:
    """Scores and analysis are the same; another confidence is fitted on the validation part."""
    evaluations["bc5cdr"].result().well()
    folder = minilm[0] / "evaluations" / "bc5cdr_test_disease_joined"
    before = {name: read_json(folder / f"{name}.json") for name in ("metrics", "analysis")}
    copy = Path(shutil.copy(folder / "predictions.jsonl", tmp_path))
    words = (
        "evaluate.py", f"predictions={copy}", "eval_dataset=bc5cdr",
        "eval_dataset/label_map=disease_joined", f"run={minilm[0]}",
    )  # fmt: skip
    run(*words, torch=False).well()
    assert read_json(folder / "metrics.json")["scores"] == before["metrics"]["scores"]
    assert read_json(folder / "analysis.json") == before["analysis"]
    stored = read_json(minilm[0] / "calibration.json")
    assert before["analysis"]["confidence"]["temperature"] == stored["temperature"]
    assert before["analysis"]["tokens"]["tokens"] > 100
    assert {"novelty", "type frequency in training"} <= set(before["analysis"]["recall_by"])

    run(*words, "confidence=minimum", torch=False).well()
    after = read_json(folder / "analysis.json")
    assert after["confidence"]["confidence"] == "minimum"
    assert after["confidence"]["fitted_on"] == stored["spans"] > 30
    assert after["errors"] == before["analysis"]["errors"]  # no span has moved


def test_a_moved_checkpoint_and_a_single_file(
    evaluations: dict, moved: Path, corpora: Path
) -> None:
    ended = evaluations["moved"].result().well()
    folder = moved.parent / "evaluations" / "ncbi_disease_disorder"
    metrics = check_scores(
        folder, corpora / "ncbi_disease" / "NCBItestset_corpus.txt",
        {"Disease_disorder": "Disease"}, ended,
    )  # fmt: skip
    assert metrics["mapping"]["left_out"]["Sign_symptom"] > 0


def test_bc5cdr_from_a_zip(evaluations: dict, minilm: tuple[Path, Ended], corpora: Path) -> None:
    ended = evaluations["zip"].result().well()
    folder = minilm[0] / "evaluations" / "bc5cdr_train_disease_and_sign"
    types = {"Disease_disorder": "Disease", "Sign_symptom": "Disease", "Medication": "Chemical"}
    metrics = check_scores(
        folder, corpora / "bc5cdr" / "CDR_TrainingSet.PubTator.txt", types, ended
    )
    assert set(metrics["scores"]["types"]) == {"Disease", "Chemical"}


def test_bc5cdr_with_severities_joined(evaluations: dict, minilm: tuple[Path, Ended]) -> None:
    ended = evaluations["bc5cdr"].result().well()
    metrics = read_json(minilm[0] / "evaluations" / "bc5cdr_test_disease_joined" / "metrics.json")
    assert metrics["mapping"]["joined"]["Severity"] > 0
    assert metrics["scores"]["overall"]["f1"] > 0.5
    assert "label map: disease_joined" in ended.stdout


def test_documents_of_the_training_part_are_pointed_out(
    evaluations: dict, minilm: tuple[Path, Ended]
) -> None:
    ended = evaluations["home"].result().well()
    trained = len(read_json(minilm[0] / "split.json")["parts"]["train"])
    assert re.search(
        rf"^  {trained} of 24 documents \(70\.8%\) are in training, too \(nearly the same text\): ",
        ended.stdout,
        re.M,
    )
    assert "have ids that the model was trained on" not in ended.stdout  # the same ones
    metrics = read_json(minilm[0] / "evaluations" / "maccrobat_identity" / "metrics.json")
    assert metrics["scores"]["documents"] == 24


def test_what_the_evaluation_skips_is_said_and_kept(
    evaluations: dict, minilm: tuple[Path, Ended]
) -> None:
    ended = evaluations["skip"].result().well()
    assert "data: brat, 23 documents" in ended.stdout
    problem = re.search(
        r"skipped \(on_error=skip\): 1 document, .*\n    (.*15939911\.ann:1: .*)", ended.stdout
    )
    metrics = read_json(minilm[0] / "evaluations" / "brat_identity" / "metrics.json")
    assert metrics["skipped"] == [problem[1]]
    assert Path(metrics["path"]).name == "broken"


def test_a_model_with_the_types_of_the_corpus_needs_no_label_map(
    evaluations: dict, trainings: dict
) -> None:
    """The corpus's own validation part is the run's, too: the scores are those of the training."""
    evaluations["own types"].result().well()
    run = one_run(trainings["random"][0])
    evaluated = read_json(run / "evaluations" / "ncbi_validation_identity" / "metrics.json")
    assert evaluated["scores"] == read_json(run / "metrics.json")["scores"]["validation"]


def test_where_types_agree_the_label_map_of_another_model_is_not_applied(
    evaluations: dict, trainings: dict
) -> None:
    ended = evaluations["types by name"].result().well()
    assert "not known to the model, so all missed: Chemical" in ended.stdout
    run = one_run(trainings["random"][0])
    types = read_json(run / "evaluations" / "bc5cdr_test_identity" / "metrics.json")["scores"][
        "types"
    ]
    assert (types["Chemical"]["predicted"], types["Chemical"]["gold"]) == (0, 12)


def test_a_file_that_is_no_checkpoint_is_an_error(evaluations: dict) -> None:
    assert "text.ckpt" in evaluations["no checkpoint"].result().error()


def test_other_documents_are_an_error(
    run: Run, minilm: tuple[Path, Ended], corpora: Path, tmp_path: Path
) -> None:
    fewer = shutil.copytree(corpora / "maccrobat2020", tmp_path / "fewer")
    name = sorted(fewer.iterdir())[0].stem
    (fewer / f"{name}.txt").unlink()
    (fewer / f"{name}.ann").unlink()
    options = ("eval_dataset=val", f"eval_dataset.path={fewer}")
    ended = run("evaluate.py", *options, f"run={minilm[0]}", torch=False)
    assert f"{fewer}: not the documents that {minilm[0]} was trained on" in ended.error()


def test_an_altered_corpus_is_an_error(
    run: Run, minilm: tuple[Path, Ended], corpora: Path, tmp_path: Path
) -> None:
    """One mention's type changes after training, in the folder that the run knows."""
    altered = shutil.copytree(corpora / "maccrobat2020", tmp_path / "corpus")
    copy = tmp_path / "run"
    (copy / "checkpoints").mkdir(parents=True)
    (copy / "checkpoints" / "best.ckpt").touch()  # the error comes before it is read
    for name in ("split.json", "data_report.json"):
        shutil.copy(minilm[0] / name, copy)
    config = (minilm[0] / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace(str(corpora / "maccrobat2020"), str(altered)))
    file = sorted(altered.glob("*.ann"))[3]
    file.write_text(file.read_text().replace("\tMedication ", "\tOther_entity ", 1))
    ended = run("evaluate.py", "eval_dataset=test", f"run={copy}", torch=False)
    assert f"{altered}: not the documents that {copy} was trained on" in ended.error()


# ---------------------------------------------------------------- a terminal


@pytest.mark.slow
def test_a_terminal_sees_progress(mirror: Path, corpora: Path, tmp_path: Path) -> None:
    """The same command that is quiet in a pipe draws bars where somebody watches."""
    watcher, terminal = pty.openpty()
    options = ("model=bioformer", f"hub_mirror={mirror}", f"output_dir={tmp_path}", *SHORT)
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "MEDNER_CORPORA": str(corpora),
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "100",
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "train.py", *options], cwd=ROOT, env=env, stdout=terminal, stderr=terminal
    ) as training:
        os.close(terminal)
        seen = b""
        while True:
            try:
                seen += os.read(watcher, 65536)
            except OSError:  # Linux ends a terminal so
                break
    os.close(watcher)
    assert training.returncode == 0, seen.decode()
    assert b"it/s" in seen and b"Epoch 0" in seen
