"""What choosing the epoch on the reported documents is worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_checkpoints import options
from test_module import data_for, small_module, tokenizer_files

from medner.scoring.bootstrap import f1
from medner.scoring.selection import selection
from medner.training import fit

__all__ = ["tokenizer_files"]


def counts(correct: list[list[int]], each: int = 10) -> np.ndarray:
    """By epoch and document; every document has as many entities as spans."""
    correct = np.array(correct)
    return np.stack([np.full_like(correct, each), np.full_like(correct, each), correct], axis=2)


def test_two_documents_by_hand() -> None:
    """Each document's best epoch is the other's worst: each is scored with the other's choice."""
    found = selection(counts([[9, 2], [5, 5], [1, 8]]))
    assert found.best == pytest.approx(11 / 20)
    assert found.elsewhere == pytest.approx((1 + 2) / 20)
    assert found.last == pytest.approx(9 / 20)
    assert found.epochs == 3


def test_where_all_documents_agree_nothing_is_gained() -> None:
    found = selection(counts([[1] * 8, [7] * 8, [6] * 8]))
    assert (found.best, found.elsewhere) == pytest.approx((0.7, 0.7))
    assert found.last == pytest.approx(0.6)
    one_epoch = selection(counts([[3] * 8]))
    found = (one_epoch.best, one_epoch.elsewhere, one_epoch.last)
    assert found == pytest.approx((0.3, 0.3, 0.3))


def test_of_noise_all_is_gained() -> None:
    """Epochs that are equally good: the best of them is luck, and a new choice has none."""
    rng = np.random.default_rng(0)
    noise = rng.binomial(10, 0.5, size=(40, 60, 20))
    found = [selection(counts(epochs.tolist()), halvings=20) for epochs in noise]
    assert np.mean([each.best for each in found]) > 0.57
    assert np.mean([each.elsewhere for each in found]) == pytest.approx(0.5, abs=0.01)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(2, 9))
def test_every_document_is_scored_once_with_an_epoch_there_was(seed, epochs, documents) -> None:
    rng = np.random.default_rng(seed)
    gold = np.broadcast_to(rng.integers(1, 9, documents), (epochs, documents))
    predicted = rng.integers(0, 9, (epochs, documents))
    correct = rng.integers(0, np.minimum(gold, predicted) + 1)
    figures = np.stack([gold, predicted, correct], axis=2)
    found = selection(figures, halvings=20)
    by_epoch = f1(figures.sum(axis=1))
    assert found.best == by_epoch.max()
    assert found.last == by_epoch[-1]
    most, least = figures[..., 2].max(axis=0).sum(), figures[..., 2].min(axis=0).sum()
    largest, smallest = gold[0] + predicted.max(axis=0), gold[0] + predicted.min(axis=0)
    assert 2 * least / largest.sum() <= found.elsewhere + 1e-9
    assert found.elsewhere - 1e-9 <= 2 * most / smallest.sum()
    assert selection(figures, halvings=20) == found  # no global random state


def test_the_history_keeps_each_document_s_counts(
    tokenizer_files: dict[str, str], tmp_path
) -> None:
    module = small_module(tokenizer_files, dropout=0.0)
    data = data_for(module)
    history = fit(options(max_epochs=3), module, data, tmp_path, ())
    documents = sorted(data.documents("validation"), key=lambda document: document.id)
    for row in history:
        by_document = np.array(row["by_document"])
        assert by_document[:, 0].tolist() == [len(document.entities) for document in documents]
        totals = [row["gold"], row["predicted"], row["correct"]]
        assert by_document.sum(axis=0).tolist() == totals
    found = selection(np.array([row["by_document"] for row in history]))
    assert found.best == pytest.approx(max(row["f1"] for row in history))
    # a line an epoch, so that a person can read it
    assert len((tmp_path / "history.json").read_text().splitlines()) == 3
