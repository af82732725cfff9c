"""What an encoder computes faster on a CPU gives what torch's own gives."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from medner.cpu_kernels import Dropout, attention, quantised
from medner.encoder import build_encoder, encoder_config

TAGS = ("O", "B-Age", "I-Age")


@settings(max_examples=30, deadline=None)
@given(
    windows=st.integers(1, 3), heads=st.integers(1, 3), tokens=st.integers(1, 20),
    width=st.integers(1, 8), seed=st.integers(0, 1000), padded=st.booleans(),
)  # fmt: skip
def test_attention_and_its_gradient_are_those_of_torch(
    windows: int, heads: int, tokens: int, width: int, seed: int, padded: bool
) -> None:
    torch.manual_seed(seed)
    mask = None
    if padded:  # every token looks at the first one, and at some others
        mask = torch.rand(windows, 1, tokens, tokens) < 0.5
        mask[..., 0] = True
    given_ = [torch.randn(windows, heads, tokens, width, dtype=torch.float64) for _ in range(3)]
    ours, theirs = ([each.clone().requires_grad_() for each in given_] for _ in range(2))
    found, _ = attention(nn.Identity(), *ours, mask)
    expected = scaled_dot_product_attention(*theirs, attn_mask=mask).transpose(1, 2)
    weights = torch.randn_like(expected)
    for result in (found, expected):
        (result * weights).sum().backward()
    torch.testing.assert_close(found, expected)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("name", MODELS.values())
@pytest.mark.parametrize("autocast", [False, True])
def test_an_encoder_gives_what_it_gave(mirror: Path, name: str, autocast: bool) -> None:
    config = encoder_config(mirror / name, TAGS, 0.0, 512)
    encoder = build_encoder(config, mirror / name).eval()
    ids = torch.randint(5, 500, (3, 40), generator=torch.manual_seed(1))
    mask = (torch.arange(40) < torch.tensor([[40], [25], [1]])).long()
    found = []
    for implementation in (encoder.config._attn_implementation, "sdpa"):
        encoder.set_attn_implementation(implementation)
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = encoder(input_ids=ids, attention_mask=mask).logits.float()
        logits[mask.bool()].square().sum().backward()
        gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
        found.append((logits[mask.bool()].detach(), torch.cat([g.flatten() for g in gradients])))
    (ours, our_gradient), (theirs, their_gradient) = found
    tolerance = 3e-2 if autocast else 1e-5
    assert (ours - theirs).norm() <= tolerance * theirs.norm()
    assert (our_gradient - their_gradient).norm() <= tolerance * their_gradient.norm()


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_of_attention_drops_shares_and_scales_the_others(
    p: float, dtype: torch.dtype
) -> None:
    """What comes out, and its gradient, with what was dropped drawn once more from the seed."""
    tensors = [torch.randn(2, 3, 17, 8, dtype=dtype) for _ in range(3)]
    ours, theirs = ([each.clone().requires_grad_() for each in tensors] for _ in range(2))
    mask = (torch.arange(17) < torch.tensor([[17], [9]]))[:, None, None]
    torch.manual_seed(1)
    found, _ = attention(nn.Identity(), *ours, mask, dropout=p)
    torch.manual_seed(1)
    kept = Dropout(p)(torch.ones(2, 3, 17, 17))
    assert 0 < (kept == 0).float().mean() < 1
    query, key, value = (each.float() for each in theirs)
    scores = (query @ key.transpose(2, 3)) * 8**-0.5
    shares = scores.masked_fill(~mask, -torch.inf).softmax(-1) * kept
    expected = (shares @ value).transpose(1, 2)
    for result in (found, expected):
        result.float().square().sum().backward()
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.2, "rtol": 0.05}
    torch.testing.assert_close(found.float(), expected, **close)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, **close)


def test_dropout_of_attention_is_an_encoders_own(mirror: Path) -> None:
    """As its configuration has it where it trains, and off elsewhere."""
    name = MODELS["biobert"]
    encoder = build_encoder(encoder_config(mirror / name, TAGS, 0.5, 512, 0.0), mirror / name)
    ids = torch.randint(5, 500, (1, 40), generator=torch.manual_seed(1))
    with torch.no_grad():
        trained = [encoder.train()(input_ids=ids).logits for _ in range(2)]
        found = [encoder.eval()(input_ids=ids).logits for _ in range(2)]
    assert not torch.allclose(*trained)
    torch.testing.assert_close(*found)


def test_all_shares_dropped_is_left_to_transformers() -> None:
    query = torch.randn(1, 1, 4, 4)
    found, _ = attention(nn.Identity(), query, query, query, None, dropout=1.0)
    assert not found.any()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    n = 200_003  # no multiple of four
    values = torch.ones(n, dtype=dtype, requires_grad=True)
    found = Dropout(p)(values)
    dropped = (found == 0).float()
    assert abs(dropped.mean() - p) < 4 * (p * (1 - p) / n) ** 0.5
    for lag in (1, 2, 3, 4, 5):  # four elements share one random number: independent all the same
        both = (dropped[lag:] * dropped[:-lag]).mean()
        assert abs(both - p * p) < 5 * (p * p * (1 - p * p) / n) ** 0.5
    assert found[found != 0].float().unique().item() == pytest.approx(1 / (1 - p), rel=1e-2)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())


def test_dropout_is_the_seeds_and_off_where_it_should_be() -> None:
    values, layer = torch.randn(3, 5, 7), Dropout(0.3)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(layer(values))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert torch.equal(layer.eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)
    assert not Dropout(1.0)(values).any()


@pytest.mark.parametrize("name", MODELS.values())
@pytest.mark.parametrize("autocast", [False, True])
def test_weights_of_8_bits_give_nearly_the_same(mirror: Path, name: str, autocast: bool) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(encoder_config(mirror / name, TAGS, None, 64), mirror / name).eval()
    small = quantised(encoder)
    assert not any(type(module) is nn.Linear for module in small.modules())
    assert any(type(module) is nn.Linear for module in encoder.modules())  # it is a copy
    ids = torch.randint(5, 200, (3, 40))
    with torch.inference_mode():
        expected = encoder(input_ids=ids).logits
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            found = small(input_ids=ids).logits.float()
    assert 0 < (found - expected).norm() < 0.1 * expected.norm()


@pytest.mark.skipif(sys.platform != "linux", reason="of the C library that Linux has")
def test_memory_that_is_freed_is_kept() -> None:
    """A block of 64 MB that was freed is there again without a page fault for each of its pages."""
    code = """
import resource, torch
from medner.cpu_kernels import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.empty(2**24).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
keep_freed_memory()
faults()
print(before, min(faults() for _ in range(3)))  # the system may take pages away meanwhile
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 10
