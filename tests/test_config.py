"""Options: every shipped file composes, the checks speak in one line, one precedence decides."""

from pathlib import Path

import pytest
from conftest import MODELS
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medner import config, labels
from medner.config import check
from medner.errors import ConfigError
from medner.hydra_errors import explain
from medner.parts import uses_official_split
from medner.resolution import resolve
from medner.schema import HardwareConfig, register
from medner.scoring import confidence

CONF = Path(__file__).resolve().parent.parent / "conf"
FIVE = list(MODELS)
CARD = {"name": "a card", "accelerator": "gpu", "precision": None, "device_batch": None}
PROFILES = ["a100", "auto", "cpu", "h100", "h200", "t4", "v100"]


def composed(verb: str, *overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(verb, overrides=list(overrides))


def complaint(verb: str, *overrides: str) -> str:
    """The line that a user would see."""
    try:
        check(composed(verb, *overrides))
    except ConfigError as error:
        line = str(error)
    except (HydraException, OmegaConfBaseException) as error:
        line = explain(error)
    assert "\n" not in line
    return line


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def test_the_models_are_the_five_and_nothing_else() -> None:
    assert choices("model") == FIVE
    assert {name: composed("train", f"model={name}").model.name for name in FIVE} == MODELS


@pytest.mark.parametrize(
    "override",
    [
        *(f"model={name}" for name in [*FIVE, "offline/minilm"]),
        *(f"{group}={name}"
          for group in ("data", "trainer", "hardware", "logger", "experiment", "factor")
          for name in choices(group)),
    ],
)  # fmt: skip
def test_every_training_option_composes(override: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medner.config.find_spec", bool)  # as if every package were installed
    config = composed("train", override)
    check(config)
    resolve(config, HardwareConfig(**CARD))
    unresolved = [option for option, value in config.trainer.items() if value is None]
    assert unresolved == []


@pytest.mark.parametrize("name", choices("eval_dataset"))
def test_every_evaluation_composes(name: str) -> None:
    check(composed("evaluate", f"eval_dataset={name}"))


@pytest.mark.parametrize("name", choices("eval_dataset/label_map"))
def test_every_label_map_composes(name: str) -> None:
    config = composed("evaluate", "eval_dataset=ncbi", f"eval_dataset/label_map={name}")
    check(config)
    assert config.eval_dataset.label_map.name == name


@pytest.mark.parametrize("name", choices("eval_dataset/label_map"))
def test_every_label_map_of_an_evaluation_is_one_of_a_prediction(name: str) -> None:
    config = composed("predict", "input=notes", "output=out", f"label_map={name}")
    check(config)
    assert (
        config.label_map
        == composed(
            "evaluate", "eval_dataset=ncbi", f"eval_dataset/label_map={name}"
        ).eval_dataset.label_map
    )


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model=modernbrt"],
         "model=modernbrt: model takes biobert, bioformer, biomedbert, distilbert or modernbert"),
        (["trainer.precison=16"],
         "trainer.precison: there is no such option; did you mean precision?"),
        (["+trainer.max_epoch=1"],
         "trainer.max_epoch: there is no such option; did you mean max_epochs?"),
        (["seed=-1"], "seed=-1: takes a whole number from 0 to 4294967295"),
        (["sede=1"], "sede: there is no such option; did you mean seed?"),
        (["trainer.max_epochs=many"],
         "trainer.max_epochs: Value 'many' of type 'str' could not be converted to Integer"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0: takes a number above 0"),
        (["trainer.learning_rate=-1"], "trainer.learning_rate=-1.0: takes a number above 0"),
        (["trainer.warmup=1.5"], "trainer.warmup=1.5: takes a share from 0 to below 1"),
        (["model.attention_dropout=1"],
         "model.attention_dropout=1.0: takes a share from 0 to below 1"),
        (["trainer.precision=8"],
         "trainer.precision=8: takes 16, bf16, 32, 64, 16-mixed, bf16-mixed, 16-true, bf16-true, "
         "32-true or 64-true"),
        (["trainer.accelerator=tpu"], "trainer.accelerator=tpu: takes auto, cpu or gpu"),
        (["hardware.accelerator=tpu"], "hardware.accelerator=tpu: takes auto, cpu or gpu"),
        (["model.weights=none"], "model.weights=none: takes pretrained or random"),
        (["data.flatten=all"], "data.flatten=all: takes longest_first or most_kept"),
        (["data.subtokens=all"], "data.subtokens=all: takes bio or copied"),
        (["data.rebuild_from=x"],
         "data.rebuild_from: what is rebuilt is data=maccrobat_2018_2020"),
        (["data=maccrobat_2018_2020", "data.rebuild_from=x", "data.path=y"],
         "data.path and data.rebuild_from contradict each other; give one"),
        (["data=ncbi", "data.training.annotation=converted"],
         "data.training.annotation=converted: the hub's conversion is of data=maccrobat, and goes "
         "by the lines of its brat files; here is ncbi as pubtator"),
        (["data=brat", "data.path=x", "data.training.annotation=converted"],
         "data.training.annotation=converted: the hub's conversion is of data=maccrobat, and goes "
         "by the lines of its brat files; here is brat as brat"),
        (["data.training.copies=test"],
         "data.training.copies=test trains on the test documents; if that is what you want to "
         "measure, say data.split.allow_leak=true"),
        (["data.format=bart"],
         "data.format=bart: takes bigbio, brat, conll, jsonl, pubtator or tokens"),
        (["window.context=300"], "window.context=300: takes 0 to 254 with window.length=512"),
        (["window.length=1"], "window.length=1: takes at least 8 tokens"),
        (["data.split.folds=5"],
         "data.split: fold=None of folds=5: give a fold from 1 to 5"),
        (["data.split.folds=5", "data.split.fold=2", "data.split.test=9"],
         "data.split: folds and test contradict each other: each says what the test part is; "
         "give one of them"),
        (["data.split.official=true"],
         "data.split.official=true: maccrobat has no official split (data.parts)"),
        (["data=ncbi", "data.split.official=true", "data.split.test=9"],
         "data.split: test and official contradict each other: each says what the test part is; "
         "give one of them"),
    ],
)  # fmt: skip
def test_a_wrong_training_option_is_told_in_one_line(overrides: list[str], line: str) -> None:
    assert complaint("train", *overrides) == line


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["eval_dataset=nbci"],
             "eval_dataset=nbci: eval_dataset takes bc5cdr, bigbio, brat, conll, demo, jsonl, "
             "maccrobat, ncbi, pubtator, test, tokens or val"),
        (["eval_dataset=ncbi", "eval_dataset.label_map=disease_joined"],
         "eval_dataset.label_map: a group of options; choose one by eval_dataset/label_map=NAME"),
        (["eval_dataset=ncbi", "run=a", "ckpt_path=b"],
         "run and ckpt_path contradict each other; give one of them"),
    ],
)  # fmt: skip
def test_a_wrong_evaluation_option_is_told_in_one_line(overrides: list[str], line: str) -> None:
    assert complaint("evaluate", *overrides) == line


