"""``export.py`` as a user types it: what it writes, what it refuses, and that nothing leaves this
machine unless it is told."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import MENTIONS, ROOT, Ended, Run
from hub_server import hub, online
from huggingface_hub import ModelCard
from test_cli import SHORT, one_run, read_json
from test_exported import outspoken, spans
from transformers import pipeline

import medner
from medner.corpora import CorpusSource, read_corpus
from medner.errors import UserError
from medner.exported import ExportedTagger
from medner.files import folder_written_whole
from medner.model_card import model_card
from medner.module import NerModule
from medner.prediction_files import read_predictions
from medner.scoring.temperature import Calibrator


@pytest.fixture(scope="module")
def trained(run: Run, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, scored at home and elsewhere; its weights are random ones that find much, for a short
    training finds nothing."""
    place = tmp_path_factory.mktemp("export")
    train = ("train.py", "model=distilbert", f"hub_mirror={mirror}", "data.split.test=4", *SHORT)
    run(*train, "trainer.precision=32", f"output_dir={place}/runs").well()
    trained = one_run(place / "runs")
    best = trained / "checkpoints" / "best.ckpt"
    module = outspoken(NerModule.load(best))
    saved = torch.load(best, weights_only=True)
    torch.save(saved | {"state_dict": module.state_dict()}, best)
    for part in ("val", "test"):
        run("evaluate.py", f"eval_dataset={part}", f"run={trained}").well()
    run("evaluate.py", "eval_dataset=bc5cdr", f"run={trained}").well()
    calibrator = Calibrator("minimum", 2.5, 120, {0.8: 0.25, 0.9: None})
    (trained / "calibration.json").write_text(json.dumps(calibrator.to_dict()))
    return trained


@pytest.fixture(scope="module")
def exported(run: Run, trained: Path) -> tuple[Path, Ended]:
    """The folder, by default in the newest run's, and what was said."""
    ended = run("export.py", f"output_dir={trained.parent}").well()
    return trained / "export", ended


def test_it_is_compared_before_it_is_written(exported: tuple[Path, Ended], trained: Path) -> None:
    folder, ended = exported
    lines = ended.stdout.splitlines()
    assert lines[0] == f"run: {trained}"
    assert lines[1].startswith("plain transformers: the same tags for 8 documents (")
    assert lines[2].startswith("read again by MedNER: the same spans for 8 documents (")
    assert lines[3].startswith(f"written: {folder}; ")
    assert len(lines) == 4 and ended.stderr == ""
    assert not list(trained.glob(".export*"))


def test_spans_are_those_of_the_run(run: Run, exported: tuple[Path, Ended], trained: Path) -> None:
    """By ``evaluate.py``, of both, on the same documents and in the same precision."""
    out = trained.parent
    run("evaluate.py", "eval_dataset=bc5cdr", f"run={trained}").well()  # with the calibration
    words = ("evaluate.py", "eval_dataset=bc5cdr", f"hf_model={exported[0]}", f"output_dir={out}")
    run(*words).well()
    name = "evaluations/bc5cdr_test_disease_and_sign"
    own = trained / name
    (other,) = (out / "published").glob(f"*/{name}")
    expected = read_predictions(own / "predictions.jsonl")
    assert sum(len(one.spans) for one in expected) > 50
    actual = read_predictions(other / "predictions.jsonl")
    assert [(one.document, spans(one)) for one in actual] == [
        (one.document, spans(one)) for one in expected
    ]
    assert read_json(other / "metrics.json")["scores"] == read_json(own / "metrics.json")["scores"]
    confidence = [read_json(at / "analysis.json")["confidence"] for at in (own, other)]
    assert confidence[0]["temperature"] == confidence[1]["temperature"] == 2.5
    for stage in ("before", "after"):
        briers = [each["spans"][stage]["brier"] for each in confidence]
        assert briers[0] == pytest.approx(briers[1], abs=1e-6)


def test_predict_finds_the_same_with_the_same_confidence(
    run: Run, exported: tuple[Path, Ended], trained: Path, corpora: Path, tmp_path: Path
) -> None:
    """By ``predict.py``, of both, after the temperature that the export has itself."""
    texts = sorted((corpora / "maccrobat2020").glob("*.txt"))[:4]
    lines = [json.dumps({"id": path.stem, "text": path.read_text()}) + "\n" for path in texts]
    (tmp_path / "notes.jsonl").write_text("".join(lines))
    found = []
    for name, words in (("run", f"run={trained}"), ("export", f"hf_model={exported[0]}")):
        options = (f"input={tmp_path}/notes.jsonl", f"output={tmp_path}/{name}")
        run("predict.py", words, *options, "trainer.precision=32").well()
        found.append(read_predictions(tmp_path / name / "predictions.jsonl"))
    own, other = found
    assert [one.document for one in own] == [path.stem for path in texts]
    assert [(one.document, spans(one)) for one in other] == [
        (one.document, spans(one)) for one in own
    ]
    confidences = [[span.confidence for one in each for span in one.spans] for each in found]
    assert len(confidences[0]) > 50
    assert confidences[1] == pytest.approx(confidences[0], abs=1e-6)


