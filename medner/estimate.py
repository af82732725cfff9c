"""How long training would take here: a few steps, timed."""

import time
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from medner.datamodule import NerDataModule
from medner.module import NerModule
from medner.progress import duration
from medner.training import make_trainer

_STEPS = 8  # timed at most, after one that warms up
_SECONDS = 5.0  # after which it is enough


@dataclass(frozen=True)
class Estimate:
    """Wall-clock time of training on this machine, validation left out."""

    seconds_a_step: float
    steps_an_epoch: int
    max_epochs: int

    @classmethod
    def measure(cls, config: DictConfig, module: NerModule, data: NerDataModule) -> "Estimate":
        """Train a few steps of the run that ``config`` describes; ``module`` is used up."""
        options = config.trainer
        clock = _Clock()
        trainer = make_trainer(
            options.precision,
            options.accelerator,
            max_epochs=_STEPS + 1,
            max_steps=_STEPS + 1,
            limit_val_batches=0,
            accumulate_grad_batches=options.effective_batch // options.device_batch,
            logger=False,
            enable_checkpointing=False,
            callbacks=[clock],
        )
        trainer.fit(module, data)
        return cls(clock.seconds_a_step, data.steps_an_epoch, options.max_epochs)

    def __str__(self) -> str:
        epoch = self.seconds_a_step * self.steps_an_epoch
        return (
            f"time: {self.seconds_a_step:.2f} s a step here, {self.steps_an_epoch} steps or about "
            f"{duration(epoch)} an epoch; at most {self.max_epochs} epochs or "
            f"{duration(epoch * self.max_epochs)}, fewer where it stops early; validation comes "
            "on top"
        )


class _Clock(pl.Callback):
    """Seconds an optimiser step takes, the first one left out."""

    def __init__(self) -> None:
        self.steps = 0
        self.began = self.ended = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.ended = time.perf_counter()
        if self.steps == 0 and trainer.global_step == 1:
            self.began = self.ended
        self.steps = trainer.global_step
        if self.steps > 1 and self.ended - self.began > _SECONDS:
            trainer.should_stop = True

    @property
    def seconds_a_step(self) -> float:
        return (self.ended - self.began) / (self.steps - 1)
