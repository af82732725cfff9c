"""What tables call systems: by name, and where several share one, by what sets them apart."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

Settings = tuple[tuple[str, str], ...]  # options by name, in order

SOURCE = "source"  # all that is known of what is no run
_EXPERIMENT = "experiment.name"
# What sets runs of one system apart, and what has no say in scores
_NOT_OF_A_SYSTEM = (
    "seed", "data.split.fold", "run", "repeat", "output_dir", "corpora_dir", "hub_mirror", "logger",
    "hardware", "trainer.accelerator", "trainer.device_batch", "trainer.save_minutes",
    "eval_dataset", "data.path", "confidence",
)  # fmt: skip


def settings(config: DictConfig) -> Settings:
    """A run's options but for those that seeds and folds of a system differ in."""
    return tuple(
        sorted(
            (name, str(value))
            for name, value in _leaves(OmegaConf.to_container(config), "")
            if not any(name == left or name.startswith(f"{left}.") for left in _NOT_OF_A_SYSTEM)
        )
    )


def _leaves(options: dict[str, Any], group: str) -> Iterable[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", value


def of_others(metrics: Mapping[str, Any]) -> str:
    """What is no run is called as it was, or by the file with its predictions."""
    return Path(metrics["predictions"]).name if "predictions" in metrics else metrics["system"]


def told_apart(systems: Sequence[tuple[str, Settings]]) -> list[str]:
    """For each name and settings a name that no other settings have: with the experiment if that
    is enough, or else with the options in which they differ; of others with their source."""
    alike: dict[str, dict[Settings, dict[str, str]]] = defaultdict(dict)
    for name, own in systems:
        alike[name][own] = dict(own)
    return [" ".join([name, *_options(own, alike[name])]) for name, own in systems]


def _options(own: Settings, alike: Mapping[Settings, Mapping[str, str]]) -> list[str]:
    found = alike[own]
    if SOURCE in found:
        return [f"{SOURCE}={found[SOURCE]}"] if len(alike) > 1 else []
    runs = [other for other in alike.values() if SOURCE not in other]
    experiments = {other.get(_EXPERIMENT) for other in runs} - {None}
    if len(experiments) == len(runs) > 1:
        return [f"experiment={found[_EXPERIMENT]}"]
    apart = sorted(
        {
            name
            for other in runs
            for name in found.keys() | other.keys()
            if found.get(name) != other.get(name)
        }
    )
    return [f"{name}={found.get(name)}" for name in apart]
