"""Who predicts: a checkpoint of a run, a published one, or any system that left its predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner.config import INT8
from medner.documents import Document
from medner.predictions import Prediction
from medner.pretrained import locate
from medner.runs import BEST, find_checkpoint, label, load_config
from medner.schema import EvaluationOptions
from medner.scoring.temperature import Calibrator
from medner.system_output import read_output


@dataclass(frozen=True)
class System:
    """What an evaluation has to know of who predicts.

    ``types`` are those that it knows or, where not ``complete``, those that it predicted.
    ``folder`` takes its evaluations; ``source`` is the file or folder that it comes from, and
    ``run`` the folder of the training behind it, if there is one; ``details`` are for metrics.json.
    ``calibrator`` is what it says itself of its confidences; a run's are in its folder.
    ``predict`` takes documents and gives their predictions,
    in the system's types and the documents' order.
    """

    label: str
    types: tuple[str, ...]
    folder: Path
    source: Path
    predict: Callable[[Sequence[Document]], list[Prediction]]
    complete: bool = True
    run: Path | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    calibrator: Calibrator | None = None


def find_model(config: DictConfig) -> tuple[Path | None, Path]:
    """The folder of the run that a verb asks for, if there is one, and the checkpoint, or the
    folder of the published model.

    Args:
        config: with ``run``, ``ckpt_path``, ``hf_model``, ``output_dir`` and ``hub_mirror``.

    Raises:
        UserError: if there is none.
    """
    if config.hf_model:
        return None, locate(config.hf_model, hub_mirror=config.hub_mirror)
    return find_checkpoint(config)


def load_model(config: DictConfig, run: Path | None, source: Path) -> System:
    """What ``find_model`` has found. Raises as of ``from_checkpoint`` and ``from_hub``."""
    if config.hf_model:
        folder = Path(config.output_dir, "published")
        return from_hub(config.hf_model, source, folder, **device(config, None))
    return from_checkpoint(source, run, **device(config, run))


def device(config: DictConfig, run: Path | None) -> dict[str, Any]:
    """What to predict with: what a verb's options say, or what the run was trained with."""
    own = load_config(run).trainer if run else EvaluationOptions(precision="32", device_batch=8)
    return {
        "precision": config.trainer.precision or own.precision,
        "device_batch": config.trainer.device_batch or own.device_batch,
        "accelerator": config.trainer.accelerator,
    }


def from_output(
    path: Path, parts: Mapping[str, Sequence[Document]], run: Path | None, allow_missing: bool
) -> tuple[System, list[str]]:
    """A system by its predictions, and what should be known of their reading.

    Args:
        parts: all documents that it will be asked for, by the names of their sets.
        run: the folder of the run that made them, if there is one.

    Raises:
        DataError, UserError: as of ``read_output``.
    """
    by_id: dict[str, Prediction] = {}
    all_notes: list[str] = []
    asked_for = {document.id for documents in parts.values() for document in documents}
    for name, documents in parts.items():
        found, notes = read_output(path, name, documents, asked_for, allow_missing)
        by_id |= {prediction.document: prediction for prediction in found}
        all_notes += notes
    types = {span.type for prediction in by_id.values() for span in prediction.spans}
    own_folder = path.resolve().parent / "evaluations" / path.resolve().name
    system = System(
        label=label(load_config(run)) if run else str(path),
        types=tuple(sorted(types)),
        folder=run / "evaluations" if run else own_folder,
        source=path,
        predict=lambda documents: [by_id[document.id] for document in documents],
        complete=False,
        run=run,
        details={"predictions": str(path.resolve()), "by_run": run is not None},
    )
    return system, list(dict.fromkeys(all_notes))


def from_checkpoint(
    checkpoint: Path, run: Path | None, *, precision: str, device_batch: int, accelerator: str
) -> System:
    """The model of a checkpoint.

    Raises:
        ConfigError: if a card is asked for that is not there; UserError: if it is no checkpoint.
    """
    from medner.hardware import check_card  # imports torch
    from medner.module import NerModule

    check_card(accelerator, f"trainer.accelerator={accelerator}")
    module = NerModule.load(checkpoint)
    name = label(load_config(run)) if run and checkpoint.name == BEST.name else str(checkpoint)
    return System(
        label=f"{name} {INT8}" if precision == INT8 else name,
        types=module.labels.types,
        folder=(run or checkpoint.parent) / "evaluations",
        source=checkpoint,
        predict=_predictor(module, precision, device_batch, accelerator),
        run=run,
        details={"checkpoint": str(checkpoint), "precision": precision},
    )


def from_hub(
    name: str, source: Path, folder: Path, *, precision: str, device_batch: int, accelerator: str
) -> System:
    """A token classifier that others have published, or that was exported from a run.

    Args:
        name: as on the hub, or of its folder.
        source: the folder that holds it.
        folder: takes a folder of that name, for its evaluations.

    Raises:
        ConfigError: if a card is asked for that is not there; UserError: if it is none.
    """
    from medner.exported import read_tagger
    from medner.hardware import check_card

    check_card(accelerator, f"trainer.accelerator={accelerator}")
    module = read_tagger(source)
    return System(
        label=f"{name} {INT8}" if precision == INT8 else name,
        types=module.labels.types,
        folder=folder / name.strip("/").replace("/", "_") / "evaluations",
        source=source,
        predict=_predictor(module, precision, device_batch, accelerator),
        details={"hf_model": name, "precision": precision},
        calibrator=getattr(module, "calibrator", None),
    )


def _predictor(
    module: Any, precision: str, device_batch: int, accelerator: str
) -> Callable[[Sequence[Document]], list[Prediction]]:
    from medner.inference import Predictor

    return Predictor(module, precision, accelerator, device_batch)
