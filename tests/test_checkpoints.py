"""Checkpoints of a training: going on from any of them ends as if nothing had happened."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from test_module import data_for, small_module, tokenizer_files, weights

from medner import interruption
from medner.checkpoints import best_epoch, finished, read_saved
from medner.datamodule import Batch
from medner.module import NerModule
from medner.runs import BEST, HISTORY, LAST
from medner.schema import TrainConfig
from medner.training import fit

__all__ = ["tokenizer_files"]
EPOCHS = 2


def options(**trainer: object):
    config = OmegaConf.structured(TrainConfig)
    config.model.name = "a/b"
    values = {
        "max_epochs": EPOCHS, "patience": 10, "precision": "32", "accelerator": "cpu",
        "effective_batch": 4, "device_batch": 4, "gradient_clip": 1.0, "ema_decay": 0.9,
        "warmup": 0.1,
    }  # fmt: skip
    config.trainer = OmegaConf.merge(config.trainer, values, trainer)
    return config


class Whole:
    """A training without interruption, and every checkpoint that it wrote on its way."""

    def __init__(self, files: dict[str, str], folder: Path) -> None:
        self.run = folder / "run"
        self.saved: list[Path] = []
        module = small_module(files)
        real = torch.save

        def save(checkpoint: dict, file) -> None:
            real(checkpoint, file)
            file.flush()
            if ".last." in file.name:
                self.saved.append(Path(shutil.copy(file.name, folder / f"{len(self.saved)}.ckpt")))

        torch.save = save
        try:
            self.history = fit(options(save_minutes=0), module, data_for(module), self.run, ())
        finally:
            torch.save = real


@pytest.fixture(scope="module")
def whole(tokenizer_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tokenizer_files, tmp_path_factory.mktemp("whole"))


def checkpoint(run: Path, name: Path) -> dict:
    return torch.load(run / name, weights_only=True)


def same(left, right) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def assert_same_run(run: Path, whole: Whole) -> None:
    assert json.loads((run / HISTORY).read_text()) == whole.history
    for name in (BEST, LAST):
        one, other = checkpoint(run, name), checkpoint(whole.run, name)
        for state in (one, other):
            for counted in ("RunCheckpoints", "Cost"):
                state.get("callbacks", {}).get(counted, {}).pop("seconds", None)
            state.pop("loops", None)
        assert same(one, other), name


def test_each_step_is_saved(whole: Whole) -> None:
    steps = [torch.load(path, weights_only=True)["global_step"] for path in whole.saved]
    assert steps == list(range(whole.history[-1]["step"] + 1))
    assert len(whole.history) == EPOCHS


def steps_to_try(whole: Whole) -> list[int]:
    """Around the ends of the epochs, and in their middles."""
    an_epoch = whole.history[0]["step"]
    return [0, 1, an_epoch // 2, an_epoch - 1, an_epoch, an_epoch + 1, 2 * an_epoch - 1]


def go_on(whole: Whole, step: int, run: Path, device_batch: int = 4) -> Path:
    (run / LAST).parent.mkdir(parents=True)
    shutil.copy(whole.saved[step], run / LAST)
    shutil.copy(whole.run / BEST, run / BEST)  # where the last epoch is not the best
    torch.manual_seed(step)
    module = NerModule.load(run / LAST)
    fit(options(device_batch=device_batch), module, data_for(module, device_batch), run, ())
    return run


def test_going_on_from_any_step_ends_the_same(whole: Whole, tmp_path: Path) -> None:
    for step in steps_to_try(whole):
        assert_same_run(go_on(whole, step, tmp_path / str(step)), whole)


def test_another_device_batch_goes_on_with_the_same_windows(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout differs then, and so do the weights; what is trained on does not."""
    real = NerModule.training_step
    seen: dict[int, list[tuple[str, int]]] = {4: [], 2: [], 1: []}
    for device_batch, windows in seen.items():

        def step(module: NerModule, batch: Batch, windows: list = windows) -> torch.Tensor:
            windows.extend((w.tokens.document.id, w.start) for w in batch.windows)
            return real(module, batch)

        monkeypatch.setattr(NerModule, "training_step", lambda module, batch: step(module, batch))
        run = go_on(whole, 7, tmp_path / str(device_batch), device_batch)
        history = json.loads((run / HISTORY).read_text())
        assert [row["step"] for row in history] == [row["step"] for row in whole.history]
    assert seen[4] == seen[2] == seen[1]
    assert len(seen[4]) > 50


@pytest.mark.parametrize("where", ["training_step", "validation_step"])
def test_a_signal_in_the_midst_of_it_waits_for_the_next_save(
    tokenizer_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Between two micro-batches of a step, or in validation: Lightning would end it there."""
    before = signal.getsignal(signal.SIGTERM)
    real = getattr(NerModule, where)
    sent = []

    def step(module: NerModule, batch: Batch) -> object:
        if not sent and module.trainer.global_step >= 2:
            sent.append(module.trainer.global_step)
            os.kill(os.getpid(), signal.SIGTERM)
        return real(module, batch)

    module = small_module(tokenizer_files)
    data = data_for(module, device_batch=1)
    config = options(device_batch=1)
    monkeypatch.setattr(NerModule, where, step)
    interruption.listen()
    try:
        with pytest.raises(interruption.Interrupted, match="SIGTERM"):
            fit(config, module, data, tmp_path, ())
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    saved = read_saved(tmp_path / LAST)
    if where == "training_step":
        assert saved.step == sent[0] + 1  # that step is finished
        assert saved.history == []
    else:
        assert [row["step"] for row in saved.history] == sent == [saved.step]
    module = NerModule.load(tmp_path / LAST)
    assert len(fit(config, module, data_for(module, device_batch=1), tmp_path, ())) == EPOCHS


def test_a_training_that_has_ended_is_not_trained_again(whole: Whole, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole.run, run)
    before = (run / LAST).stat().st_mtime_ns
    module = NerModule.load(run / LAST)
    history = fit(options(), module, data_for(module), run, ())
    assert history == whole.history
    assert read_saved(run / LAST).seconds > 0
    assert (run / LAST).stat().st_mtime_ns == before


def test_the_best_model_is_that_of_the_best_epoch_and_no_more(whole: Whole) -> None:
    best = checkpoint(whole.run, BEST)
    assert best["epoch"] + 1 == best_epoch(whole.history)["epoch"]
    assert set(best) == {
        "epoch", "global_step", "pytorch-lightning_version", "state_dict", "hparams_name",
        "hyper_parameters",
    }  # fmt: skip
    assert weights(NerModule.load(whole.run / BEST)).isfinite().all()


def rows(*f1: float) -> list[dict]:
    return [{"epoch": epoch, "f1": value} for epoch, value in enumerate(f1, 1)]


@pytest.mark.parametrize(
    ("f1", "patience", "ended"),
    [
        ((), 1, False),
        ((0.5,), 1, False),
        ((0.5, 0.5), 1, True),
        ((0.5, 0.4), 0, True),
        ((0.5,), 0, False),
        ((0.5, 0.4, 0.6, 0.5), 2, False),
        ((0.5, 0.4, 0.6, 0.5, 0.6), 2, True),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 3, True),  # six epochs are all there are
    ],
)
def test_the_end_of_training(f1: tuple[float, ...], patience: int, ended: bool) -> None:
    assert finished(rows(*f1), patience, max_epochs=6) == ended


def test_of_equal_epochs_the_first_is_the_best() -> None:
    assert best_epoch(rows(0.1, 0.7, 0.3, 0.7))["epoch"] == 2
