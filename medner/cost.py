"""What training costs on the machine at hand: speed and memory."""

import platform
import re
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from medner.cpu_kernels import give_back_freed_memory
from medner.datamodule import Batch

_CLEAR = Path("/proc/self/clear_refs")


class Cost(pl.Callback):
    """Counts the documents' tokens and the seconds that training on them took, validation left out;
    what interrupted calls took is included.

    Context tokens, special ones and padding are not counted: they are the price of windows.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._began: float | None = None

    def state_dict(self) -> dict[str, Any]:
        self._stop()
        return {"tokens": self.tokens, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.tokens, self.seconds = state_dict["tokens"], state_dict["seconds"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        reset_peak_memory(pl_module.device.type == "cuda")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        if self._began is None:
            self._began = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch,
        batch_idx: int,
    ) -> None:  # fmt: skip
        # each token of a document is supervised once; counted as a step begins, for all its batches
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.tokens += batch.effective_supervised

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._began is not None:
            self.seconds += time.monotonic() - self._began
            self._began = None


def describe(counted: Mapping[str, Any], accelerator: str, devices: int = 1) -> dict[str, Any]:
    """For JSON: the ``device`` by name, ``tokens_a_second``, ``peak_memory`` in bytes.

    Of several devices, tokens are those of all, memory is that of the first.

    Args:
        counted: the state of a ``Cost``; empty if there was none.
        devices: that trained at once.
    """
    on_card = accelerator != "cpu" and torch.cuda.is_available()
    device = torch.cuda.get_device_name() if on_card else _processor()
    tokens, seconds = counted.get("tokens", 0), counted.get("seconds", 0.0)
    return {
        "device": f"{devices} x {device}" if devices > 1 else device,
        "tokens_a_second": round(tokens / seconds, 1) if seconds else None,
        "peak_memory": peak_memory(on_card),
    }


def reset_peak_memory(on_card: bool) -> None:
    """Forget the peak so far, where the system can: a sweep trains one model after the other."""
    if on_card:
        torch.cuda.reset_peak_memory_stats()
        return
    give_back_freed_memory()
    if _CLEAR.exists():
        with suppress(OSError):  # some containers forbid it
            _CLEAR.write_text("5")  # proc(5): resets the peak resident set size


def peak_memory(on_card: bool) -> int:
    """Bytes: allocated on the card, or resident of this process."""
    if on_card:
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} threads"
