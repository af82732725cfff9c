"""What a machine proposes; the processor's features come from the test."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from medner import hardware
from medner.schema import HardwareConfig


def proposed(name: str, flags: str | None, monkeypatch: pytest.MonkeyPatch, **given: object):
    real = Path.read_text

    def read_text(path: Path, *args: object, **options: object) -> str:
        if str(path) != "/proc/cpuinfo":
            return real(path, *args, **options)
        if flags is None:
            raise FileNotFoundError(path)
        return f"processor\t: 0\nflags\t\t: fpu {flags} sse\n"

    monkeypatch.setattr(Path, "read_text", read_text)
    return hardware.propose(OmegaConf.structured(HardwareConfig(name=name, **given)), "cpu")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("avx512f avx512_bf16", "bf16-mixed"),
        ("amx_bf16 amx_tile", "bf16-mixed"),
        ("avx2 avx512f", None),
        (None, None),  # no Linux
    ],
)
def test_bf16_where_the_processor_has_it(
    flags: str | None, precision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = proposed("auto", flags, monkeypatch)
    assert auto.precision == precision
    assert auto.device_batch is None
    assert auto.name.startswith("auto: ")


def test_a_pinned_processor_proposes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proposed("cpu", "avx512_bf16", monkeypatch) == HardwareConfig(name="cpu")


def test_what_is_written_into_the_group_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = proposed("auto", "avx512_bf16", monkeypatch, precision="32", device_batch=2)
    assert (auto.precision, auto.device_batch) == ("32", 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
def test_a_card_is_named() -> None:
    auto = hardware.propose(OmegaConf.structured(HardwareConfig(name="auto")), "auto")
    assert torch.cuda.get_device_name() in auto.name
