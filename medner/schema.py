"""Every option of a run, its type, and what it is for.

Defaults that a group in ``conf/`` sets are ``"???"`` or None here.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import ListConfig, OmegaConf

PROJECT = Path(__file__).resolve().parent.parent


@dataclass
class ReleaseFileConfig:
    name: str = "???"
    urls: list[str] = field(default_factory=list)  # in the order of asking
    md5: str | None = None  # as published
    md5_from: str | None = None  # figshare's article, whose API tells it


@dataclass
class ReleaseConfig:
    """Where a published corpus is to be had, and what it must hold."""

    folder: str = "???"  # below corpora_dir
    files: list[ReleaseFileConfig] = field(default_factory=list)
    hub: str | None = None  # owner/name of a dataset, asked last
    documents: int | None = None
    entities: int | None = None
    fingerprint: str | None = None


@dataclass
class CorpusConfig:
    name: str = "???"
    format: str = "???"  # one of FORMATS
    path: str | None = None  # folder, file or zip; null: the release
    release: ReleaseConfig | None = None
    parts: dict[str, str] = field(default_factory=dict)  # official split: part -> file name pattern
    errata: str | None = None  # one of ERRATA
    types: dict[str, str] = field(default_factory=dict)  # the corpus's types -> those to be used
    on_error: str = "raise"  # or skip: leave out documents with something wrong, and report them
    homepage: str | None = None  # where the release is to be had


@dataclass
class SplitConfig:
    seed: int = 0
    validation: float = 0.1  # a share, or a number of documents
    test: float | None = None  # likewise; null: a tenth, unless another option says what it is
    folds: int | None = None  # cross-validation: `fold` (from 1) of `folds` is the test part
    fold: int | None = None
    test_ids: str | None = None  # file: ids of the test part, one a line
    groups: str | None = None  # file: `document,group`, such as patients
    official: bool | None = None  # the corpus's own split: taken where there is one, unless false
    grouped: bool = True  # twins (near-duplicates, one group) on one side; false: each for itself
    known_twins: list[list[str]] = field(default_factory=list)  # pairs of ids that may be divided
    allow_leak: bool = False  # train on twins of what is scored; page, tables and card say so


@dataclass
class TrainingPartConfig:
    """What is done to the training part alone, to measure what it is worth."""

    annotation: str = "full"  # or converted: what the hub's conversion keeps, in file order
    copies: str = "none"  # or own: every document twice; or test: test documents among the second


@dataclass
class DataConfig(CorpusConfig):
    rebuild_from: str | None = None  # MACCROBAT2020 in brat: make the hub's documents from it
    flatten: str = "longest_first"  # one of FLATTEN: which of overlapping entities train
    subtokens: str = "bio"  # one of SUBTOKENS; copied: a word's first tag on all its tokens, B too
    split: SplitConfig = field(default_factory=SplitConfig)
    training: TrainingPartConfig = field(default_factory=TrainingPartConfig)


@dataclass
class LabelMapConfig:
    name: str = "???"
    types: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    join_preceding: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class EvalDatasetConfig(CorpusConfig):
    part: str | None = None  # of the official split; null: all documents
    own: bool = False  # the run's own corpus and split, instead of one given here
    label_map: LabelMapConfig | None = None  # null: the model's types are the corpus's


@dataclass
class ModelConfig:
    name: str = "???"  # owner/name as on the hub, or a folder
    label: str = "???"  # what runs and tables call it
    package: str | None = None  # Python package that ships it, in its folder `model`
    weights: str = "pretrained"  # or random: built from the configuration alone
    dropout: float | None = None  # of hidden states; null: the encoder's own
    attention_dropout: float | None = None  # likewise
    precision: str | None = None  # from here on: what the model proposes
    effective_batch: int | None = None
    device_batch: int | None = None
    learning_rate: float | None = None


@dataclass
class WindowConfig:
    length: int = 512  # tokens, special ones counted
    context: int = 64  # tokens of context, at least, on both sides of every token but at the ends
    truncate: bool = False  # a document's first window alone is read; nothing is found behind it


@dataclass
class TrainingOptions:
    max_epochs: int | None = None
    patience: int | None = None  # epochs without a better validation F1 before training stops
    learning_rate: float | None = None
    warmup: float | None = None  # share of all steps
    weight_decay: float | None = None
    layer_decay: float | None = None  # each layer's learning rate, of that of the layer above it
    gradient_clip: float | None = None  # norm; 0 for none
    ema_decay: float | None = None  # a step's, of a moving average of the weights; 0 for none
    effective_batch: int | None = None  # windows an optimiser step: a part of the protocol
    device_batch: int | None = None  # windows a device holds at once; null: all of them
    precision: str | None = None  # one of PRECISIONS


@dataclass
class TrainerConfig(TrainingOptions):
    accelerator: str | None = None  # one of ACCELERATORS; null: the hardware's
    devices: int = 1  # of a node, with a process each; several share each effective batch
    nodes: int = 1
    save_minutes: float = 10.0  # between two saves within an epoch; each epoch's end is saved too
    default: TrainingOptions = field(default_factory=TrainingOptions)


@dataclass
class HardwareConfig:
    """May change what a device can hold or compute with, never the protocol."""

    name: str = "???"
    accelerator: str | None = None  # null: a card where there is one
    precision: str | None = None
    device_batch: int | None = None
    auto_batch: bool = False  # halve the device batch and go on where memory runs out


@dataclass
class ExperimentConfig(TrainingOptions):
    name: str = "???"
    own_precision: bool = False  # the model's or the default, whatever the hardware proposes


@dataclass
class CsvConfig:
    """``metrics.csv`` in the run's folder."""


@dataclass
class TensorBoardConfig:
    """Event files in ``tensorboard`` in the run's folder."""