def test_the_card_s_own_programs_run(
    exported: tuple[Path, Ended], trained: Path, capsys: pytest.CaptureFixture
) -> None:
    """With the folder for the name."""
    card = (exported[0] / "README.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```$", card, re.M | re.S)
    printed = []
    for program in programs:
        assert program.count('"FOLDER"') == 1
        exec(compile(program.replace("FOLDER", str(exported[0])), "card", "exec"), {})
        printed.append(capsys.readouterr().out.splitlines())
    by_transformers, by_medner = printed
    text = "The patient was given aspirin because of chest pain."
    assert by_medner == [
        f"{span.start} {span.end} {span.type} {span.mention(text)} {span.confidence}"
        for span in medner.load(exported[0])(text).spans
    ]
    assert by_medner and by_transformers
    for line in by_transformers:
        start, end, type_, score = line.split()
        assert 0 <= int(start) < int(end) <= len(text)
        assert type_ in MENTIONS and 0 <= float(score) <= 1


def test_plain_transformers_loads_it(exported: tuple[Path, Ended], corpora: Path) -> None:
    folder = str(exported[0])
    tagger = pipeline("token-classification", model=folder, aggregation_strategy="average")
    text = next((corpora / "maccrobat2020").glob("*.txt")).read_text()[:800]
    entities = tagger(text)
    assert {entity["entity_group"] for entity in entities} <= set(MENTIONS)
    assert len(entities) > 20
    assert all(0 <= entity["start"] < entity["end"] <= len(text) for entity in entities)


def test_nothing_of_the_texts_or_of_this_machine_is_in_it(
    exported: tuple[Path, Ended], trained: Path, corpora: Path, mirror: Path
) -> None:
    documents = read_corpus(CorpusSource("m", "brat", str(corpora / "maccrobat2020"))).documents
    card = (exported[0] / "README.md").read_text()
    template = (ROOT / "medner/report/templates/model_card.jinja").read_text()
    mentions = {d.mention(entity) for d in documents for entity in d.entities}
    mentions = {mention for mention in mentions if mention not in template}
    assert len(mentions) > 100
    assert not {m for m in mentions if re.search(rf"\b{re.escape(m)}\b", card)}
    assert not {document.id for document in documents if document.id in card}
    for path in exported[0].rglob("*"):
        data = path.read_bytes()
        for place in (trained.parent, corpora, mirror, Path.home()):
            assert str(place).encode() not in data, path


def test_the_card_is_of_this_run(exported: tuple[Path, Ended], trained: Path) -> None:
    card = ModelCard.load(exported[0] / "README.md")
    data = card.data.to_dict()
    assert data["pipeline_tag"] == "token-classification"
    assert data["base_model"] == "distilbert/distilbert-base-uncased"
    assert data["language"] == "en"
    assert "datasets" not in data  # MACCROBAT2020 is not on the hub
    results = {(one.dataset_name, one.metric_type): one for one in card.data.eval_results}
    assert len(results) == 9
    overall = read_json(trained / "evaluations/test_identity/metrics.json")["scores"]["overall"]
    f1 = results["MACCROBAT2020, test part", "f1"]
    assert f1.metric_value == round(overall["f1"], 4) and f1.dataset_split == "test"
    away = results["BC5CDR, test part", "recall"]
    assert away.dataset_type == "bigbio/bc5cdr"
    assert away.metric_name == "recall of entities (strict, micro, label map disease_and_sign)"
    text = card.text.replace("\\_", "_")
    assert f"**{overall['f1']:.3f}**" in text
    assert "Disease is Disease_disorder or Sign_symptom" in text
    assert "a temperature of 2.500 for the confidence of a span (minimum of" in text
    assert "| 0.8 | 0.250 |\n| 0.9 | not to be had |" in text
    parts = read_json(trained / "data_report.json")["split"]["parts"]
    for name, part in parts.items():
        assert f"| {name} | {part['documents']} | {part['entities']} |" in text
    assert "; documents of equal or nearly equal text stay on one side." in text
    assert "The gold is the original one, with all that flat tags cannot express.\n" in text
    pages = [path.read_text() for path in trained.glob("evaluations/*/report.html")]
    assert not any("leak" in said or "†" in said for said in (text, *pages))
    for option in ("read of a document", "tags of sub-tokens", "annotation", "training documents"):
        assert f"| {option}" not in text
    assert "24 documents, " in text and "The release has 200 documents." in text
    types = re.findall(r"^\| (\w+) \| \d+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|$", text, re.M)
    assert set(types) == {*MENTIONS, "Disease", "Chemical"}
    lost = read_json(trained / "data_report.json")["encoding"]["lost_entities"]
    assert f"out of it are {len(lost)} (" in text


