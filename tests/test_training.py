"""What goes wrong in training: no finite loss, no memory, nothing learned."""

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import Run
from omegaconf import OmegaConf
from test_checkpoints import options
from test_module import NOTES, data_for, small_module, tokenizer_files, weights

from medner.datamodule import Batch
from medner.errors import OutOfMemoryError, UserError
from medner.hardware import is_out_of_memory
from medner.inference import Predictor
from medner.module import NerModule
from medner.runs import HISTORY, LAST
from medner.training import disappointments, fit

__all__ = ["tokenizer_files"]


def memory_for(windows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third step on, more windows at once do not fit."""
    real = NerModule.training_step

    def step(module: NerModule, batch: Batch) -> torch.Tensor:
        if len(batch.windows) > windows and module.trainer.global_step >= 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(module, batch)

    monkeypatch.setattr(NerModule, "training_step", step)


def test_the_real_error_of_a_machine_without_memory_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_out_of_memory_says_which_settings_to_lower(
    tokenizer_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_for(1, monkeypatch)
    module = small_module(tokenizer_files)
    with pytest.raises(UserError) as caught:
        fit(options(), module, data_for(module), tmp_path, ())
    assert re.fullmatch(
        r"out of memory with 4 windows of up to 24 tokens at once in precision 32; try "
        r"trainer\.device_batch=2 or hardware\.auto_batch=true .*, or trainer\.precision=16, or .*",
        str(caught.value),
    )


def test_auto_batch_halves_the_batch_and_goes_on(
    tokenizer_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Without dropout the weights end up where they do with memory enough, but for rounding."""
    caplog.set_level("INFO")
    ended = {}
    for windows in (4, 1):
        memory_for(windows, monkeypatch)
        config = options(save_minutes=0, learning_rate=1e-3)
        config.hardware.name, config.hardware.auto_batch = "cpu", True
        module = small_module(tokenizer_files, dropout=0.0, learning_rate=1e-3)
        run = tmp_path / str(windows)
        history = fit(config, module, data_for(module), run, ())
        ended[windows] = history, weights(NerModule.load(run / LAST))
        assert config.trainer.device_batch == windows
    going_on = [r.message for r in caplog.records if "going on with" in r.message]
    assert [line.rpartition("; ")[2] for line in going_on] == [
        "going on with trainer.device_batch=2", "going on with trainer.device_batch=1",
    ]  # fmt: skip
    saved = OmegaConf.load(tmp_path / "1" / "config.yaml")
    assert (saved.trainer.device_batch, saved.trainer.effective_batch) == (1, 4)
    for left, right in zip(*(ended[windows][0] for windows in (4, 1)), strict=True):
        assert left["step"] == right["step"]
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-3)
    torch.testing.assert_close(ended[4][1], ended[1][1], rtol=0, atol=1e-3)


def test_memory_that_does_not_suffice_for_prediction(
    tokenizer_files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(module: NerModule, batch: Batch) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(NerModule, "forward", forward)
    predict = Predictor(small_module(tokenizer_files), "32", "cpu", device_batch=4)
    with pytest.raises(
        OutOfMemoryError, match=r"out of memory with 4 windows .*try a smaller trainer\.dev"
    ):
        predict(NOTES)


@pytest.mark.parametrize("at", [0, 3])
def test_a_loss_that_is_no_number_names_the_documents(
    tokenizer_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real = NerModule.forward
    poisoned: list[str] = []

    def forward(module: NerModule, batch: Batch) -> torch.Tensor:
        logits = real(module, batch)
        if module.trainer.training and module.trainer.global_step == at:
            poisoned.extend(dict.fromkeys(w.tokens.document.id for w in batch.windows))
            logits = logits / 0.0
        return logits

    monkeypatch.setattr(NerModule, "forward", forward)
    module = small_module(tokenizer_files)
    with pytest.raises(UserError) as caught:
        fit(options(save_minutes=0), module, data_for(module), tmp_path, ())
    assert re.match(rf"the loss is nan after step {at + 1}, in precision 32", str(caught.value))
    assert f"with documents {', '.join(poisoned)};" in str(caught.value)
    # what was saved before is sound
    assert weights(NerModule.load(tmp_path / LAST)).isfinite().all()
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == at


def test_weights_that_are_no_numbers_are_not_saved(
    tokenizer_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is finite, its gradient is not: the step spoils the weights before anybody sees."""
    real = NerModule.training_step

    def step(module: NerModule, batch: Batch) -> torch.Tensor:
        loss = real(module, batch)
        return loss if module.trainer.global_step < 3 else (loss - loss.detach()).sqrt()

    monkeypatch.setattr(NerModule, "training_step", step)
    module = small_module(tokenizer_files)
    with pytest.raises(UserError, match="the weights are no finite numbers after step 4, in prec"):
        fit(options(save_minutes=0), module, data_for(module), tmp_path, ())
    assert weights(NerModule.load(tmp_path / LAST)).isfinite().all()


def test_a_diverging_run_ends_with_a_line(run: Run, mirror: Path, tmp_path: Path) -> None:
    ended = run(
        "train.py", "model=bioformer", f"hub_mirror={mirror}", f"output_dir={tmp_path}",
        "logger=none", "trainer.learning_rate=1e30", "trainer.max_epochs=3",
        "trainer.precision=32",
    )  # fmt: skip
    assert re.search(r"the loss is (nan|inf) after step \d+, in precision 32-true, with docum",
                     ended.error())  # fmt: skip


def row(epoch: int, f1: float, predicted: int = 5, step: int = 10) -> dict:
    return {
        "epoch": epoch, "step": epoch * step, "f1": f1, "predicted": predicted,
        "correct": round(10 * f1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("history", "lines"),
    [
        ([row(1, 0.3), row(2, 0.4), row(3, 0.5)], []),
        ([row(e, 0.0, predicted=0) for e in range(1, 11)], ["the model predicts nothing"]),
        ([row(1, 0.1), row(2, 0.0)], ["stopped early, with epoch 2 of 10, before it had learned"]),
        ([row(1, 0.0), row(2, 0.3), row(3, 0.2)], []),
        (
            [row(1, 0.0, predicted=0), row(2, 0.0, predicted=0)],
            ["the model predicts nothing", "stopped early, with epoch 2 of 10"],
        ),
    ],
)
def test_what_was_not_learned_is_said(history: list[dict], lines: list[str]) -> None:
    config = options(max_epochs=10, patience=1, warmup=0.15)
    said = disappointments(history, config.trainer, steps_an_epoch=10)
    assert len(said) == len(lines)
    for line, beginning in zip(said, lines, strict=True):
        assert line.startswith(beginning)


def test_a_run_that_learns_nothing_says_so(run: Run, mirror: Path, tmp_path: Path) -> None:
    ended = run(
        "train.py", "model=bioformer", f"hub_mirror={mirror}", f"hydra.run.dir={tmp_path}/run",
        "logger=none", "trainer.learning_rate=1e-9", "trainer.max_epochs=9", "trainer.patience=1",
        "trainer.warmup=0.9",
    ).well()  # fmt: skip
    assert "before it had learned: the best validation F1, 0." in ended.stdout
    assert len(json.loads((tmp_path / "run" / HISTORY).read_text())) < 9
