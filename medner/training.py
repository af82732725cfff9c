"""Fitting: the Lightning trainer of a run, and what it says while it works."""

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import (
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)
from pytorch_lightning.loggers import Logger

from medner.datamodule import NerDataModule
from medner.module import NerModule
from medner.predictions import Prediction
from medner.runs import BEST

log = logging.getLogger(__name__)
MONITOR = "val/f1"

# what Lightning says of every run, and what is a choice here
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
for _message in (
    ".*does not have many workers.*",  # collating takes no time beside the encoder
    ".*exists and is not empty.*",  # the run folder is this run's own
    ".*smaller than the logging interval.*",
    ".*GPU available but not used.*",
    ".*is supported for historical reasons.*",  # precision=16 is the user's own word
    ".*your dataloader is not resumable.*",  # the batch sampler is
    "predict returned None.*",  # the module keeps its predictions
    ".*`isinstance.treespec, LeafSpec.` is deprecated.*",
):
    warnings.filterwarnings("ignore", _message)


class EpochLine(pl.Callback):
    """A line in the log for each epoch."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        log.info(
            "epoch %d: loss %.4f, validation F1 %.4f (precision %.4f, recall %.4f)",
            trainer.current_epoch, metrics["train/loss"], metrics["val/f1"],
            metrics["val/precision"], metrics["val/recall"],
        )  # fmt: skip


def make_trainer(precision: str, accelerator: str, **options: object) -> pl.Trainer:
    """A trainer on one device, quiet where nobody watches."""
    return pl.Trainer(
        precision=precision,
        accelerator=accelerator,
        devices=1,  # "auto" would turn a machine with two cards into DDP, which no multirun can do
        use_distributed_sampler=False,  # the batches are MedNER's own
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def fit(
    config: DictConfig, module: NerModule, data: NerDataModule, run: Path, loggers: Sequence[Logger]
) -> tuple[pl.Trainer, ModelCheckpoint]:
    """Train with early stopping; ``run``/checkpoints gets the best and the last checkpoint."""
    options = config.trainer
    checkpoint = ModelCheckpoint(
        run / BEST.parent,
        filename=BEST.stem,
        monitor=MONITOR,
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )
    callbacks = [
        checkpoint,
        EarlyStopping(MONITOR, mode="max", patience=options.patience),
        EpochLine(),
    ]
    if options.ema_decay:
        average = warmed_up_average(options.ema_decay)
        callbacks.append(WeightAveraging(avg_fn=average, use_buffers=False))
    if loggers:
        callbacks.append(LearningRateMonitor())
    trainer = make_trainer(
        options.precision,
        options.accelerator,
        max_epochs=options.max_epochs,
        accumulate_grad_batches=options.effective_batch // options.device_batch,
        gradient_clip_val=options.gradient_clip or None,
        logger=loggers or False,
        log_every_n_steps=10,
        callbacks=callbacks,
        default_root_dir=run,
    )
    trainer.fit(module, data)
    return trainer, checkpoint


def warmed_up_average(
    decay: float,
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    """An exponential moving average that soon forgets where it began.

    After n steps it keeps min(decay, (1 + n) / (10 + n)) of itself, as TensorFlow's
    ``ExponentialMovingAverage`` does with ``num_updates``.
    """

    def average(averaged: torch.Tensor, current: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        kept = torch.clamp((1 + steps) / (10 + steps), max=decay)
        return averaged * kept + current * (1 - kept)

    return average


def predict(
    trainer: pl.Trainer, module: NerModule, data: NerDataModule, part: str
) -> list[Prediction]:
    """Predictions for the documents of a part, in their order."""
    trainer.predict(module, data.evaluation_dataloader(part), return_predictions=False)
    found = {prediction.document: prediction for prediction in module.predictions}
    return [found[tokenised.document.id] for tokenised in data.tokenised[part]]
