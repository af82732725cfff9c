"""Fitting: the Lightning trainer of a run, and what it says while it works."""

import gc
import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from omegaconf import DictConfig
from pytorch_lightning.callbacks import LearningRateMonitor, WeightAveraging
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from medner import interruption
from medner.checkpoints import (
    RunCheckpoints,
    Saved,
    WholeCheckpoints,
    best_epoch,
    finished,
    read_saved,
)  # fmt: skip
from medner.cost import Cost
from medner.cpu_kernels import keep_freed_memory
from medner.datamodule import NerDataModule
from medner.errors import UserError
from medner.files import write_rows
from medner.hardware import is_out_of_memory, out_of_memory
from medner.module import NerModule
from medner.ranks import rank
from medner.resolution import divisor
from medner.runs import HISTORY, LAST, save_config

log = logging.getLogger(__name__)

# what Lightning says of every run, and what is a choice here
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
for _message in (
    ".*does not have many workers.*",  # collating takes no time beside the encoder
    ".*exists and is not empty.*",  # the run folder is this run's own
    ".*smaller than the logging interval.*",
    ".*GPU available but not used.*",
    ".*`srun` command is available.*",  # a Slurm script is not the only way to train on a cluster
    ".*is supported for historical reasons.*",  # precision=16 is the user's own word
    ".*your dataloader is not resumable.*",  # the batch sampler is
    ".*`isinstance.treespec, LeafSpec.` is deprecated.*",
    ".*`broadcast_buffers` is deprecated.*",  # what takes its place is new in torch 2.13
    ".*It is recommended to use `self.log.*sync_dist=True.*",  # the counts have been added up
):
    warnings.filterwarnings("ignore", _message)


def make_trainer(
    precision: str, accelerator: str, devices: int = 1, nodes: int = 1, **options: object
) -> pl.Trainer:
    """A trainer, quiet where nobody watches; on several devices in a process that is one of a group
    (see :mod:`medner.ranks`)."""
    keep_freed_memory()
    return pl.Trainer(
        precision=precision,
        accelerator=accelerator,
        devices=devices,  # "auto" would take all cards of a machine, which no multirun can do
        num_nodes=nodes,
        # an encoder's buffers are constants
        strategy=DDPStrategy(broadcast_buffers=False) if devices * nodes > 1 else "auto",
        use_distributed_sampler=False,  # the batches are MedNER's own
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        # not Slurm's: there Lightning would requeue the job by itself, with a checkpoint of its own
        plugins=[LightningEnvironment(), WholeCheckpoints()],
        **options,
    )


def fit(
    config: DictConfig, module: NerModule, data: NerDataModule, run: Path, loggers: Sequence[Logger]
) -> list[dict[str, Any]]:
    """Train until the end, from ``run``/checkpoints/last.ckpt if there is one.

    Returns:
        The history, a row an epoch.

    Raises:
        UserError: if memory runs out, or the loss is not finite.
        Interrupted: if a signal asked for an end.
    """
    options, last = config.trainer, run / LAST
    saved = read_saved(last) if last.exists() else Saved()
    if finished(saved.history, options.patience, options.max_epochs):
        log.info("training has ended already, with epoch %d", len(saved.history))
        if not rank():
            write_rows(run / HISTORY, saved.history)  # it is written after the checkpoint
        return _ended(saved.history, options, data)
    if last.exists():
        log.info("going on after step %d, in epoch %d", saved.step, len(saved.history) + 1)
    while True:
        try:
            return _ended(_fit(config, module, data, run, loggers), options, data)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            length = module.hparams.window["length"]
            problem = out_of_memory(data.device_batch, length, options.precision)
        if signum := interruption.asked():
            raise interruption.Interrupted(signum)
        half = divisor(options.effective_batch, max(1, data.device_batch // 2))
        if not config.hardware.auto_batch or data.device_batch == 1 or not last.exists():
            lower = f"trainer.device_batch={half} or hardware.auto_batch=true (both leave the "
            remedies = [lower + "effective batch as it is)"] if data.device_batch > 1 else []
            remedies += ["trainer.precision=16"] if options.precision.startswith("32") else []
            remedies += ["a shorter window.length", "a smaller model"]
            raise UserError(f"{problem}; try {', or '.join(remedies)}")
        options.device_batch = half
        log.warning("%s; going on with trainer.device_batch=%d", problem, half)
        save_config(run, config)
        data.device_batch = options.device_batch
        # what the failed attempt still holds
        gc.collect()
        torch.cuda.empty_cache()
        module = NerModule.load(last)


def _fit(
    config: DictConfig, module: NerModule, data: NerDataModule, run: Path, loggers: Sequence[Logger]
) -> list[dict[str, Any]]:
    options = config.trainer
    checkpoints = RunCheckpoints(run, options.patience, options.save_minutes)
    callbacks = [checkpoints, Cost()]
    if options.ema_decay:
        average = warmed_up_average(options.ema_decay)
        callbacks.append(WeightAveraging(multi_avg_fn=average, use_buffers=False))
    if loggers:
        callbacks.append(LearningRateMonitor())
    trainer = make_trainer(
        options.precision,
        options.accelerator,
        options.devices,
        options.nodes,
        max_epochs=options.max_epochs,
        accumulate_grad_batches=data.micro_batches,
        gradient_clip_val=options.gradient_clip or None,
        logger=loggers or False,
        log_every_n_steps=10,
        callbacks=callbacks,
        default_root_dir=run,
    )
    last = run / LAST
    with interruption.deferred():
        trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)
    return checkpoints.history


def _ended(
    history: list[dict[str, Any]], options: DictConfig, data: NerDataModule
) -> list[dict[str, Any]]:
    for line in disappointments(history, options, data.steps_an_epoch):
        log.warning("%s", line)
    return history


def disappointments(
    history: Sequence[Mapping[str, Any]], options: DictConfig, steps_an_epoch: int
) -> list[str]:
    """What a training that has ended did not reach, and what to do; a line each."""
    lines = []
    if not any(row["predicted"] for row in history):
        lines.append(
            "the model predicts nothing: no epoch found one entity in the validation documents; "
            "give it more steps (trainer.max_epochs, a smaller trainer.effective_batch), or a "
            "higher trainer.learning_rate"
        )
    warmup = round(options.warmup * steps_an_epoch * options.max_epochs)
    ended, best = history[-1], best_epoch(history)
    if ended["epoch"] < options.max_epochs and (best["step"] < warmup or not best["correct"]):
        lines.append(
            f"stopped early, with epoch {ended['epoch']} of {options.max_epochs}, before it had "
            f"learned: the best validation F1, {best['f1']:.3f}, was that of epoch "
            f"{best['epoch']}, and the learning rate rises until step {warmup}; raise "
            f"trainer.patience={options.patience}"
        )
    return lines


def warmed_up_average(
    decay: float,
) -> Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor], None]:
    """An exponential moving average that soon forgets where it began.

    After n steps it keeps min(decay, (1 + n) / (10 + n)) of itself, as TensorFlow's
    ``ExponentialMovingAverage`` does with ``num_updates``.
    """

    def average(
        averaged: list[torch.Tensor], current: list[torch.Tensor], steps: torch.Tensor
    ) -> None:
        new = 1 - torch.clamp((1 + steps) / (10 + steps), max=decay)
        for old, now in zip(averaged, current, strict=True):
            old.lerp_(now, new)

    return average
