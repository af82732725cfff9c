"""What training leaves on disk as it goes: the best model, all that going on needs, its history."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from medner import interruption
from medner.cost import Cost
from medner.files import write_rows, written_whole
from medner.runs import BEST, HISTORY, LAST

log = logging.getLogger(__name__)

_MODEL_ONLY = "model only"
# what a model is loaded from; the rest is for going on
_MODEL = {
    "epoch", "global_step", "pytorch-lightning_version", "state_dict", "hparams_name",
    "hyper_parameters",
}  # fmt: skip


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints appear whole or not at all: Lightning's own may be copied over a file system's
    border, and can be cut short there."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: str | None = None
    ) -> None:
        if storage_options == _MODEL_ONLY:
            checkpoint = {key: value for key, value in checkpoint.items() if key in _MODEL}
        with written_whole(path, binary=True) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # torch finds its own archive cut short, after the file system has said why
                raise error.__context__ or error from None


class RunCheckpoints(Checkpoint):
    """Saves ``last.ckpt`` and ``best.ckpt``, keeps the history, and ends training: early or asked.

    ``last.ckpt`` is written as training begins, after each epoch, every ``save_minutes``, and when
    a signal asks for an end. A run that goes on from it ends as if it had not been interrupted.

    Args:
        run: the run's folder.
        patience: epochs without a better validation F1 before training stops.
        save_minutes: minutes between two saves within an epoch.

    ``history`` has a row of figures for each epoch; ``seconds`` is the time of training, that of
    interrupted calls included.
    """

    def __init__(self, run: Path, patience: int, save_minutes: float) -> None:
        self.run = run
        self.patience = patience
        self.save_minutes = save_minutes
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._counted = self._saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        now = time.monotonic()
        self.seconds += now - self._counted
        self._counted = now
        return {"history": self.history, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history, self.seconds = state_dict["history"], state_dict["seconds"]

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        rescale_progress(checkpoint, trainer.datamodule.micro_batches)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        interruption.listen()  # Lightning's handler of SIGTERM would end it between two saves
        self._counted = self._saved = time.monotonic()
        if trainer.ckpt_path is None:
            self._save(trainer, pl_module)
        elif not trainer.is_global_zero:
            pl_module.train_loss.reset()  # what was saved is that of all ranks

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
        batch_idx: int,
    ) -> None:  # fmt: skip
        # between two steps of the optimiser only: gradients are not saved. The epoch's last batch
        # is followed by validation, and by the save after it
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = time.monotonic() - self._saved >= 60 * self.save_minutes
        if agreed(trainer, due or interruption.asked() or 0):
            pl_module.check_loss()
            self._save(trainer, pl_module)
            self._end_if_asked(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            **pl_module.epoch_figures(),
        }
        self.history.append(row)
        for logger in trainer.loggers:  # now: what Lightning logs later, an interruption loses
            logger.log_metrics({"train/loss": row["loss"]}, trainer.global_step - 1)
        log.info(
            "epoch %d: loss %.4f, validation F1 %.4f (precision %.4f, recall %.4f)%s",
            row["epoch"], row["loss"], row["f1"], row["precision"], row["recall"],
            "" if row["predicted"] else "; not one entity predicted",
        )  # fmt: skip
        # the best first: if this is the end of it, the last one does not know the better epoch yet
        if best_epoch(self.history) is row:
            trainer.save_checkpoint(self.run / BEST, storage_options=_MODEL_ONLY)
        trainer.should_stop = finished(self.history, self.patience, trainer.max_epochs)
        self._save(trainer, pl_module)
        if trainer.is_global_zero:
            write_rows(self.run / HISTORY, self.history)
        self._end_if_asked(trainer)

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.check_weights()
        with pl_module.train_loss.sync_context():
            trainer.save_checkpoint(self.run / LAST)  # rank 0 does it
        self._saved = time.monotonic()

    def _end_if_asked(self, trainer: pl.Trainer) -> None:
        signum = agreed(trainer, interruption.asked() or 0)
        if signum:
            log.info("saved after step %d", trainer.global_step)
            raise interruption.Interrupted(signum)


def agreed(trainer: pl.Trainer, number: int) -> int:
    """The largest that any rank has: what one is asked to do, all do."""
    if trainer.world_size == 1:
        return number
    tensor = torch.tensor(int(number), device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(tensor, reduce_op="max"))


def best_epoch(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch with the highest validation F1, the first of several."""
    return max(history, key=lambda row: row["f1"])


def finished(history: Sequence[Mapping[str, Any]], patience: int, max_epochs: int) -> bool:
    """Whether training has come to its end: by number of epochs, or early."""
    if not history:
        return False
    epochs = history[-1]["epoch"]
    return epochs >= max_epochs or epochs - best_epoch(history)["epoch"] >= max(patience, 1)


class Saved(NamedTuple):
    """What ``last.ckpt`` says of the training so far: the history, seconds, steps, and what
    :class:`medner.cost.Cost` has counted."""

    history: Sequence[dict[str, Any]] = ()
    seconds: float = 0.0
    step: int = 0
    cost: Mapping[str, Any] = MappingProxyType({})


def read_saved(checkpoint: Path) -> Saved:
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    state = saved["callbacks"][RunCheckpoints.__qualname__]
    cost = saved["callbacks"].get(Cost.__qualname__, {})  # of none that is older than it
    return Saved(state["history"], state["seconds"], saved["global_step"], cost)


def rescale_progress(checkpoint: dict[str, Any], micro_batches: int) -> None:
    """Count the micro-batches of Lightning's progress as the device batch of this call has them.

    Args:
        checkpoint: as loaded, saved between two steps; changed in place.
        micro_batches: of a whole effective batch, now.
    """
    before = checkpoint["NerDataModule"]["micro_batches"]
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        ready, behind = counts["ready"], counts["ready"] - counts["completed"]
        for name in counts:
            counts[name] = ready * micro_batches // before - (behind if name == "completed" else 0)