@dataclass
class WandbConfig:
    project: str = "medner"
    entity: str | None = None  # W&B team; null: the account's own
    offline: bool | None = None  # null: where there is no account
    log_text: bool = False  # send texts and mentions along with the predictions


@dataclass
class LoggerConfig:
    """The trackers that are chosen; null are the others."""

    csv: CsvConfig | None = None
    tensorboard: TensorBoardConfig | None = None
    wandb: WandbConfig | None = None


@dataclass
class TrainConfig:
    run: str | None = None  # folder of a run: go on with it, where it stopped
    repeat: str | None = None  # folder of a run: train it anew, in a new folder, and compare
    seed: int = 0
    output_dir: str = "runs"
    corpora_dir: str = "corpora"
    # where tokens of large corpora are kept, as private as these; null: nowhere
    token_cache: str | None = "${output_dir}/.cache/tokens"
    hub_mirror: str | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    experiment: ExperimentConfig | None = None
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    eval_dataset: EvalDatasetConfig | None = None  # scored on when training is done
    confidence: str = "geometric_mean"  # one of CONFIDENCES: of a span, from its tokens'
    dry_run: bool = False  # print the data report and an estimate of time, and stop


@dataclass
class EvaluationOptions:
    accelerator: str = "auto"  # one of ACCELERATORS
    precision: str | None = None  # one of PRECISIONS, or INT8; null: the run's
    device_batch: int | None = None  # null: the run's


@dataclass
class EvaluateConfig:
    run: str | None = None  # folder of a run; null: the newest below output_dir
    ckpt_path: str | None = None  # a checkpoint, instead of a run
    hf_model: str | None = None  # a published token classifier: owner/name, or a folder
    predictions: str | None = None  # of any system: a file, folder or zip; no model is loaded
    allow_missing: bool = False  # documents that are not in predictions were predicted empty
    text: bool = True  # report.html holds the documents' texts; false: it can be shared
    rulers: bool = False  # print what other ways of scoring make of the same predictions
    best_map: bool = False  # take the label map that scores best on the validation part
    confidence: str | None = None  # one of CONFIDENCES; null: the run's
    output_dir: str = "runs"
    corpora_dir: str = "corpora"
    hub_mirror: str | None = None
    eval_dataset: EvalDatasetConfig = field(default_factory=EvalDatasetConfig)
    trainer: EvaluationOptions = field(default_factory=EvaluationOptions)
    logger: LoggerConfig | None = None  # null: the run's trackers; with predictions none


@dataclass
class EngineConfig:
    name: str = "local"  # or ray
    actors: int | None = None  # of Ray, at most; null: as many as the cluster has room for
    cpus: int | None = None  # threads of an actor of Ray; without a card it takes as many cores


@dataclass
class PredictConfig:
    input: str = "???"  # a folder, a file, or - for standard input
    output: str = "???"  # the folder to write, or - for standard output
    run: str | None = None  # folder of a run; null: the newest below output_dir
    ckpt_path: str | None = None  # a checkpoint, instead of a run
    hf_model: str | None = None  # a published or exported token classifier: owner/name, or a folder
    input_format: str | None = None  # text, jsonl, csv or parquet; null: by the files' names
    text_column: str = "text"
    id_column: str | None = None  # null: id, or the number of the row where there is none
    format: str | None = None  # brat, jsonl, parquet or html; null: brat for texts, else jsonl
    min_confidence: float = 0.0  # spans that are less sure are left out
    label_map: LabelMapConfig | None = None  # null: the model's own types
    engine: EngineConfig = field(default_factory=EngineConfig)
    output_dir: str = "runs"
    hub_mirror: str | None = None
    trainer: EvaluationOptions = field(default_factory=EvaluationOptions)


@dataclass
class ReportConfig:
    runs: Any = "latest"  # folders of runs, sweeps or other systems' evaluations; or the latest
    baseline: str | None = None  # the system that differences are to: its name or words of it
    output: str = "${output_dir}/${run_id:}_report"  # the folder that gets report.html and the rest
    output_dir: str = "runs"


@dataclass
class ExportConfig:
    run: str | None = None  # folder of a run; null: the newest below output_dir
    output: str | None = None  # the folder to write; null: export in the run's
    overwrite: bool = False  # an earlier export there is replaced
    onnx: bool = False  # write onnx/model.onnx too; needs medner[onnx]
    language: str | None = None  # of the texts, as en; null: known of the corpora that ship only
    push: str | None = None  # owner/name: upload it to this repository on the hub
    private: bool = True  # what is uploaded is seen by its owner alone
    output_dir: str = "runs"
    corpora_dir: str = "corpora"


def register() -> None:
    """Make the schemas and the resolvers known, for the files in conf/."""
    OmegaConf.register_new_resolver("project_dir", lambda: str(PROJECT), replace=True)
    OmegaConf.register_new_resolver("study_id", _study_id, replace=True)
    OmegaConf.register_new_resolver("run_id", _run_id, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="predict_schema", node=PredictConfig)
    store.store(name="report_schema", node=ReportConfig)
    store.store(name="export_schema", node=ExportConfig)


def _run_id() -> str:
    """A name by time that two runs started at once do not share."""
    return f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"


def _study_id(overrides: ListConfig) -> str:
    """Short and the same for the same options in any order: others make another study. Where it
    runs and where it is kept is no part of that."""
    free = ("launcher=", "output_dir=")
    words = sorted(word for word in overrides if not word.startswith(free))
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]


def _run_folder(run: str | None, repeat: str | None, new: str, label: str) -> str:
    """That of the run to go on with, or a new one; what is repeated is known only later."""
    return run or new + ("_repeated" if repeat else label)
