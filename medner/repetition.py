"""Whether a run that was trained anew is the same run."""

from pathlib import Path

import torch

from medner.errors import UserError
from medner.files import read_json
from medner.module import NerModule
from medner.runs import BEST, HISTORY, METRICS


def compare(before: Path, now: Path) -> str:
    """Compare history, scores, predictions and weights, to the bit; scores where both have them.

    Args:
        before, now: folders of runs that have ended.

    Raises:
        UserError: if something differs, saying what and by how much.
    """
    differences = [
        *_differing_scores(before, now), *_predictions(before, now), *_weights(before, now),
    ]  # fmt: skip
    if read_json(before / HISTORY) != read_json(now / HISTORY):
        differences.append("the history of the epochs")
    if differences:
        raise UserError(f"{now} is not the same as {before}: {'; '.join(differences)}")
    old, new = _scores(before), _scores(now)
    parts = ", ".join(part for part in old if part in new)
    return f"the same as {before} to the bit: history, scores ({parts}), predictions, weights"


def _scores(run: Path) -> dict[str, dict]:
    return read_json(run / METRICS)["scores"]


def _differing_scores(before: Path, now: Path) -> list[str]:
    old, new = _scores(before), _scores(now)
    return [
        f"F1 {part} {old[part]['overall']['f1']:.4f} then, {new[part]['overall']['f1']:.4f} now"
        for part in old
        if part in new and old[part] != new[part]
    ]


def _predictions(before: Path, now: Path) -> list[str]:
    names = [path.name for path in sorted((before / "predictions").iterdir())]
    return [
        f"predictions/{name}"
        for name in names
        if (before / "predictions" / name).read_bytes() != (now / "predictions" / name).read_bytes()
    ]


def _weights(before: Path, now: Path) -> list[str]:
    old, new = (NerModule.load(run / BEST).state_dict() for run in (before, now))
    differing = [name for name in old if not torch.equal(old[name], new[name])]
    if not differing:
        return []
    most = max(float((old[name] - new[name]).abs().max()) for name in differing)
    return [f"{len(differing)} of {len(old)} tensors of weights, by up to {most:.1g}"]
