"""Multiruns in subprocesses, as a user types them."""

import json
import re
import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml
from conftest import MODELS, ROOT, Ended, Run, Start


@pytest.fixture(scope="module")
def sweeps(
    start: Start, mirror: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, "Future[Ended]"]]:
    """Output folder and end of a sweep over all models, and of one in which two models fail."""
    broken = shutil.copytree(mirror, tmp_path_factory.mktemp("broken") / "hub")
    shutil.rmtree(broken / MODELS["distilbert"])
    weights = broken / MODELS["bioformer"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    started = {}
    for name, model, hub in (
        ("all", "model=glob(*)", mirror),
        ("failing", "model=distilbert,bioformer,biobert", broken),
    ):
        out = tmp_path_factory.mktemp(name)
        options = (f"hub_mirror={hub}", "logger=none", "trainer.max_epochs=1", f"output_dir={out}")
        started[name] = out, start("train.py", "-m", model, *options)
    return started


@pytest.fixture(scope="module")
def all_models(sweeps: dict) -> tuple[dict[str, Path], Ended]:
    """The run folder of each model, and what the sweep said."""
    out, ended = sweeps["all"]
    ended = ended.result().well()
    configs = {path: yaml.safe_load(path.read_text()) for path in out.glob("*/*/config.yaml")}
    return {config["model"]["label"]: path.parent for path, config in configs.items()}, ended


def table_of(ended: Ended) -> dict[str, str]:
    """The line for each job in the table that comes last."""
    assert ended.stdout.count("\njob ") == 1
    lines = ended.stdout.rpartition("\njob ")[2].splitlines()[1:]
    return {line.split()[0]: line for line in lines}


def test_a_sweep_runs_the_five_models(all_models: tuple[dict[str, Path], Ended]) -> None:
    runs, _ = all_models
    assert sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml")) == sorted(MODELS)
    assert {
        label: yaml.safe_load((run / "config.yaml").read_text())["model"]["name"]
        for label, run in runs.items()
    } == MODELS
    assert len({run.parent for run in runs.values()}) == 1
    assert len(set(runs.values())) == 5
    splits = {(run / "split.json").read_text() for run in runs.values()}
    assert len(splits) == 1


def test_a_table_of_all_jobs_comes_last(all_models: tuple[dict[str, Path], Ended]) -> None:
    runs, ended = all_models
    rows = table_of(ended)
    assert sorted(rows) == sorted(run.name for run in runs.values())
    for model, run in runs.items():
        scores = json.loads((run / "metrics.json").read_text())["scores"]
        f1 = " +".join(f"{scores[part]['overall']['f1']:.3f}" for part in ("validation", "test"))
        assert re.fullmatch(rf"{run.name} +{f1} +1 +\d+\.\d +model={model} +{run}", rows[run.name])


@pytest.fixture(scope="module")
def evaluations(
    start: Start,
    all_models: tuple[dict[str, Path], Ended],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, "Future[Ended]"]:
    """The ends of an evaluation of all models, and of one model on two datasets, in one go each."""
    runs, _ = all_models
    here = tmp_path_factory.mktemp("here")
    each = ("-m", "eval_dataset=ncbi", f"run={','.join(str(runs[model]) for model in MODELS)}")
    both = ("-m", "eval_dataset=val,bc5cdr", f"run={runs['biobert']}")
    return {
        "each": start("evaluate.py", *each, f"output_dir={here}"),
        "both": start("evaluate.py", *both, cwd=here),
    }


@pytest.mark.parametrize("model", MODELS)
def test_each_model_can_be_evaluated(
    evaluations: dict, all_models: tuple[dict[str, Path], Ended], model: str, corpora: Path
) -> None:
    ended = evaluations["each"].result().well()
    run = all_models[0][model]
    assert f"system: {run}/checkpoints/best.ckpt\n" in ended.stdout
    folder = run / "evaluations" / "ncbi_test_disease_joined"
    assert json.loads((folder / "metrics.json").read_text())["scores"]["overall"]["gold"] == 56
    text = (corpora / "ncbi_disease" / "NCBItestset_corpus.txt").read_text()
    for line in (folder / "predictions.jsonl").read_text().splitlines():
        record = json.loads(line)
        title, abstract = re.findall(rf"^{record['document']}\|[ta]\|(.*)$", text, re.MULTILINE)
        whole, tokens = f"{title} {abstract}", record["tokens"]
        pieces = [whole[s:e] for s, e in zip(tokens["start"], tokens["end"], strict=True)]
        assert "".join(pieces) == "".join(whole.split())  # nothing is cut off, no space is a token
        for span in record["spans"]:
            assert span["text"] == whole[span["start"] : span["end"]]


def test_a_model_can_be_evaluated_on_several_datasets_in_one_go(
    evaluations: dict, all_models: tuple[dict[str, Path], Ended]
) -> None:
    evaluations["both"].result().well()
    written = {path.name for path in (all_models[0]["biobert"] / "evaluations").iterdir()}
    assert {"validation_identity", "bc5cdr_test_disease_and_sign"} <= written


def test_a_sweep_over_nothing_is_an_error(run: Run, tmp_path: Path) -> None:
    """A glob that fits no model trains nothing; that is not a success."""
    ended = run("train.py", "-m", "model=glob(bret*)", f"output_dir={tmp_path}", torch=False)
    assert ended.code != 0, ended.said


@pytest.fixture(scope="module")
def failing(sweeps: dict) -> tuple[dict[str, Path], Ended]:
    """The job folders of the sweep in which two fail, by model, and how it ended."""
    out, ended = sweeps["failing"]
    folders = [path for path in out.glob("*/*") if path.is_dir()]
    return {path.name.split("_")[1]: path for path in folders}, ended.result()


def test_a_job_that_fails_does_not_stop_the_others(failing: tuple[dict[str, Path], Ended]) -> None:
    jobs, ended = failing
    assert ended.code == 1
    assert sorted(jobs) == ["biobert", "bioformer", "distilbert"]
    metrics = {model for model, job in jobs.items() if (job / "metrics.json").is_file()}
    assert metrics == {"biobert"}


def test_the_table_shows_which_jobs_failed(failing: tuple[dict[str, Path], Ended]) -> None:
    rows = table_of(failing[1])
    failed = {row.split("_")[1] for row, line in rows.items() if " failed: " in line}
    assert failed == {"distilbert", "bioformer"}
    assert "2_biobert_maccrobat" in rows


def test_a_user_s_error_is_a_line_in_the_job_s_log(failing: tuple[dict[str, Path], Ended]) -> None:
    jobs, ended = failing
    log = (jobs["distilbert"] / "train.log").read_text()
    error = re.search(r"^error: (model distilbert/.* no such folder.*)$", ended.stderr, re.M)
    assert error[1] in log
    assert "Traceback" not in log


def test_any_other_error_has_its_traceback_in_the_job_s_log(
    failing: tuple[dict[str, Path], Ended],
) -> None:
    jobs, ended = failing
    for text in ((jobs["bioformer"] / "train.log").read_text(), ended.stderr):
        assert re.search(r"Traceback .*\n(  .*\n)+safetensors\S*Error: ", text)
    assert ended.stderr.count("Traceback") == 1
