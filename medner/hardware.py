"""What this machine proposes for precision and device batch."""

import platform
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from medner.schema import HardwareConfig

_BF16 = {"avx512_bf16", "amx_bf16"}


def propose(hardware: DictConfig, accelerator: str) -> HardwareConfig:
    """``hardware`` as it is, or what ``auto`` stands for here.

    Args:
        hardware: name, precision, device_batch.
        accelerator: ``trainer.accelerator``: with ``cpu`` a card is left alone.
    """
    proposed: HardwareConfig = OmegaConf.to_object(hardware)
    if proposed.name != "auto":
        return proposed
    if accelerator != "cpu" and torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        bf16 = torch.cuda.get_device_capability() >= (8, 0)
    else:
        name = platform.processor() or platform.machine()
        bf16 = bool(_BF16 & _cpu_flags())
    return HardwareConfig(
        name=f"auto: {name}",
        precision=proposed.precision or ("bf16-mixed" if bf16 else None),
        device_batch=proposed.device_batch,
    )


def _cpu_flags() -> set[str]:
    """The processor's features as Linux tells them; elsewhere none are known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
