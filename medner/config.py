"""What makes a configuration right.

Imported before everything heavy, so that a wrong option is told within a second.
"""

import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medner.corpora import FORMATS, ON_ERROR
from medner.corpora.conversion import MACCROBAT, REBUILT
from medner.corpora.errata import ERRATA
from medner.errors import ConfigError
from medner.hydra_errors import either, explain
from medner.inputs import KINDS
from medner.resolution import resolve
from medner.schema import (
    EvaluateConfig,
    ExportConfig,
    HardwareConfig,
    PredictConfig,
    ReportConfig,
    TrainConfig,
)
from medner.split_options import PARTS, check_options

ACCELERATORS = ("auto", "cpu", "gpu")
PRECISIONS = (
    "16", "bf16", "32", "64", "16-mixed", "bf16-mixed",
    "16-true", "bf16-true", "32-true", "64-true",
)  # fmt: skip
INT8 = "int8"  # of prediction alone, on a CPU
NOT_ON_A_CARD = "trainer.precision=int8: on a CPU only; give trainer.accelerator=cpu"
# Names of what is defined where numpy is needed; tests hold them to it.
FLATTEN = ("longest_first", "most_kept")  # which of overlapping entities train
SUBTOKENS = ("bio", "copied")  # how the tokens of a word are tagged
CONFIDENCES = ("geometric_mean", "arithmetic_mean", "minimum", "product", "first")
OUTPUTS = ("brat", "jsonl", "parquet", "html")  # what predictions are written as
_CHOICES = {
    "data.format": sorted(FORMATS),
    "data.errata": [*sorted(ERRATA), None],
    "data.flatten": FLATTEN,
    "data.on_error": ON_ERROR,
    "data.subtokens": SUBTOKENS,
    "data.training.annotation": ["full", "converted"],
    "data.training.copies": ["none", "own", "test"],
    "eval_dataset.on_error": ON_ERROR,
    "eval_dataset.format": sorted(FORMATS),
    "eval_dataset.errata": [*sorted(ERRATA), None],
    "model.weights": ["pretrained", "random"],
    "confidence": CONFIDENCES,
    "input_format": [*KINDS, None],
    "format": [*OUTPUTS, None],
}
_POSITIVE = (
    "max_epochs", "learning_rate", "effective_batch", "device_batch", "devices", "nodes", "actors",
    "cpus",
)  # fmt: skip
_NOT_NEGATIVE = ("patience", "weight_decay", "gradient_clip", "save_minutes")
_PATHS = (
    "path",
    "rebuild_from",
    "run",
    "repeat",
    "ckpt_path",
    "hf_model",
    "predictions",
    "input",
    "output",
    "output_dir",
    "corpora_dir",
    "token_cache",
    "hub_mirror",
    "test_ids",
    "groups",
)
_ONNX = ("onnx", "onnxscript", "onnxruntime")
_SHARES = ("warmup", "dropout", "attention_dropout", "ema_decay")
NO_TENSORBOARD = (
    "logger=tensorboard: neither tensorboard nor tensorboardX is installed; "
    "pip install 'medner[tensorboard]'"
)


