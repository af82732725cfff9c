"""What a machine proposes; the processor's features and the card's come from the test."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import Run
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from test_config import composed
from transformers import BertConfig, BertForTokenClassification

from medner import hardware
from medner.errors import ConfigError
from medner.schema import HardwareConfig
from medner.training import make_trainer

# published: capability, and memory in GB
CARDS = {
    "t4": ((7, 5), 16),
    "v100": ((7, 0), 16),
    "a100": ((8, 0), 40),
    "h100": ((9, 0), 80),
    "h200": ((9, 0), 141),
}


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
        ("amx_bf16 amx_tile", "bf16-mixed"),
        ("avx512_bf16 amx_bf16 amx_tile", "bf16-mixed"),
        ("avx512f avx512_bf16", None),  # slower in it than in fp32
        ("avx2 avx512f", None),
        (None, None),  # no Linux
    ],
)
def test_bf16_where_it_is_faster(
    flags: str | None, precision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = proposed("auto", flags, monkeypatch)
    assert auto.precision == precision
    assert auto.device_batch is None
    assert auto.name.startswith("auto: ")


def test_a_pinned_processor_proposes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = proposed("cpu", "amx_bf16", monkeypatch, accelerator="cpu")
    assert cpu == HardwareConfig(name="cpu", accelerator="cpu")


def test_what_is_written_into_the_group_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = proposed("auto", "amx_bf16", monkeypatch, precision="32", device_batch=2)
    assert (auto.precision, auto.device_batch) == ("32", 2)


def insert(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], memory: float, cards: int = 1
) -> None:
    """What torch tells, as if there were cards of this kind."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    properties = SimpleNamespace(total_memory=int(memory))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: properties)


def settled(*overrides: str) -> tuple[str, str, str | None, int | None]:
    """Name, accelerator, precision and device batch that the options propose here."""
    config = composed("train", *overrides)
    options = hardware.propose(config.hardware, config.trainer.accelerator)
    return options.name, options.accelerator, options.precision, options.device_batch


@pytest.mark.parametrize("free", [1.0, 0.94])  # a driver keeps some for itself
@pytest.mark.parametrize("name", CARDS)
def test_auto_on_a_card_is_the_card_s_profile(
    name: str, free: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    capability, memory = CARDS[name]
    insert(monkeypatch, capability, memory * 1e9 * free)
    assert settled(f"hardware={name}")[0] == name
    assert settled("hardware=auto") == ("auto: a card", *settled(f"hardware={name}")[1:])


@pytest.mark.parametrize(
    ("capability", "gigabytes", "precision", "windows"),
    [
        ((8, 0), 80, "bf16-mixed", 64),
        ((7, 0), 32, "16-mixed", 16),
        ((8, 6), 8, "bf16-mixed", 4),
        ((6, 1), 4, None, 1),
        ((5, 2), 2, None, 1),
    ],
)
def test_cards_without_a_profile(
    capability: tuple[int, int], gigabytes: float, precision: str | None, windows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    insert(monkeypatch, capability, gigabytes * 1e9)
    assert settled()[1:] == ("gpu", precision, windows)


def test_a_card_that_is_there_is_left_alone_if_so_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    insert(monkeypatch, (8, 0), 40e9)
    assert settled("hardware=cpu") == ("cpu", "cpu", None, None)
    name, accelerator, *_, device_batch = settled("trainer.accelerator=cpu")
    assert (name != "auto: a card", accelerator, device_batch) == (True, "cpu", None)


def test_a_card_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    insert(monkeypatch, (0, 0), 0, cards=0)
    assert settled("hardware=auto")[1] == "cpu"
    assert settled("hardware=t4", "trainer.accelerator=cpu")[2:] == ("16-mixed", 8)
    for word in ("hardware=t4", "trainer.accelerator=gpu"):
        with pytest.raises(ConfigError, match=f"^{word}: torch finds no graphics card here"):
            settled(word)


def test_two_cards_do_not_turn_a_run_into_ddp(monkeypatch: pytest.MonkeyPatch) -> None:
    insert(monkeypatch, (7, 5), 16e9, cards=2)
    for accelerator in ("gpu", "auto"):
        trainer = make_trainer("32", accelerator, logger=False)
        assert (trainer.num_devices, trainer.world_size) == (1, 1)
        assert type(trainer.strategy) is SingleDeviceStrategy
        assert trainer.strategy.root_device == torch.device("cuda", 0)
    # what it is kept from
    lightnings_own = Trainer(accelerator="gpu", devices="auto", logger=False)
    assert lightnings_own.num_devices == 2
    assert isinstance(lightnings_own.strategy, DDPStrategy)


def test_a_window_takes_no_more_than_is_reckoned_with() -> None:
    """What autograd keeps of a window of 512 tokens, BERT-base's shape, no fused attention."""
    with torch.device("meta"):
        model = BertForTokenClassification(BertConfig(num_labels=83)).train()
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no other gets its number
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=torch.zeros(1, 512, dtype=torch.long, device="meta"))
    taken = sum(storage.nbytes() for storage in kept.values())
    assert 0.9 * hardware._WINDOW < taken <= hardware._WINDOW


@pytest.mark.slow
def test_a_run_on_a_card_that_is_not_there_is_one_line(
    run: Run, verbs_environment: dict[str, str], mirror: Path, tmp_path: Path
) -> None:
    model = ("model=biobert", f"hub_mirror={mirror}")
    words = ("hardware=t4", *model, "logger=none", f"output_dir={tmp_path}/runs")
    ended = run("train.py", *words, env=verbs_environment | {"CUDA_VISIBLE_DEVICES": ""})
    assert ended.error() == (
        "error: hardware=t4: torch finds no graphics card here; take hardware=auto, or "
        "trainer.accelerator=cpu"
    )
    assert ended.code == 2
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a graphics card has a name to read")
def test_a_card_is_named() -> None:
    auto = hardware.propose(OmegaConf.structured(HardwareConfig(name="auto")), None)
    assert torch.cuda.get_device_name() in auto.name