def test_the_card_of_what_large_evaluations_say(trained: Path, tmp_path: Path) -> None:
    """Intervals, which take more documents than these runs have; documents that were trained on;
    and types with little to learn from."""
    folder = tmp_path / "run"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("export", "checkpoints"))
    own, away = (
        folder / "evaluations" / name / "analysis.json"
        for name in ("test_identity", "bc5cdr_test_disease_and_sign")
    )
    analysis = read_json(own)
    assert analysis["intervals"] is None
    named = max(read_json(own.with_name("metrics.json"))["scores"]["types"])
    limits = {"precision": [0.1, 0.2], "recall": [0.3, 0.4], "f1": [0.5, 0.61234]}
    limits |= {"macro_f1": [0.7, 0.8], "types": {named: [0.05, 0.95]}}
    own.write_text(json.dumps(analysis | {"intervals": limits}))
    analysis = read_json(away)
    trained_on = read_json(folder / "split.json")["parts"]["train"]
    for row, seen in zip(analysis["by_document"], trained_on[:3], strict=False):
        row["document"] = seen
    away.write_text(json.dumps(analysis))
    report = read_json(folder / "data_report.json")
    counts = dict.fromkeys(report["types"], 20) | {"Volume": 19}
    del counts["Weight"]
    report["split"]["parts"]["train"]["types"] = counts
    (folder / "data_report.json").write_text(json.dumps(report))

    card = ModelCard(model_card(folder, None, None, word_pieces=True, onnx=False))
    text = card.text.replace("\\_", "_")
    figure = r"[01]\.\d{3}"
    assert re.search(
        rf"^Strict F1 on MACCROBAT2020, test part: \*\*{figure}\*\* \(0\.500 to 0\.612\)\.$",
        text, re.M,
    )  # fmt: skip
    assert re.search(
        rf"^\| MACCROBAT2020, test part \| 4 \| \d+ \| {figure} \(0\.100 to 0\.200\) \| {figure} "
        rf"\(0\.300 to 0\.400\) \| {figure} \(0\.500 to 0\.612\) \| {figure} \(0\.700 to 0\.800\) "
        r"\|$", text, re.M,
    )  # fmt: skip
    assert re.findall(r"^\| (\w+) \| .*\d \(0\.050 to 0\.950\) \|$", text, re.M) == [named]
    assert text.count(" to 0.") == 6
    assert (
        "Not shown: BC5CDR, test part, for 3 of its 4 documents have ids of training documents."
        in text.splitlines()
    )
    assert "BC5CDR, test part" not in {one.dataset_name for one in card.data.eval_results}
    assert text.count("BC5CDR") == 1
    assert (
        "- Fewer than 20 entities to learn from: Volume, Weight. Their scores are a matter of luck."
        in text.splitlines()
    )


def test_an_export_is_replaced_only_if_told(
    run: Run, exported: tuple[Path, Ended], trained: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in exported[0].rglob("*")}
    words = ("export.py", f"run={trained}")
    error = run(*words, torch=False).error()
    assert f"{exported[0]}: it is there already; overwrite=true replaces it" in error
    assert {path: path.stat().st_mtime_ns for path in exported[0].rglob("*")} == before
    (exported[0] / "stale").touch()
    run(*words, "overwrite=true", "language=de").well()
    assert {path.name for path in exported[0].iterdir()} == {path.name for path in before}
    assert ModelCard.load(exported[0] / "README.md").data.language == "de"


def test_other_people_s_folders_are_left_alone(run: Run, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    words = ("export.py", f"run={trained}", f"output={tmp_path}/thesis", "overwrite=true")
    assert "thesis: it is there and is no export" in run(*words, torch=False).error()
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("old")
    with pytest.raises(UserError), folder_written_whole(folder) as unfinished:
        (unfinished / "new").touch()
        raise UserError("other tags")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "old"]
    # nor does what a killed process has left behind
    (tmp_path / ".model.unfinished").mkdir()
    (tmp_path / ".model.unfinished" / "half").touch()
    with folder_written_whole(folder) as unfinished:
        (unfinished / "new").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["model", "new"]


