"""What this machine proposes for accelerator, precision and device batch."""

import platform
from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from medner.errors import ConfigError
from medner.schema import HardwareConfig

# AVX512_BF16 alone does not count: on an Intel Xeon that has it and no AMX, a step in bf16 takes
# 1.5 times as long as in fp32 (docs/speed.md).
_BF16 = "amx_bf16"

# Bytes that BERT-base takes in training: parameters, gradients and Adam's two moments, in fp32 and
# 16 bytes a parameter, are 1.8 GB, and autocast's copy of the weights makes 2. A window of 512
# tokens keeps 0.8 GB of activations in fp32 without fused attention, and less with it or in mixed
# precision. A fifth of the memory stays free.
_MODEL, _WINDOW, _USED = 2.0e9, 0.8e9, 0.8


def propose(hardware: DictConfig, accelerator: str | None, devices: int = 1) -> HardwareConfig:
    """``hardware`` as it is, or what ``auto`` stands for here; with an accelerator in any case.

    Args:
        hardware: a checked HardwareConfig.
        accelerator: ``trainer.accelerator``, which goes first: with ``cpu`` a card is left alone.
        devices: that are to train at once.

    Raises:
        ConfigError: if a card is asked for and none is there, or fewer than ``devices``.
    """
    proposed: HardwareConfig = OmegaConf.to_object(hardware)
    wanted = accelerator or proposed.accelerator or "auto"
    by = f"trainer.accelerator={accelerator}" if accelerator else f"hardware={proposed.name}"
    check_card(wanted, by, devices)
    on_card = wanted != "cpu" and has_card()
    proposed = replace(proposed, accelerator=proposed.accelerator or ("gpu" if on_card else "cpu"))
    if proposed.name != "auto":
        return proposed
    if on_card and torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        precision = _card_precision(torch.cuda.get_device_capability())
        device_batch = _windows(torch.cuda.get_device_properties(0).total_memory)
    else:
        name = platform.processor() or platform.machine()
        precision = cpu_precision()
        device_batch = None
    return replace(
        proposed,
        name=f"auto: {name}",
        precision=proposed.precision or precision,
        device_batch=proposed.device_batch or device_batch,
    )


def check_card(accelerator: str, asked: str, devices: int = 1) -> None:
    """ConfigError if ``accelerator`` is a card and there is none, or fewer cards than ``devices``;
    ``asked`` is the user's word."""
    if accelerator == "gpu" and not has_card():
        raise ConfigError(
            f"{asked}: torch finds no graphics card here; take hardware=auto, or "
            "trainer.accelerator=cpu"
        )
    cards = max(1, torch.cuda.device_count())
    if accelerator != "cpu" and has_card() and devices > cards:
        raise ConfigError(
            f"trainer.devices={devices}: torch finds {cards} cards here; take as many, or "
            "trainer.accelerator=cpu"
        )


def is_out_of_memory(error: Exception) -> bool:
    """Of a card, or of the machine: there torch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def out_of_memory(windows: int, length: int, precision: str) -> str:
    """What did not fit: so many windows of so many tokens."""
    return (
        f"out of memory with {windows} windows of up to {length} tokens at once in precision "
        f"{precision}"
    )


def has_card() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _card_precision(capability: tuple[int, int]) -> str | None:
    """Ampere (8.0) brought bf16, Volta (7.0) fast fp16; before, half precision gains nothing."""
    if capability >= (8, 0):
        return "bf16-mixed"
    return "16-mixed" if capability >= (7, 0) else None


def _windows(memory: int) -> int:
    """How many windows a card of so many bytes holds at once: a power of two."""
    fit = int((memory * _USED - _MODEL) / _WINDOW)
    return 2 ** (fit.bit_length() - 1) if fit > 0 else 1


def cpu_precision() -> str | None:
    """bf16 where the processor multiplies matrices faster in it; None: in fp32."""
    return "bf16-mixed" if _BF16 in _cpu_flags() else None


def _cpu_flags() -> set[str]:
    """The processor's features as Linux tells them; elsewhere none are known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
