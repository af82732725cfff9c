"""A run's own options and documents: to go on with it, to train it anew, to score it at home."""

import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medner.corpora import Corpus
from medner.data_report import fingerprint
from medner.documents import Document
from medner.errors import ConfigError, UserError
from medner.runs import DATA_REPORT, LAST, SPLIT, load_config
from medner.sources import open_corpus

# what a call may change; the rest is the run's protocol, and what its checkpoint holds
_FREE = (
    "trainer.device_batch", "trainer.precision", "trainer.accelerator", "trainer.save_minutes",
    "hardware.auto_batch", "logger", "output_dir", "corpora_dir", "hub_mirror", "data.path",
    "eval_dataset",
)  # fmt: skip
_LENGTH = ("trainer.max_epochs", "trainer.patience")


def own_options(composed: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The options of the run in ``run`` or ``repeat``, with those of this call in their place.

    Args:
        composed: this call's configuration.
        overrides: its words on the command line.

    Returns:
        ``composed`` as it is where neither is given.

    Raises:
        ConfigError: if an override changes what makes the run what it is.
        UserError: if the folder is no run's, or has nothing to go on from.
    """
    given = [name for name in ("run", "repeat") if composed[name] is not None]
    if len(given) > 1 or (given and composed.dry_run):
        raise ConfigError("run, repeat and dry_run contradict each other; give one of them")
    if not given:
        return composed
    (verb,) = given
    folder = Path(composed[verb])
    if not folder.is_dir() or not any(folder.iterdir()):
        raise UserError(f"{verb}={folder}: there is no such folder of a run")
    config = load_config(folder)
    if verb == "run" and not (folder / LAST).is_file():
        raise UserError(
            f"run={folder}: no checkpoint to go on from ({LAST}): it ended before training began; "
            f"repeat={folder} trains it from the start, in a new folder"
        )
    for override in overrides:
        _take(config, composed, override, _FREE + _LENGTH if verb == "run" else _FREE, verb)
    config.run, config.repeat = composed.run, composed.repeat
    return config


def _take(
    config: DictConfig, composed: DictConfig, override: str, free: Sequence[str], verb: str
) -> None:
    option = override.lstrip("+~").partition("=")[0]
    key = option.partition("@")[0].replace("/", ".")
    if key == verb or key.startswith("hydra."):
        return
    if not any(f"{key}.".startswith(f"{name}.") for name in free):
        raise ConfigError(
            f"{override}: {verb}={composed[verb]} keeps its model, data and protocol; a call may "
            f"change {', '.join(free)}, all else is a new run"
        )
    OmegaConf.update(config, key, OmegaConf.select(composed, key), merge=False)


def own_parts(
    run: Path, source: DictConfig, corpora_dir: str
) -> tuple[Corpus, dict[str, list[Document]]]:
    """The corpus that a run was trained on, and its documents by part, as the run divided them.

    Args:
        source: the run's ``data``; its path may be another one now.

    Raises:
        UserError: if these are not the documents; DataError as of ``open_corpus``.
    """
    # it has a path; nothing is fetched from where a run's folder says
    corpus = open_corpus(OmegaConf.merge(source, {"release": None}), corpora_dir)
    if fingerprint(corpus.documents) != json.loads((run / DATA_REPORT).read_text())["fingerprint"]:
        raise UserError(f"{source.path}: not the documents that {run} was trained on")
    by_id = {document.id: document for document in corpus.documents}
    split = json.loads((run / SPLIT).read_text())["parts"]
    return corpus, {part: [by_id[id] for id in ids] for part, ids in split.items() if ids}