def check(config: DictConfig) -> None:
    """Hold a composed configuration to what its types cannot say.

    Raises:
        ConfigError: one line that names the option and what it takes.
    """
    _check_names(config)
    missing = sorted(OmegaConf.missing_keys(config))
    own = OmegaConf.select(config, "eval_dataset.own")
    missing = [key for key in missing if not (own and key.startswith("eval_dataset."))]
    if missing:
        raise ConfigError(f"{missing[0]} is not set; give {missing[0]}=...")
    for key, choices in _CHOICES.items():
        value = None if own and key.startswith("eval_dataset.") else OmegaConf.select(config, key)
        if value is not None and value not in choices:
            raise ConfigError(f"{key}={value}: takes {either(choices)}")
    for key, value in leaves(config):
        _check_value(key, value, training="data" in config)
    device = tuple(OmegaConf.select(config, f"trainer.{it}") for it in ("precision", "accelerator"))
    if device == (INT8, "gpu"):
        raise ConfigError(NOT_ON_A_CARD)
    if "data" in config:
        if own:
            raise ConfigError(
                "eval_dataset: the run's own validation and test documents are scored anyway; "
                "train.py takes another corpus"
            )
        _check_split(config)
        _check_protocol(config)
        _check_window(config.window)
        # no hardware has a say in whether the batches fit together: this can be told at once
        resolve(config.copy(), HardwareConfig(name="any"))
        _check_devices(config)
    elif "eval_dataset" in config:
        _check_system(config)
    elif "push" in config:
        _check_export(config)
    elif "min_confidence" in config:
        _check_prediction(config)
    elif not (isinstance(config.runs, str) and config.runs) and not isinstance(
        config.runs, ListConfig
    ):
        raise ConfigError(f"runs={config.runs}: takes folders, as in 'runs=[runs/A,runs/B]'")
    asked = OmegaConf.select(config, "logger.tensorboard") is not None
    if asked and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
        raise ConfigError(NO_TENSORBOARD)


def _check_system(config: DictConfig) -> None:
    """Who is to be evaluated, and on what."""
    given = _given_models(config)
    if config.predictions is not None and given != ["run"]:  # the run that made them
        given.append("predictions")
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} contradict each other; give one of them")
    if config.best_map:
        dataset = config.eval_dataset
        if dataset.own or "validation" not in dataset.parts or dataset.part == "validation":
            raise ConfigError(
                "best_map=true: the map is chosen on the validation part of a corpus with an "
                "official split (eval_dataset.parts), for its other parts"
            )
        if dataset.label_map is None:
            raise ConfigError("best_map=true: there is no label map to choose (label_map=null)")


def _check_export(config: DictConfig) -> None:
    if config.push is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", config.push, re.ASCII):
        raise ConfigError(f"push={config.push}: takes OWNER/NAME, as on the hub")
    if config.language is not None and not re.fullmatch("[a-z]{2,3}", config.language):
        raise ConfigError(f"language={config.language}: takes a code of ISO 639, as en")
    if config.onnx and (missing := [name for name in _ONNX if not find_spec(name)]):
        raise ConfigError(
            f"onnx=true: {', '.join(missing)} not installed; pip install 'medner[onnx]'"
        )


def _given_models(config: DictConfig) -> list[str]:
    return [name for name in ("run", "ckpt_path", "hf_model") if config[name] is not None]


def _check_prediction(config: DictConfig) -> None:
    """What is to be predicted, by whom, and where it goes."""
    given = _given_models(config)
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} contradict each other; give one of them")
    if not 0 <= config.min_confidence <= 1:
        raise ConfigError(f"min_confidence={config.min_confidence}: takes a number from 0 to 1")
    if config.output == "-" and config.format not in (None, "jsonl"):
        raise ConfigError(f"format={config.format}: to standard output goes jsonl; give a folder")
    engine = config.engine
    if engine.name == "ray":
        _check_ray(config)
    elif given := [name for name in ("actors", "cpus") if engine[name] is not None]:
        raise ConfigError(f"engine.{given[0]}={engine[given[0]]}: is an option of engine=ray")


def _check_ray(config: DictConfig) -> None:
    for name in ("input", "output"):
        if config[name] == "-":
            raise ConfigError(f"{name}=-: engine=ray reads files, and writes a folder")
    if config.format not in (None, "jsonl", "parquet"):
        raise ConfigError(f"format={config.format}: engine=ray takes jsonl or parquet")
    if config.engine.cpus is None:
        raise ConfigError("engine.cpus=null: takes a number above 0")
    if not find_spec("ray"):
        raise ConfigError("engine=ray: ray is not installed; pip install 'medner[ray]'")


def _check_names(config: DictConfig) -> None:
    """Hydra lets "+name=value" add any name; here every option is in the schema."""
    schemas = {
        "data": TrainConfig, "eval_dataset": EvaluateConfig, "push": ExportConfig,
        "min_confidence": PredictConfig,
        "runs": ReportConfig,
    }  # fmt: skip
    schema = OmegaConf.structured(next(schemas[key] for key in schemas if key in config))
    try:
        OmegaConf.merge(schema, OmegaConf.to_container(config))
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from None


