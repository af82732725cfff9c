"""Who decides where several have a say: command line, experiment, hardware, model, default."""

from dataclasses import fields

from omegaconf import DictConfig, OmegaConf

from medner.errors import ConfigError
from medner.schema import HardwareConfig, TrainingOptions


def resolve(
    config: DictConfig, proposed: HardwareConfig, given_by: str = "command line"
) -> list[str]:
    """Settle every training option in place, under ``trainer``; the one place where this is done.

    Command line, then experiment, then hardware, then model, then default; of the precision the
    hardware says nothing where it is a part of the experiment.

    Args:
        config: a checked :class:`TrainConfig`.
        proposed: ``config.hardware``, or what it stands for on this machine.
        given_by: who has set the options that are set.

    Returns:
        A line for each option: its value and who decided.

    Raises:
        ConfigError: if a batch asked for on the command line does not divide the effective batch.
    """
    proposers = {
        given_by: config.trainer,
        "experiment": config.experiment or {},
        f"hardware {proposed.name}": OmegaConf.structured(proposed),
        f"model {config.model.label}": config.model,
        "default": config.trainer.default,
    }
    lines = []
    for option in ("accelerator", *(option.name for option in fields(TrainingOptions))):
        proposals = {who: values.get(option) for who, values in proposers.items()}
        if option == "precision" and config.experiment and config.experiment.own_precision:
            proposals.pop(f"hardware {proposed.name}")
        who = next((who for who, value in proposals.items() if value is not None), "default")
        config.trainer[option] = proposals[who]
        if option == "device_batch":
            who = _fit_device_batch(config.trainer, who)
        lines.append(f"trainer.{option}={config.trainer[option]}  ({who})")
    return lines


def _fit_device_batch(trainer: DictConfig, who: str) -> str:
    """Make the device batch a divisor of the effective batch, or of a device's share in it."""
    effective, device = trainer.effective_batch, trainer.device_batch
    devices = trainer.devices * trainer.nodes
    if effective % devices:
        raise ConfigError(
            f"trainer.effective_batch={effective}: takes a multiple of {devices}, for it is shared "
            "by trainer.devices on each of trainer.nodes"
        )
    share = effective // devices
    if device is None or (device > effective and who != "command line"):
        trainer.device_batch = share
        if device is None:
            return "the effective batch" if devices == 1 else "its share of the effective batch"
        return f"{who}: {device}, more than effective"
    if effective % device and who == "command line":
        raise ConfigError(
            f"trainer.device_batch={device}: takes a divisor of "
            f"trainer.effective_batch={effective}, for which it accumulates"
        )
    trainer.device_batch = divisor(share, device)
    return who if trainer.device_batch == device else f"{who}: {device}, made a divisor"


def divisor(number: int, at_most: int) -> int:
    """The largest divisor of ``number`` that is at most ``at_most``."""
    return next(size for size in range(at_most, 0, -1) if number % size == 0)
