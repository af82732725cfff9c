"""The original protocol and an arm of the ablation, from the command line to the rulers."""

import json
from pathlib import Path

import pytest
from conftest import Ended, Run
from huggingface_hub import ModelCard

from medner.reach import BEYOND

TINY = (
    "model=bioformer", "logger=none", "trainer.max_epochs=2", "trainer.learning_rate=1e-3",
    "window.length=64", "window.context=8",
)  # fmt: skip


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def original(
    run: Run, corpora: Path, mirror: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("original") / "run"
    ended = run(
        "train.py", "experiment=original", *TINY, f"data.rebuild_from={corpora}/maccrobat2020",
        "data.split.validation=8", f"hub_mirror={mirror}", f"hydra.run.dir={folder}",
    ).well()  # fmt: skip
    return folder, ended


def test_it_trains_on_rebuilt_documents_and_says_what_it_does(original) -> None:
    folder, ended = original
    report = read(folder / "data_report.json")
    assert report["corpus"] == "maccrobat_2018_2020"
    assert report["documents"] == 48
    for said in ("the two are identical", "upper bound", "truncated (window.truncate): "):
        assert said in ended.stdout
    (leak,) = report["split"]["leaks"]
    assert (
        f"THE SPLIT LEAKS (data.split.allow_leak=true): {len(leak['twins'])} of 8 " in ended.stdout
    )
    assert leak["share"] > 0.5
    assert "trainer.precision=32  (default)" in ended.stdout
    encoding = report["encoding"]
    assert encoding["tokens"]["train"] == 62 * encoding["windows"]["train"]
    assert encoding["tokens_cut"]["train"] > 0
    assert any(loss["why"] == BEYOND for loss in encoding["lost_entities"])
    for line in (folder / "predictions" / "validation.jsonl").read_text().splitlines():
        tokens = json.loads(line)["tokens"]
        assert tokens["copied"] is True
        assert len(tokens["tag"]) <= 62


def test_it_is_refused_without_leave_to_leak(run: Run, corpora: Path, tmp_path: Path) -> None:
    raised = run(
        "train.py", "experiment=original", *TINY, f"data.rebuild_from={corpora}/maccrobat2020",
        "data.split.validation=8", "data.split.allow_leak=false", f"output_dir={tmp_path}",
        torch=False,
    ).error()  # fmt: skip
    assert raised.startswith("error: the split leaks: ")
    assert raised.endswith(
        "; keep twins together (data.split.grouped=true), or let it leak "
        "(data.split.allow_leak=true)"
    )


def test_it_is_evaluated_without_flags_and_under_every_ruler(
    original, run: Run, corpora: Path, tmp_path: Path
) -> None:
    folder, _ = original
    results = folder / "evaluations" / "validation_identity"
    first = read(results / "analysis.json")["rulers"]  # as training left it
    ended = run("evaluate.py", f"run={folder}", "rulers=true", "logger=none").well()
    assert "F1 of the same predictions " in ended.stdout
    assert "strict spans, whole documents, full gold" in ended.stdout
    assert "these documents chose the epoch: " in ended.stdout
    predicted = (folder / "predictions" / "validation.jsonl").read_text()
    assert (results / "predictions.jsonl").read_text() == predicted
    analysis = read(results / "analysis.json")
    rulers = analysis["rulers"]
    assert rulers == first
    assert list(rulers["path"]) == ["lost_labels", "truncation", "scorer", "subtokens"]
    overall = read(results / "metrics.json")["scores"]["overall"]
    # the run's own gold is the converted one
    assert rulers["alone"]["lost_labels"]["f1"] == pytest.approx(overall["f1"])
    history = read(folder / "history.json")
    assert rulers["selection"]["best"] == pytest.approx(max(row["f1"] for row in history))
    assert rulers["selection"]["epochs"] == 2
    silent = run("evaluate.py", f"run={folder}", "logger=none").well()
    assert "F1 of the same predictions" not in silent.stdout
    assert read(results / "analysis.json")["rulers"] == rulers


def test_all_that_shows_its_scores_says_what_they_are(
    original, run: Run, mirror: Path, tmp_path: Path
) -> None:
    """An evaluation's log and page, a comparison, and the model card: the split leaks, the gold is
    the conversion's, and what training did."""
    folder, _ = original
    (leak,) = read(folder / "data_report.json")["split"]["leaks"]
    number = len(leak["twins"])
    shares = (
        f"{number} of 8 validation documents ({number / 8:.1%}) have a twin (nearly the same "
        "text, or the same group) in train"
    )
    caveat = f"The split leaks: {shares}; a score on a twin says nothing about new documents."
    page = folder / "evaluations" / "validation_identity" / "report.html"
    assert page.read_text().count(caveat) == 1  # as training left it
    assert f"{caveat}\n" in run("evaluate.py", f"run={folder}", "logger=none").well().stdout
    assert page.read_text().count(caveat) == 1
    elsewhere = ("eval_dataset=ncbi", "eval_dataset/label_map=disease_disorder")
    ended = run("evaluate.py", f"run={folder}", *elsewhere, "logger=none").well()
    away = folder / "evaluations" / "ncbi_test_disease_disorder" / "report.html"
    assert "split leaks" not in ended.stdout + away.read_text()

    ended = run("report.py", f"runs={folder}", f"output={tmp_path}/compared").well()
    home = ended.stdout.partition("\nncbi_test: ")[0]
    assert ended.stdout.count(f"\n{caveat}\n") == home.count(f"\n{caveat}\n") == 1

    run("export.py", f"run={folder}", f"output={tmp_path}/model").well()
    card = (tmp_path / "model" / "README.md").read_text().replace("\\_", "_")
    assert f"it leaks: {shares}.\n" in card
    assert "stay on one side" not in card
    assert f"\n† {caveat}\n" in card
    assert "| MACCROBAT2018 and 2020, validation part * † |" in card
    assert "| NCBI Disease, test part |" in card
    named = "MACCROBAT2018 and 2020, validation part, the epoch was chosen on it; "
    results = ModelCard(card).data.eval_results
    assert {each.dataset_name for each in results if "2018" in each.dataset_name} == {
        named + shares
    }
    assert (
        "The gold of MACCROBAT2018 and 2020, validation part is what the hub's conversion keeps of "
        "the original\none: entities that it left out are not asked for. That of the others is the "
        "original one.\n"
    ) in card
    for row in (
        "| read of a document | its first window alone; nothing is found behind it |",
        "| tags of sub-tokens | every token of a word has the tag of its first |",
        "| annotation of all parts | what the hub's conversion keeps of MACCROBAT2020, by whose "
        "rule it was rebuilt, every report twice |",
    ):
        assert f"{row}\n" in card
    assert "well-formed spans of a document's first window, with" in card
    assert not any(id in card for id in leak["twins"])
    (away.parent / "analysis.json").unlink()
    run("export.py", f"run={folder}", f"output={tmp_path}/home").well()
    card = (tmp_path / "home" / "README.md").read_text()
    headline = card.partition("**For research.")[0]
    assert f"\n**{caveat}**\nThe gold is not the original one, but what" in headline
    assert "original one." not in card.partition("## Scores")[2]


@pytest.fixture(scope="module")
def ids_file(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ids") / "test_ids.txt"
    path.write_text("15939914\n15939917\n15939920\n")
    return path


def test_the_last_arm_of_the_ablation_runs_and_repeats_to_the_bit(
    run: Run, ids_file: Path, mirror: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    ended = run(
        "train.py", "experiment=ablation", "factor=path4", *TINY, "data.split.validation=3",
        f"data.split.test_ids={ids_file}", f"hub_mirror={mirror}", f"hydra.run.dir={folder}",
    ).well()  # fmt: skip
    leak = (
        "THE SPLIT LEAKS (data.split.allow_leak=true): 3 of 3 test documents (100.0%) have a twin "
        "(nearly the same text, or the same group) in train: 15939914 (test) and 15939914#copy "
        "(train), "
    )
    assert leak in ended.stdout
    report = read(folder / "data_report.json")
    assert report["training_part"]["documents"] == {"as_split": 18, "trained": 36}
    split = read(folder / "split.json")["parts"]
    assert split["test"] == ["15939914", "15939917", "15939920"]
    again = run(
        "train.py", f"repeat={folder}", f"hub_mirror={mirror}",
        f"hydra.run.dir={tmp_path / 'again'}", "logger=none",
    ).well()  # fmt: skip
    assert f"the same as {folder} to the bit" in again.stdout and leak in again.stdout
    scored = run("evaluate.py", "eval_dataset=test", f"run={folder}", "logger=none").well()
    assert (
        "3 of 3 documents (100.0%) are in training, too (nearly the same text): " in scored.stdout
    )
    gold = read(folder / "evaluations/test_identity/metrics.json")["scores"]["overall"]["gold"]
    described = report["split"]["parts"]["test"]["entities"]
    assert gold == described  # in full
    run("export.py", f"run={folder}", f"output={tmp_path}/model").well()
    card = (tmp_path / "model" / "README.md").read_text().replace("\\_", "_")
    caveat = (
        "The split leaks: 3 of 3 test documents (100.0%) have a twin (nearly the same text, or the "
        "same group) in train; a score on a twin says nothing about new documents."
    )
    assert f"\n**{caveat}**\n" in card and f"\n† {caveat}\n" in card
    assert "| MACCROBAT2020, test part † |" in card and "validation part * |" in card
    assert "The gold is the original one, with all that flat tags cannot express.\n" in card
    for row in (
        "| annotation of the training part | what the hub's conversion keeps; that of the others "
        "is full |",
        "| training documents | each of them twice, but in the places of some second copies are "
        "the test documents |",
    ):
        assert f"{row}\n" in card
