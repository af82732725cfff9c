"""What an encoder computes faster on a CPU: attention, dropout, and memory that is used again.

What each is worth on a machine, ``bench/training_step.py`` tells.
"""

import ctypes
import sys
import warnings
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "medner_cpu"
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


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
        dropped, n = round(self.p * 2**16), input.numel()
        drawn = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.int16)[:n].view(input.shape) >= dropped - 2**15
        return input * kept.to(input.dtype).mul_(2**16 / (2**16 - dropped))


def attention(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, dropout: float = 0.0, scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention as transformers calls it: (windows, heads, tokens, width) each, and where to look.

    What it is not made for (dropout of attention, grouped heads, biases, a card, an export) is done
    by transformers' own.
    """
    given = query.dtype
    plain = not dropout and query.shape == key.shape and options.get("position_bias") is None
    if not plain or query.device.type != "cpu" or torch.compiler.is_compiling():
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **options
        )
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (
            each.to(torch.get_autocast_dtype("cpu")) for each in (query, key, value)
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    result = _Attention.apply(query * scale, key, value, attention_mask).transpose(1, 2)
    return result.to(given), None  # linear layers of 8 bits take what they give: fp32


class _Attention(torch.autograd.Function):
    """softmax(QK')V with the probabilities kept for the way back, by batched matrix products.

    On a CPU, torch's fused attention computes them a second time, and takes longer.
    """

    @staticmethod
    def forward(
        context: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        shape = query.shape
        query, key, value = (each.reshape(-1, *shape[2:]) for each in (query, key, value))
        scores = torch.bmm(query, key.transpose(1, 2))
        if mask is not None:  # True where to look
            lowest = torch.finfo(scores.dtype).min
            scores.view(*shape[:2], *scores.shape[1:]).masked_fill_(~mask, lowest)
        shares = scores.softmax(-1)
        context.save_for_backward(query, key, value, shares)
        return torch.bmm(shares, value).view(shape)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, shares = context.saved_tensors
        shape = gradient.shape
        gradient = gradient.reshape(value.shape)
        of_shares = torch.bmm(gradient, value.transpose(1, 2))
        of_scores = torch._softmax_backward_data(of_shares, shares, -1, shares.dtype)
        of_query = torch.bmm(of_scores, key)
        of_key = torch.bmm(of_scores.transpose(1, 2), query)
        of_value = torch.bmm(shares.transpose(1, 2), gradient)
        return *(each.view(shape) for each in (of_query, of_key, of_value)), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