def decided(*overrides: str, **hardware: object) -> dict[str, tuple[str, str]]:
    """Option to its value and who decided, as the log says it."""
    config = composed("train", *overrides)
    lines = resolve(config, HardwareConfig(**CARD | hardware))
    parsed = {}
    for line in lines:
        setting, _, who = line.partition("  (")
        option, _, value = setting.removeprefix("trainer.").partition("=")
        parsed[option] = (value, who.removesuffix(")"))
        assert str(config.trainer[option]) == value
    return parsed


def test_the_defaults_are_the_original_study() -> None:
    settings = decided("model=biobert")
    assert settings["max_epochs"] == ("70", "default")
    assert settings["learning_rate"] == ("2e-05", "default")
    assert settings["effective_batch"] == ("8", "default")
    assert settings["precision"] == ("32", "default")
    modernbert = decided("model=modernbert")
    assert modernbert["precision"] == ("16", "model modernbert")
    assert modernbert["effective_batch"] == ("4", "model modernbert")
    assert modernbert["device_batch"] == ("4", "the effective batch")


def test_each_proposer_goes_before_the_next() -> None:
    overrides: list[str] = ["model=modernbert"]
    assert decided(*overrides)["precision"] == ("16", "model modernbert")
    card = {"precision": "bf16-mixed"}
    assert decided(*overrides, **card)["precision"] == ("bf16-mixed", "hardware a card")
    overrides += ["experiment=minilm", "experiment.precision=64"]
    assert decided(*overrides, **card)["precision"] == ("64", "experiment")
    overrides += ["trainer.precision=32"]
    assert decided(*overrides, **card)["precision"] == ("32", "command line")


def test_a_card_that_proposes_nothing_keeps_the_models_half_precision() -> None:
    assert decided("model=modernbert", device_batch=64)["precision"] == ("16", "model modernbert")


