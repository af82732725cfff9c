"""What may leave this machine: names and numbers, but no text, no document id and no path."""

import hashlib
import json
import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from medner.documents import Document
from medner.files import read_json, written_whole
from medner.runs import DATA_REPORT, SPLIT
from medner.schema import PROJECT

# The options in words that are shared; all others stay here, for they could hold a path. Numbers
# and switches cannot. A test holds that every option of the schema is one or the other.
WORDS = frozenset(
    {
        "data.name", "data.format", "data.errata", "data.on_error", "data.flatten",
        "data.subtokens", "data.training.annotation", "data.training.copies",
        "eval_dataset.name", "eval_dataset.format", "eval_dataset.errata", "eval_dataset.on_error",
        "eval_dataset.part", "eval_dataset.label_map.name",
        "model.label", "model.package", "model.weights", "model.precision",
        "trainer.accelerator", "trainer.precision", "trainer.default.precision",
        "hardware.name", "hardware.accelerator", "hardware.precision",
        "experiment.name", "experiment.precision", "confidence",
    }
)  # fmt: skip
# what these hold are entity types, as in the tables
TYPES = frozenset(
    {
        "data.types", "eval_dataset.types", "eval_dataset.label_map.types",
        "eval_dataset.label_map.left_out", "eval_dataset.label_map.join_preceding",
    }
)  # fmt: skip
MODEL_NAMES = {"model.name", "hf_model"}  # shared as long as they are names on the hub
_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+", re.ASCII)


def shareable_options(config: DictConfig) -> dict[str, Any]:
    """The resolved options without those that hold paths, or could."""
    return _shareable(OmegaConf.to_container(config, resolve=True), "")


def _shareable(options: Mapping[str, Any], group: str) -> dict[str, Any]:
    shared = {}
    for name, value in options.items():
        key = f"{group}{name}"
        if key in MODEL_NAMES and value is not None:
            local = Path(value).exists() or not _HUB_NAME.fullmatch(value)
            shared[name] = "a local folder" if local else value
        elif isinstance(value, dict) and key not in TYPES:
            if inner := _shareable(value, f"{key}."):
                shared[name] = inner
        elif isinstance(value, int | float) or (key in WORDS | TYPES and value != MISSING):
            shared[name] = value
    return shared


def code_version() -> dict[str, Any]:
    """Version of the program; of a git checkout, its commit and whether its files are changed."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = {"version": project["version"]}
    if (PROJECT / ".git").exists():  # not that of a folder above, which is another project's
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
        if commit is not None and changes is not None:
            version |= {"commit": commit, "modified": bool(changes)}
    return version


def _git(*command: str) -> str | None:
    """What git says, or None if it cannot."""
    try:
        done = subprocess.run(
            ["git", "-C", str(PROJECT), *command], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def fingerprints(run: Path) -> dict[str, str]:
    """Digests of the run's documents, as the data report has it, and of its split."""
    return {"data": read_json(run / DATA_REPORT)["fingerprint"], "split": file_digest(run / SPLIT)}


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def document_digest(document: Document) -> str:
    """A name for a document that only those who have its text can tell."""
    whole = json.dumps([document.id, document.text])  # ASCII, whatever the text holds
    return hashlib.sha256(whole.encode()).hexdigest()


def write_shareable_predictions(
    path: Path, predictions: Path, documents: Iterable[Document], with_text: bool
) -> None:
    """Write ``predictions.jsonl`` again without what it tells of the documents.

    Left are each span's offsets, type and confidence, and :func:`document_digest` for an id. The
    tokens are left out, for the lengths of its words tell much of a text.

    Args:
        with_text: keep the mentions, and add each document's text.
    """
    by_id = {document.id: document for document in documents}
    with predictions.open(encoding="utf-8") as lines, written_whole(path) as file:
        for record in map(json.loads, lines):
            document = by_id[record["document"]]
            kept = {"start", "end", "fragments", "type", "confidence"}
            kept |= {"text"} if with_text else set()
            shared = {"document": document_digest(document)}
            if with_text:
                shared["text"] = document.text
            shared["spans"] = [
                {name: value for name, value in span.items() if name in kept}
                for span in record["spans"]
            ]
            file.write(json.dumps(shared, ensure_ascii=False, separators=(",", ":")) + "\n")
