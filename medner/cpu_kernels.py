"""What an encoder computes faster on a CPU: attention, dropout, and memory that is used again.

What each is worth on a machine, ``bench/training_step.py`` tells.
"""

import ctypes
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "medner_cpu"
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_CACHE = 2**22  # bytes of scores that are worked on at once, so that a cache holds them


def use_cpu_kernels(encoder: PreTrainedModel) -> None:
    """Let an encoder use what is here where its tensors are on a CPU; elsewhere it stays as it is.

    Weights and results are the same but for rounding, dropout's probability to 1/65536.
    """
    if encoder._supports_attention_backend:
        encoder.set_attn_implementation(NAME)
    for module in encoder.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, and use it again.

    The C library gives large blocks back, and the kernel clears each page anew when the next step
    asks for them. Nothing is done without glibc.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, -1)


def give_back_freed_memory() -> None:
    """Give the system what is kept and not in use."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def quantised(encoder: PreTrainedModel) -> nn.Module:
    """A copy whose linear layers have weights of 8 bits, a scale for each of their outputs, and
    round what they are given to 8 bits, too, with one scale a call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wants to move it to torchao
        return torch.ao.quantization.quantize_dynamic(
            encoder, {nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        )


class Dropout(nn.Dropout):
    """Dropout that draws 16 bits an element, four elements at once, where torch draws a Bernoulli
    number for each."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        return input * _kept(input.shape, self.p).to(input.dtype).mul_(_scale(self.p))


def _kept(shape: torch.Size, p: float) -> torch.Tensor:
    """1 for each element that dropout keeps, 0 for the others, from the default generator."""
    n = shape.numel()
    drawn = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = drawn.view(torch.int16)[:n].view(shape) >= _dropped(p) - 2**15
    return kept.view(torch.uint8)  # products with bools take twice the time


def _dropped(p: float) -> int:
    """Of 65536 numbers those that drop an element."""
    return round(p * 2**16)


def _scale(p: float) -> float:
    """Of what is kept, which so has the mean of all."""
    return 2**16 / (2**16 - _dropped(p))


def attention(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, dropout: float = 0.0, scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention as transformers calls it: (windows, heads, tokens, width) each, and where to look.

    What it is not made for (grouped heads, biases, a mask for each head, a card, an export) is done
    by transformers' own, and so is what torch does as fast: fp32 without dropout.
    """
    given = dtype = query.dtype
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
    plain = query.shape == key.shape and options.get("position_bias") is None and dropout < 1
    plain = plain and (attention_mask is None or attention_mask.shape[1] == 1)
    slow = dropout > 0 or dtype != torch.float32
    if not (plain and slow) or query.device.type != "cpu" or torch.compiler.is_compiling():
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **options
        )
    query, key, value = (each.to(dtype) for each in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    tensors = query * scale, key, value, attention_mask
    keeps = dropout or torch.is_grad_enabled()
    result = _Attention.apply(*tensors, dropout) if keeps else _attend(*tensors)
    return result.transpose(1, 2).to(given), None  # 8-bit linear layers take what they give: fp32


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None,
    shares: torch.Tensor | None = None, kept: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """softmax(QK')V, a few heads at a time.

    Args:
        mask: (windows, 1, tokens, tokens), or what broadcasts to that: True where to look.
        shares: takes softmax(QK') of each head, (windows * heads, tokens, tokens).
        kept: of the same shape, 0 where dropout drops.
    """
    shape = query.shape
    query, key, value = (each.reshape(-1, *shape[2:]) for each in (query, key, value))
    result = torch.empty_like(query)
    for window, heads in _few_heads(shape, query.itemsize):
        scores = torch.bmm(query[heads], key[heads].transpose(1, 2))
        if mask is not None:
            where = mask[window if len(mask) > 1 else 0]
            scores.masked_fill_(~where, torch.finfo(scores.dtype).min)
        of_heads = torch.softmax(scores, -1, out=scores if shares is None else shares[heads])
        if kept is not None:
            of_heads = torch.mul(of_heads, kept[heads], out=scores)
        torch.bmm(of_heads, value[heads], out=result[heads])
    return result.view(shape)


def _few_heads(shape: torch.Size, itemsize: int) -> Iterator[tuple[int, slice]]:
    """Stretches of a window's heads, of all heads in a row, whose scores a cache holds."""
    windows, heads, tokens, _ = shape
    few = max(torch.get_num_threads(), _CACHE // (tokens * tokens * itemsize))
    for window in range(windows):
        for first in range(window * heads, (window + 1) * heads, few):
            yield window, slice(first, min(first + few, (window + 1) * heads))


class _Attention(torch.autograd.Function):
    """Attention with the probabilities kept for the way back, by batched matrix products.

    On a CPU, torch's fused attention computes them a second time, and takes longer; with dropout
    it is not fused at all.
    """

    @staticmethod
    def forward(
        context: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        mask: torch.Tensor | None, dropout: float,
    ) -> torch.Tensor:  # fmt: skip
        windows, heads, tokens, _ = query.shape
        shares = query.new_empty(windows * heads, tokens, tokens)
        kept = _kept(shares.shape, dropout) if dropout else None
        context.save_for_backward(query, key, value, shares, kept)
        context.scale = _scale(dropout)
        return _attend(query, key, value * context.scale, mask, shares, kept)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *saved, shares, kept = context.saved_tensors
        shape = gradient.shape
        query, key, value, gradient = (each.reshape(-1, *shape[2:]) for each in (*saved, gradient))
        gradient = gradient * context.scale
        of_query, of_key, of_value = (torch.empty_like(each) for each in (query, key, value))
        for _, heads in _few_heads(shape, gradient.itemsize):
            of_shares = torch.bmm(gradient[heads], value[heads].transpose(1, 2))
            used = shares[heads]
            if kept is not None:
                of_shares *= kept[heads]
                used = used * kept[heads]
            torch.bmm(used.transpose(1, 2), gradient[heads], out=of_value[heads])
            of_scores = torch._softmax_backward_data(of_shares, shares[heads], -1, shares.dtype)
            torch.bmm(of_scores, key[heads], out=of_query[heads])
            torch.bmm(of_scores.transpose(1, 2), query[heads], out=of_key[heads])
        return *(each.view(shape) for each in (of_query, of_key, of_value)), None, None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