def test_zero_is_a_value() -> None:
    assert decided("trainer.gradient_clip=0")["gradient_clip"] == ("0.0", "command line")


@pytest.mark.parametrize(("held", "becomes"), [(64, "8"), (8, "8"), (5, "4"), (3, "2"), (1, "1")])
def test_the_device_batch_never_changes_the_effective_batch(held: int, becomes: str) -> None:
    settings = decided(device_batch=held)
    assert settings["device_batch"][0] == becomes
    assert settings["effective_batch"] == ("8", "default")


def test_a_device_batch_asked_for_must_divide() -> None:
    with pytest.raises(ConfigError, match=r"trainer.device_batch=3: takes a divisor .*batch=8"):
        decided("trainer.device_batch=3")


def test_hardware_cannot_touch_the_protocol() -> None:
    assert set(HardwareConfig.__dataclass_fields__) == {
        "name", "accelerator", "precision", "device_batch", "auto_batch",
    }  # fmt: skip


def pinned(profile: str, *overrides: str) -> dict[str, tuple[str, str]]:
    """As ``decided``, on the hardware of a profile."""
    hardware = composed("train", f"hardware={profile}").hardware
    return decided(f"hardware={profile}", *overrides, **hardware)


def test_the_profiles() -> None:
    assert choices("hardware") == PROFILES


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "auto"])
@pytest.mark.parametrize("model", FIVE)
def test_a_profile_changes_precision_and_device_batch_alone(model: str, profile: str) -> None:
    hardware = composed("train", f"hardware={profile}").hardware
    plain, settings = decided(f"model={model}"), pinned(profile, f"model={model}")
    own = {"accelerator", "precision", "device_batch"}
    assert {option: settings[option] for option in settings if option not in own} == {
        option: plain[option] for option in plain if option not in own
    }
    window = composed("train", f"model={model}", f"hardware={profile}").window
    assert window == composed("train", f"model={model}").window
    assert settings["accelerator"] == (hardware.accelerator, f"hardware {profile}")
    if hardware.precision:
        assert settings["precision"] == (hardware.precision, f"hardware {profile}")
    else:
        assert settings["precision"] == plain["precision"]
    effective, device = int(settings["effective_batch"][0]), int(settings["device_batch"][0])
    assert effective == (4 if model == "modernbert" else 8)
    assert effective % device == 0
    assert device <= (hardware.device_batch or effective)


@pytest.mark.parametrize(("profile", "precision"), [("t4", "16-mixed"), ("a100", "bf16-mixed")])
def test_the_command_line_goes_before_experiment_hardware_and_model(
    profile: str, precision: str
) -> None:
    overrides = ["model=modernbert", "model.device_batch=1"]
    assert decided(*overrides)["precision"] == ("16", "model modernbert")
    assert decided(*overrides)["device_batch"] == ("1", "model modernbert")
    settings = pinned(profile, *overrides)
    assert settings["precision"] == (precision, f"hardware {profile}")
    assert settings["device_batch"][0] == "4"
    overrides += ["experiment=minilm", "experiment.precision=64", "experiment.device_batch=2"]
    settings = pinned(profile, *overrides)
    assert settings["precision"] == ("64", "experiment")
    assert settings["device_batch"] == ("2", "experiment")
    given = ("trainer.precision=16", "trainer.device_batch=1", "trainer.accelerator=cpu")
    settings = pinned(profile, *overrides, *given)
    assert settings["precision"] == ("16", "command line")
    assert settings["device_batch"] == ("1", "command line")
    assert settings["accelerator"] == ("cpu", "command line")


def test_when_the_official_split_is_used() -> None:
    assert not uses_official_split(composed("train", "data=maccrobat"))
    assert uses_official_split(composed("train", "data=ncbi"))
    assert not uses_official_split(composed("train", "data=ncbi", "data.split.test=50"))
    assert not uses_official_split(composed("train", "data=ncbi", "data.split.official=false"))


def test_nothing_is_left_open_in_a_saved_configuration() -> None:
    config = composed("train")
    text = OmegaConf.to_yaml(config, resolve=True)
    assert "${" not in text and "???" not in text


def test_an_option_takes_what_is_there() -> None:
    assert tuple(labels.FLATTEN) == config.FLATTEN
    assert labels.SUBTOKENS == config.SUBTOKENS
    assert tuple(confidence.CONFIDENCES) == config.CONFIDENCES
