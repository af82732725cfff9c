"""What the benchmarks share: the machine in words, its matrix-multiply peak, Markdown tables."""

import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from medner.hardware import cpu_precision

PACKAGES = ("torch", "transformers", "pytorch-lightning", "tokenizers")
_SIZE = 3072  # of the matrices: 38 MB each in fp32, more than caches hold


def machine() -> str:
    """Device, threads and versions, in a line."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}; {versions}"
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}; {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def has_bf16() -> bool:
    """Whether it multiplies matrices faster in bf16."""
    return torch.cuda.is_available() or cpu_precision() is not None


def peak(dtype: torch.dtype) -> float:
    """Floating-point operations a second of the largest kind of work there is: a GEMM."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(_SIZE, _SIZE, dtype=dtype, device=device) for _ in range(2))

    def seconds() -> float:
        began = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    seconds()
    return 2 * _SIZE**3 / statistics.median(seconds() for _ in range(7))


def operations(encoder: torch.nn.Module, length: int, training: bool) -> float:
    """Floating-point operations of matrix products for a token of a window of ``length`` tokens.

    Two for each weight of a linear layer, and four times tokens times width for attention in each
    layer; the way back has twice as many.
    """
    config = encoder.config
    weights = sum(
        module.weight.numel() for module in encoder.modules() if type(module) is torch.nn.Linear
    )
    attention = 4 * length * config.hidden_size * config.num_hidden_layers
    return (2 * weights + attention) * (3 if training else 1)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head, and the first column alone is to the left."""
    head, *rest = rows
    line = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, line, *rest))
