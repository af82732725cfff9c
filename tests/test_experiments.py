"""The protocols that ``experiment=`` and ``factor=`` name."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from test_config import FIVE, choices, composed, decided

from medner.config import check
from medner.documents import Parts
from medner.errors import UserError
from medner.factors import as_trained, training_lines
from medner.parts import read_and_split
from medner.resolution import resolve
from medner.schema import HardwareConfig
from medner.sources import open_corpus

BF16 = {"precision": "bf16-mixed", "device_batch": 64}
ARMS = ["clean", "labels", "path2", "path3", "path4", "subtokens", "truncation", "twins"]


def settled(*overrides: str) -> dict:
    """All options, resolved on a card that proposes bf16; without the experiment's own."""
    config = composed("train", *overrides)
    check(config)
    resolve(config, HardwareConfig(name="a card", accelerator="gpu", **BF16))
    return OmegaConf.to_container(config) | {"experiment": None}


@pytest.mark.parametrize("model", [*FIVE, "offline/minilm"])
def test_clean_is_what_one_gets_without_it(model: str) -> None:
    assert settled("experiment=clean", f"model={model}") == settled(f"model={model}")
    for data in ("data=ncbi", "data=bc5cdr"):
        assert settled("experiment=clean", data, f"model={model}") == settled(
            data, f"model={model}"
        )


@pytest.mark.parametrize(
    ("model", "batch", "precision", "who"),
    [*((model, "8", "32", "default") for model in FIVE if model != "modernbert"),
     ("modernbert", "4", "16", "model modernbert")],
)  # fmt: skip
def test_original_is_as_the_study_says(model: str, batch: str, precision: str, who: str) -> None:
    config = composed("train", "experiment=original", f"model={model}")
    check(config)
    options = decided("experiment=original", f"model={model}", **BF16)
    assert options["max_epochs"] == ("70", "experiment")
    assert options["learning_rate"] == ("2e-05", "experiment")
    assert options["effective_batch"] == (batch, who)
    assert options["precision"] == (precision, who)  # whatever the hardware would take
    assert config.data.name == "maccrobat_2018_2020"
    split = config.data.split
    assert (split.validation, split.test, split.grouped, split.allow_leak) == (50, 0, False, True)
    assert config.window.truncate and config.window.length == 512
    assert config.data.subtokens == "copied"


def test_the_command_line_goes_before_a_protocol() -> None:
    said = ("data=maccrobat", "window.truncate=false", "data.split.validation=3")
    config = composed("train", "experiment=original", *said)
    assert config.data.name == "maccrobat"
    assert (config.window.truncate, config.data.split.validation) == (False, 3)
    options = decided("experiment=original", "trainer.precision=bf16", **BF16)
    assert options["precision"] == ("bf16", "command line")


def test_original_takes_minilm_s_steps() -> None:
    config = composed("train", "experiment=[original,minilm]", "model=offline/minilm")
    check(config)
    assert config.window.truncate and config.data.subtokens == "copied"
    options = decided("experiment=[original,minilm]", "model=offline/minilm", **BF16)
    assert options["max_epochs"] == ("16", "experiment")
    assert options["precision"] == ("32", "default")


def test_other_experiments_leave_data_and_precision_alone() -> None:
    for name in ("minilm", "quickstart"):
        config = composed("train", f"experiment={name}")
        assert config.data == composed("train").data
        assert config.window == composed("train").window
        assert decided(f"experiment={name}", **BF16)["precision"][0] == "bf16-mixed"


def test_ablation_has_minilm_s_settings_and_half_its_epochs() -> None:
    ablation, minilm = (composed("train", f"experiment={n}") for n in ("ablation", "minilm"))
    differing = {
        key for key in minilm.experiment if minilm.experiment[key] != ablation.experiment[key]
    }
    assert differing == {"name", "max_epochs"}
    assert 2 * ablation.experiment.max_epochs == minilm.experiment.max_epochs
    assert ablation.data.training.copies == "own"


def test_the_factors() -> None:
    assert choices("factor") == ARMS
    given = {}
    for arm in ARMS:
        config = composed("train", "experiment=ablation", f"factor={arm}")
        check(config)
        options = {
            "twins": config.data.training.copies == "test",
            "labels": config.data.training.annotation == "converted",
            "truncation": config.window.truncate,
            "subtokens": config.data.subtokens == "copied",
        }
        assert config.data.split.allow_leak == options["twins"]
        given[arm] = [name for name, is_given in options.items() if is_given]
    order = ["twins", "labels", "truncation", "subtokens"]
    assert given == {
        "clean": [], **{name: [name] for name in order},
        **{f"path{number}": order[:number] for number in (2, 3, 4)},
    }  # fmt: skip


