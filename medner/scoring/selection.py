"""What it is worth to report on the documents that chose the epoch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medner.scoring.bootstrap import f1

HALVINGS = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """F1 on the documents that the epoch was chosen on, strict and micro.

    ``best``: of the epoch that is best on all of them, which is what such a report says.
    ``elsewhere``: where each document is scored with an epoch that other documents chose. ``last``:
    of the last epoch, which nobody chose.
    """

    best: float
    elsewhere: float
    last: float
    epochs: int

    def to_dict(self) -> dict[str, float | int]:
        return {
            "best": self.best,
            "elsewhere": self.elsewhere,
            "last": self.last,
            "epochs": self.epochs,
        }


def selection(counts: NDArray[np.int64], halvings: int = HALVINGS, seed: int = 0) -> Selection:
    """Compare, by two-fold cross-validation of the choice, repeated.

    The documents are halved at random; the epoch that is best on one half is scored on the other,
    and the reverse; both halves' counts make one F1, of which ``elsewhere`` is the mean. Half of
    the documents choose less surely than all would: the difference to ``best`` is, if anything, too
    large.

    Args:
        counts: gold, predicted and correct by epoch and document, shape (epochs, documents, 3).
    """
    rng = np.random.default_rng(seed)
    documents = counts.shape[1]
    scores = []
    for _ in range(halvings):
        half = rng.permutation(documents) < documents // 2
        one, other = counts[:, half].sum(axis=1), counts[:, ~half].sum(axis=1)
        scores.append(f1(other[f1(one).argmax()] + one[f1(other).argmax()]))
    by_epoch = f1(counts.sum(axis=1))
    return Selection(
        best=float(by_epoch.max()),
        elsewhere=float(np.mean(scores)),
        last=float(by_epoch[-1]),
        epochs=len(counts),
    )