def test_a_run_without_its_corpus_is_compared_on_the_demo(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    ignore = shutil.ignore_patterns("export", "last.ckpt", "evaluations")
    shutil.copytree(trained, moved, ignore=ignore)
    config = yaml.safe_load((moved / "config.yaml").read_text())
    config["data"]["path"] = str(tmp_path / "gone")
    config["model"]["weights"], config["model"]["name"] = "random", str(tmp_path)
    config["data"]["name"] = "bc5cdr"
    (moved / "config.yaml").write_text(yaml.safe_dump(config))
    report = json.loads((moved / "data_report.json").read_text())
    del report["split"]["leaks"]  # as of an older program's run
    (moved / "data_report.json").write_text(json.dumps(report))
    (moved / "metrics.json").unlink()
    (moved / "calibration.json").unlink()
    ended = run("export.py", f"run={moved}", f"output={tmp_path}/model").well()
    assert "compared on the demo corpus, for the run's own is not at hand" in ended.stdout
    assert "the same spans for 8 documents" in ended.stdout
    card = (tmp_path / "model" / "README.md").read_text()
    assert "stay on one side" not in card and "leak" not in card
    assert "None: the training had not ended when this was written." in card
    assert "Not calibrated" in card and "was **not** pretrained" in card
    assert str(tmp_path) not in card
    data = ModelCard(card).data
    assert data.base_model is None and data.eval_results is None
    assert data.datasets == ["bigbio/bc5cdr"]
    assert ExportedTagger(tmp_path / "model").calibrator is None


def test_errors_come_before_torch(run: Run, trained: Path, tmp_path: Path) -> None:
    started = time.perf_counter()
    for words, expected in (
        (["run=nowhere"], "run=nowhere: there is no such folder"),
        ([f"output_dir={tmp_path}"], "no run with a finished best checkpoint"),
        (["push=model"], "push=model: takes OWNER/NAME, as on the hub"),
        (["push=a/b/c"], "push=a/b/c: takes OWNER/NAME"),
        (["language=English"], "language=English: takes a code of ISO 639, as en"),
        (["outptu=x"], "outptu: there is no such option; did you mean output?"),
        (["output="], "output= is empty; give a path"),
        ([f"run={trained}", f"output={tmp_path}/x", "push=me/model"], "HF_HUB_OFFLINE is set"),
    ):
        assert expected in run("export.py", *words, torch=False).error()
    assert time.perf_counter() - started < 8 * 5
    assert not list(tmp_path.iterdir())


def test_packages_that_onnx_needs_are_named(run: Run, trained: Path, tmp_path: Path) -> None:
    """As where none of the three is installed."""
    program = tmp_path / "sitecustomize.py"
    program.write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if 'onnx' in name else found(name, *rest)\n"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    error = run("export.py", f"run={trained}", "onnx=true", env=env).error()
    assert "onnx=true: onnx, onnxscript, onnxruntime not installed; pip install 'medner[o" in error


def test_onnx_is_compared_too(run: Run, trained: Path, tmp_path: Path) -> None:
    words = ("export.py", f"run={trained}", f"output={tmp_path}/model", "onnx=true")
    ended = run(*words, fresh=True).well()
    assert "\nONNX Runtime: the same spans for 8 documents (" in ended.stdout
    assert len(ended.stdout.splitlines()) == 5 and ended.stderr == ""
    assert (tmp_path / "model" / "onnx" / "model.onnx").is_file()
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert "onnx" in card.data.tags and "`onnx/model.onnx` is the same in ONNX" in card.text


# ---------------------------------------------------------------- the hub (see test_hub.py)


def test_nothing_is_asked_of_the_hub_unless_it_is_told(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    with hub() as server:
        env = online(server.address, tmp_path)
        run("export.py", f"run={trained}", f"output={tmp_path}/model", env=env).well()
        assert server.asked == []


def test_it_is_uploaded_for_its_owner_alone(run: Run, trained: Path, tmp_path: Path) -> None:
    with hub() as server:
        words = ("export.py", f"run={trained}", f"output={tmp_path}/model", "push=me/tagger")
        ended = run(*words, env=online(server.address, tmp_path)).well()
        assert ended.stdout.splitlines()[-1] == (
            f"uploaded, for its owner to see: {server.address}/me/tagger"
        )
        repository = server.repositories["me/tagger"]
        assert repository.private and len(repository.messages) == 1
        written = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        assert repository.files == written
        assert 'model="me/tagger"' in written["README.md"].decode()
        assert server.cards == [written["README.md"].decode()]


def test_a_hub_that_cannot_take_it_is_told_of_before_torch(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    words = ("export.py", f"run={trained}", f"output={tmp_path}/model", "push=me/tagger")
    with hub() as server:
        env = online(server.address, tmp_path, token=None)
        error = run(*words, env=env, torch=False).error()
        assert "push=me/tagger: no token for the hub; `hf auth login`, or set HF_TOKEN" in error
        assert server.asked == []
    error = run(*words, env=online("http://127.0.0.1:1", tmp_path), torch=False).error()
    assert "push=me/tagger: 127.0.0.1 is out of reach" in error
    assert list(tmp_path.iterdir()) == []