@pytest.fixture(scope="module")
def ids_file(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    ids = sorted(path.stem for path in (corpora / "maccrobat2020").glob("*.ann"))
    path = tmp_path_factory.mktemp("ids") / "ids.txt"
    path.write_text("\n".join(ids[3:8]) + "\n")
    return path


def arm(name: str, corpora: Path, ids_file: Path) -> tuple[Parts, Parts, dict]:
    """The parts as split and as trained, and the data report."""
    config = composed(
        "train", "experiment=ablation", f"factor={name}", f"data.split.test_ids={ids_file}",
        f"corpora_dir={corpora}", "data.split.validation=4",
    )  # fmt: skip
    trained, split, report = read_and_split(config)
    by_id = {document.id: document for document in open_corpus(config.data, corpora).documents}
    parts = {part: [by_id[id] for id in ids] for part, ids in split.parts.items()}
    return parts, trained, report


@pytest.mark.parametrize("name", ARMS)
def test_all_arms_are_scored_on_the_same_documents_and_train_on_as_many(
    corpora: Path, ids_file: Path, name: str
) -> None:
    clean, _, _ = arm("clean", corpora, ids_file)
    parts, trained, _ = arm(name, corpora, ids_file)
    for part in ("validation", "test"):
        assert trained[part] == parts[part] == clean[part]  # with their full annotation
    assert len(trained["train"]) == 2 * len(clean["train"]) == 30
    assert len({document.id for document in trained["train"]}) == 30
    reports = {document.text for document in clean["train"]}
    assert reports <= {document.text for document in trained["train"]}  # none is lost


def texts(documents) -> list[str]:
    return sorted(document.text for document in documents)


def test_clean_trains_on_no_test_document_and_twins_on_all(corpora: Path, ids_file: Path) -> None:
    parts, clean, report = arm("clean", corpora, ids_file)
    assert texts(clean["train"]) == sorted(2 * texts(parts["train"]))
    assert not any(leak["twins"] for leak in report["split"]["leaks"])
    assert report["split"]["mentions"]["test"]["unseen"] > 0
    _, twins, report = arm("twins", corpora, ids_file)
    seen = [d for d in twins["train"] if d.text in set(texts(parts["test"]))]
    assert texts(seen) == texts(parts["test"])
    assert [d.id for d in seen] == [f"{d.id}#copy" for d in parts["test"]]
    assert {d.text for d in twins["validation"]}.isdisjoint(texts(twins["train"]))
    assert {(leak["part"], leak["source"]): leak["twins"] for leak in report["split"]["leaks"]} == {
        ("validation", "train"): {}, ("test", "validation"): {},
        ("test", "train"): {d.id: f"{d.id}#copy" for d in parts["test"]},
    }  # fmt: skip
    assert report["split"]["mentions"]["test"]["unseen"] == 0
    (line,) = training_lines(report["training_part"])
    assert line.startswith("training part: 30 documents (data.training.copies=test), ")


def test_lost_labels_are_lost_in_training_alone(corpora: Path, ids_file: Path) -> None:
    parts, trained, report = arm("labels", corpora, ids_file)
    by_text = {document.text: document for document in parts["train"]}
    before = sum(len(document.entities) for document in parts["train"])
    after = sum(len(document.entities) for document in trained["train"])
    assert 0 < after < 2 * before
    for document in trained["train"]:
        assert set(document.entities) <= set(by_text[document.text].entities)
    described = report["training_part"]
    assert described["entities"] == {"as_split": before, "trained": after}
    assert report["lost_to_conversion"] == {
        "train": 2 * before - after, "validation": 0, "test": 0,
    }  # fmt: skip
    assert training_lines(described) == [
        f"training part: 30 documents (data.training.copies=own), {after} entities "
        f"(data.training.annotation=converted); as split 15 and {before}"
    ]


def test_by_default_nothing_is_done_and_nothing_is_said(corpora: Path) -> None:
    config = composed("train", f"corpora_dir={corpora}")
    parts, _, report = read_and_split(config)
    assert as_trained(parts, config.data) == parts
    assert training_lines(report["training_part"]) == []


def test_copies_of_a_test_part_need_one(corpora: Path) -> None:
    config = composed(
        "train", f"corpora_dir={corpora}", "data.training.copies=test",
        "data.split.allow_leak=true", "data.split.test=0",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"copies of 0 test documents .* ask for a test part"):
        read_and_split(config)
