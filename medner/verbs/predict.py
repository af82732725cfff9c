"""Find the entities of texts with a trained model: ``python predict.py --help``."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner.analysis import read_calibrator
from medner.config import INT8
from medner.errors import ConfigError, IncompleteError
from medner.input_rows import Columns
from medner.inputs import STANDARD, Input, open_input
from medner.interruption import Interrupted
from medner.output_folder import FAILED, OutputFolder, State, open_folder
from medner.scoring.label_map import LabelMap
from medner.systems import device, find_model

log = logging.getLogger("predict")


def predict(config: DictConfig, _: Path) -> None:
    columns = Columns(config.text_column, config.id_column)
    source = open_input(config.input, config.input_format, columns)
    run, model = find_model(config)
    log.info("input: %s", source.note or source.path)
    log.info("model: %s", config.hf_model or model)
    if config.output == STANDARD:
        to_standard_output(config, source, run, model)
    else:
        to_folder(config, source, run, model)


def to_standard_output(config: DictConfig, source: Input, run: Path | None, model: Path) -> None:
    from medner.annotation import StandardOutput, annotate
    from medner.tagger import open_tagger

    output = StandardOutput()
    annotate(source, open_tagger(config, run, model), output)
    conclude(output.state, "written to standard output")


def to_folder(config: DictConfig, source: Input, run: Path | None, model: Path) -> None:
    folder = Path(config.output).expanduser()
    if folder.resolve().is_relative_to(Path(source.path).resolve()):
        raise ConfigError(f"output={folder}: lies in input={source.path}, and would be read there")
    with open_folder(folder, settings(config, source, run, model)) as output:
        if output.state.finished:
            output.complete()
            conclude(output.state, f"{folder} is finished already, nothing is left to do", folder)
            return
        write_to(output, config, source, run, model)
        conclude(output.state, f"written: {folder}", folder)


def write_to(
    output: OutputFolder, config: DictConfig, source: Input, run: Path | None, model: Path
) -> None:
    try:
        if config.engine.name == "ray":
            from medner.ray_engine import annotate_shards

            annotate_shards(config, source, run, model, output)
            return
        from medner.annotation import annotate
        from medner.tagger import open_tagger

        tagger = open_tagger(config, run, model)
        output.begin(tagger.types)
        if output.state.read:
            log.info("going on after %s", output.state)
        annotate(source, tagger, output)
        output.finish()
    except Interrupted as error:
        error.go_on = "the same command"
        raise


def settings(config: DictConfig, source: Input, run: Path | None, model: Path) -> dict[str, Any]:
    """All that has a say in what is written, but for what changes a confidence's last digits at
    most: device, threads and, but in int8, the device batch, which may be given anew."""
    weights = model if model.is_file() else max(model.iterdir(), key=lambda p: p.stat().st_mtime_ns)
    calibrator = read_calibrator(run) if run else None
    label_map = LabelMap.from_config(config.label_map) if config.label_map else None
    of_texts = "brat" if config.engine.name == "local" else "jsonl"
    own = device(config, run)
    return {
        "engine": config.engine.name,
        "input": source.path if source.path == STANDARD else str(Path(source.path).resolve()),
        "input_format": source.kind,
        "text_column": config.text_column,
        "id_column": config.id_column,
        "format": config.format or (of_texts if source.kind == "text" else "jsonl"),
        "model": str(model.resolve()),
        "model_saved": datetime.fromtimestamp(weights.stat().st_mtime, UTC).isoformat(),
        "calibration": calibrator.to_dict() if calibrator else None,
        "precision": own["precision"],
        # rounds what is in a batch together
        **({"device_batch": own["device_batch"]} if own["precision"] == INT8 else {}),
        "label_map": label_map.to_dict() if label_map else None,
        "min_confidence": config.min_confidence,
    }


def conclude(state: State, said: str, folder: Path | None = None) -> None:
    """The last line, and whether all is well."""
    log.info("%s (%s)", said, state)
    if state.failed:
        where = f"why is in {folder / FAILED}" if folder else "why is said above"
        raise IncompleteError(f"{state.failed} of {state.read} documents failed; {where}")
