"""The options of a run that goes on where it stopped, or is trained anew."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medner.config import leaves
from medner.errors import ConfigError, UserError
from medner.runs import LAST, METRICS, load_config

# what a call may change; the rest is the run's protocol, and what its checkpoint holds
_FREE = (
    "trainer.device_batch", "trainer.precision", "trainer.accelerator", "trainer.save_minutes",
    "trainer.devices", "trainer.nodes",
    "hardware.auto_batch", "logger", "output_dir", "corpora_dir", "token_cache", "hub_mirror",
    "data.path", "eval_dataset",
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
    if verb == "repeat" and not (folder / METRICS).is_file():
        raise UserError(f"repeat={folder}: it has not ended, so there is nothing to compare with")
    if verb == "run" and not (folder / LAST).is_file():
        raise UserError(
            f"run={folder}: no checkpoint to go on from ({LAST}): it ended before training began, "
            "or its checkpoint was removed; train anew"
        )
    for override in overrides:
        _take(config, composed, override, _FREE + _LENGTH if verb == "run" else _FREE, verb)
    config.run = composed.run
    if verb == "repeat":  # else a repetition goes on to be one
        config.repeat = composed.repeat
    return config


def changes(before: DictConfig, now: DictConfig) -> list[str]:
    """A line for each option that a call has changed, for the log of a run that goes on."""
    old, new = dict(leaves(before)), dict(leaves(now))
    return [
        f"{key}={new.get(key)}  (command line; it was {old.get(key)})"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key != "run" and "release" not in key
    ]


def _take(
    config: DictConfig, composed: DictConfig, override: str, free: Sequence[str], verb: str
) -> None:
    key = override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")
    if key in (verb, "launcher", "sweeper") or key.startswith("hydra."):
        return
    if not any(f"{key}.".startswith(f"{name}.") for name in free):
        raise ConfigError(
            f"{override}: {verb}={composed[verb]} keeps its model, data and protocol; a call may "
            f"change {', '.join(free)}, all else is a new run"
        )
    groups = [key[:at] for at, character in enumerate(key) if character == "."]
    # a group that the run did not have is taken whole
    key = next((group for group in groups if OmegaConf.select(config, group) is None), key)
    OmegaConf.update(config, key, OmegaConf.select(composed, key), merge=False)