def _check_value(key: str, value: Any, training: bool) -> None:
    name = key.rpartition(".")[2]
    if name in _PATHS and value == "":
        raise ConfigError(f"{key}= is empty; give a path, or {key}=null")
    if name in _POSITIVE and value <= 0:
        raise ConfigError(f"{key}={value}: takes a number above 0")
    if name in _NOT_NEGATIVE and value < 0:
        raise ConfigError(f"{key}={value}: takes a number of at least 0")
    if name == "seed" and not 0 <= value < 2**32:
        raise ConfigError(f"{key}={value}: takes a whole number from 0 to {2**32 - 1}")
    if name in _SHARES and not 0 <= value < 1:
        raise ConfigError(f"{key}={value}: takes a share from 0 to below 1")
    if name == "layer_decay" and not 0 < value <= 1:
        raise ConfigError(f"{key}={value}: takes a number above 0, up to 1")
    precisions = PRECISIONS if training else (*PRECISIONS, INT8)
    if name == "precision" and value not in precisions:
        raise ConfigError(f"{key}={value}: takes {either(precisions)}")
    if name == "accelerator" and value not in ACCELERATORS:
        raise ConfigError(f"{key}={value}: takes {either(ACCELERATORS)}")


def _check_split(config: DictConfig) -> None:
    split = config.data.split
    for part in config.data.parts:
        if part not in PARTS:
            raise ConfigError(f"data.parts.{part}: the parts are {either(PARTS)}")
    if split.official and not config.data.parts:
        raise ConfigError(
            f"data.split.official=true: {config.data.name} has no official split (data.parts)"
        )
    try:
        check_options(
            seed=split.seed,
            validation=split.validation,
            test=split.test or 0,
            folds=split.folds,
            fold=split.fold,
            test_ids=split.test_ids,
            official=split.official,
        )
    except ConfigError as error:
        raise ConfigError(f"data.split: {error}") from None


def _check_protocol(config: DictConfig) -> None:
    """What the original study did can be asked for where it makes sense alone."""
    data = config.data
    if data.rebuild_from is not None:
        if data.name != REBUILT:
            raise ConfigError(f"data.rebuild_from: what is rebuilt is data={REBUILT}")
        # a run remembers where its documents were found
        if data.path is not None and config.run is None and config.repeat is None:
            raise ConfigError("data.path and data.rebuild_from contradict each other; give one")
    if data.training.annotation == "converted" and (data.name, data.format) != (MACCROBAT, "brat"):
        raise ConfigError(
            f"data.training.annotation=converted: the hub's conversion is of data={MACCROBAT}, and "
            f"goes by the lines of its brat files; here is {data.name} as {data.format}"
        )
    if data.training.copies == "test" and not data.split.allow_leak:
        raise ConfigError(
            "data.training.copies=test trains on the test documents; if that is what you want to "
            "measure, say data.split.allow_leak=true"
        )


def _check_devices(config: DictConfig) -> None:
    """What several devices cannot do."""
    if config.trainer.devices * config.trainer.nodes == 1:
        return
    if config.hardware.auto_batch:
        raise ConfigError(
            "hardware.auto_batch=true: on several devices memory runs out on one, and the others "
            "wait for it; give trainer.device_batch=..."
        )
    if config.dry_run:
        raise ConfigError("dry_run=true looks at one device; give trainer.devices=1")


def _check_window(window: DictConfig) -> None:
    if window.length < 8:
        raise ConfigError(f"window.length={window.length}: takes at least 8 tokens")
    most = (window.length - 4) // 2  # two special tokens, and room for one of the window's own
    if not 0 <= window.context <= most:
        raise ConfigError(
            f"window.context={window.context}: takes 0 to {most} with window.length={window.length}"
        )


def leaves(config: DictConfig, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every option that is set, by its full name."""
    for key in config:
        if OmegaConf.is_missing(config, key):
            continue
        value = config[key]
        if isinstance(value, DictConfig):
            yield from leaves(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
