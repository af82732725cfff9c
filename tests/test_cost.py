"""What a training cost: its tokens are counted once, also where it was interrupted."""

from pathlib import Path

import pytest
import torch
from test_checkpoints import EPOCHS, options
from test_module import data_for, small_module, tokenizer_files

from medner.checkpoints import read_saved
from medner.cost import Cost, describe, peak_memory, reset_peak_memory
from medner.cpu_kernels import keep_freed_memory
from medner.module import NerModule
from medner.runs import LAST
from medner.training import fit

__all__ = ["tokenizer_files"]


@pytest.mark.parametrize("device_batch", [4, 1])
def test_each_token_is_counted_once_an_epoch(
    tokenizer_files: dict[str, str], tmp_path: Path, device_batch: int
) -> None:
    module = small_module(tokenizer_files)
    data = data_for(module, device_batch=device_batch)
    fit(options(device_batch=device_batch), module, data, tmp_path, ())
    counted = read_saved(tmp_path / LAST).cost
    assert counted["tokens"] == EPOCHS * sum(map(len, data.tokenised["train"]))
    assert counted["seconds"] > 0


def test_what_was_counted_before_goes_on(tokenizer_files: dict[str, str], tmp_path: Path) -> None:
    module = small_module(tokenizer_files)
    data = data_for(module)
    fit(options(max_epochs=1), module, data, tmp_path, ())
    first = read_saved(tmp_path / LAST).cost
    again = NerModule.load(tmp_path / LAST)
    fit(options(max_epochs=2), again, data_for(again), tmp_path, ())
    second = read_saved(tmp_path / LAST).cost
    assert second["tokens"] == 2 * first["tokens"] == 2 * sum(map(len, data.tokenised["train"]))
    assert second["seconds"] > first["seconds"] > 0


def test_time_is_taken_from_the_first_batch_to_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 14.0, 100.0, 101.0])
    monkeypatch.setattr("medner.cost.time.monotonic", lambda: next(now))
    cost = Cost()
    cost.on_train_batch_start(None, None)
    cost.on_train_batch_start(None, None)  # goes on
    cost.on_validation_start(None, None)
    cost.on_validation_start(None, None)  # nothing runs
    cost.on_train_batch_start(None, None)
    assert cost.state_dict() == {"tokens": 0, "seconds": 5.0}


def test_speed_is_tokens_by_seconds() -> None:
    figures = describe({"tokens": 300, "seconds": 2.0}, "cpu")
    assert figures["tokens_a_second"] == 150.0
    assert figures["device"].endswith(f"{torch.get_num_threads()} threads")
    assert describe({"tokens": 0, "seconds": 0.0}, "cpu")["tokens_a_second"] is None


def test_a_run_from_before_costs_were_counted(
    tokenizer_files: dict[str, str], tmp_path: Path
) -> None:
    module = small_module(tokenizer_files)
    fit(options(max_epochs=1), module, data_for(module), tmp_path, ())
    saved = torch.load(tmp_path / LAST, weights_only=True)
    del saved["callbacks"]["Cost"]
    torch.save(saved, tmp_path / LAST)
    assert describe(read_saved(tmp_path / LAST).cost, "cpu")["tokens_a_second"] is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a card, the card's memory is told")
def test_the_peak_of_an_earlier_model_is_forgotten() -> None:
    keep_freed_memory()  # as a run does
    large = torch.ones(50_000_000)
    high = peak_memory(False)
    assert high > large.nbytes
    del large
    if Path("/proc/self/clear_refs").exists():
        reset_peak_memory(False)
        assert peak_memory(False) < high - 150e6
