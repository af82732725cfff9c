"""The LightningModule: a token classifier that trains on windows and is scored on documents."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn.functional import cross_entropy
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from medner.datamodule import Batch, NerDataModule
from medner.decoding import find_spans, predict
from medner.documents import Document
from medner.encoder import TokenizerFiles, build_encoder
from medner.errors import UserError
from medner.labels import IGNORED, Labels
from medner.layer_decay import depths, parameter_groups
from medner.predictions import Prediction
from medner.scoring.matching import Counts, score
from medner.windows import Stitcher, TokenizedDocument


class SpanCounts(Metric):
    """Gold, predicted and correct spans by type, as integers: documents and ranks add up."""

    def __init__(self, types: Sequence[str]) -> None:
        super().__init__()
        self.types = tuple(types)
        counts = torch.zeros(len(self.types), 3, dtype=torch.long)
        self.add_state("counts", default=counts, dist_reduce_fx="sum")

    def update(self, documents: Sequence[Document], predictions: Sequence[Prediction]) -> None:
        by_type = score(documents, predictions).by_type
        rows = [by_type.get(type_, Counts()) for type_ in self.types]
        rows = [(row.gold, row.predicted, row.correct) for row in rows]
        self.counts += torch.tensor(rows, device=self.counts.device)

    def compute(self) -> torch.Tensor:
        """Gold, predicted and correct, shape (types, 3)."""
        return self.counts


class TokenLoss(Metric):
    """Mean loss of the supervised tokens of an epoch; kept in checkpoints, for a run may go on in
    the middle of one."""

    def __init__(self) -> None:
        super().__init__()
        for state in ("total", "tokens"):
            self.add_state(state, torch.tensor(0.0), dist_reduce_fx="sum", persistent=True)

    def update(self, total: torch.Tensor, tokens: int) -> None:
        """A batch's loss, summed over its tokens."""
        self.total += total
        self.tokens += tokens

    def compute(self) -> torch.Tensor:
        return self.total / self.tokens


class NerModule(pl.LightningModule):
    """Fine-tunes a Hugging Face token classifier.

    All arguments but ``pretrained`` are plain values that the checkpoint holds, so that it loads by
    itself.

    Args:
        types: the entity types.
        encoder: configuration of the token classifier (see :func:`medner.encoder.encoder_config`).
        tokenizer_files: file name to text (see :class:`medner.encoder.TokenizerFiles`).
        window: ``length`` and ``context``, in tokens, and whether to ``truncate``.
        optimizer: ``learning_rate`` at the peak, ``warmup`` as a share of all steps,
            ``weight_decay``, and perhaps ``layer_decay``.
        seed: of dropout; with the step it decides every random number drawn in training.
        subtokens: how the tokens of a word are tagged, one of :data:`medner.labels.SUBTOKENS`.
        pretrained: folder of the weights to start from, or None for random ones.
    """

    def __init__(
        self, types: Sequence[str], encoder: dict[str, Any], tokenizer_files: dict[str, str],
        window: dict[str, int], optimizer: dict[str, float], seed: int = 0,
        subtokens: str = "bio", pretrained: str | Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        # not for loggers: the tokenizer is large, and the configuration may name a folder
        self.save_hyperparameters(ignore=["pretrained"], logger=False)
        self.labels = Labels(tuple(types))
        self.encoder = build_encoder(encoder, Path(pretrained) if pretrained else None)
        # checkpoints of before there was one have none
        self._layer_decay = optimizer.get("layer_decay") or 1.0
        self._depths = depths(self.encoder) if self._layer_decay != 1 else {}
        self.span_counts = SpanCounts(self.labels.types)
        self.token_accuracy = MulticlassAccuracy(
            len(self.labels.tags), average="micro", ignore_index=IGNORED
        )
        self.validation_counts = Counts()
        self._by_document: dict[str, Counts] = {}
        self.train_loss = TokenLoss()
        self._last_loss: tuple[torch.Tensor, Batch] | None = None
        self._stitcher = Stitcher()

    @classmethod
    def load(cls, checkpoint: str | Path) -> "NerModule":
        """The module of a checkpoint, on the CPU; nothing in the file is executed.

        Raises:
            UserError: if the file is no checkpoint of this program.
        """
        try:
            # Lightning would call what "_instantiator" in the file names
            return cls.load_from_checkpoint(
                checkpoint, map_location="cpu", weights_only=True, _instantiator=None
            )
        except UnpicklingError:
            raise UserError(
                f"{checkpoint}: not a checkpoint of this program (it holds more than plain "
                "values, or none, and nothing else is loaded)"
            ) from None
        except (
            EOFError, KeyError, TypeError, RuntimeError, ValueError, AttributeError,
        ) as error:  # fmt: skip
            problem = str(error).strip().partition("\n")[0][:80]
            raise UserError(
                f"{checkpoint}: not a checkpoint of this program "
                f"({type(error).__name__}: {problem})"
            ) from None

    def datamodule(self, parts: Mapping[str, Sequence[Document]], **options: Any) -> NerDataModule:
        """The documents as this model takes them; ``options`` are those of NerDataModule."""
        return NerDataModule(
            parts,
            labels=self.labels,
            tokenizer=TokenizerFiles(self.hparams.tokenizer_files).tokenizer(),
            pad_id=self.encoder.config.pad_token_id or 0,
            subtokens=self.hparams.subtokens,
            **self.hparams.window,
            **options,
        )

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, shape (windows, tokens with special ones, tags), in fp32."""
        output = self.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return output.logits.float()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self.check_loss()
        # the same numbers whether or not the run was interrupted before this batch; each rank has
        # its own
        number = self.trainer.fit_loop.total_batch_idx * self.trainer.world_size
        torch.manual_seed(self.hparams.seed + 1_000_003 * (number + self.trainer.global_rank))

    def training_step(self, batch: Batch) -> torch.Tensor:
        """Cross entropy, a mean over the supervised tokens of the whole *effective* batch.

        Lightning divides by the number of accumulated micro-batches, and DDP by that of the ranks;
        both are taken back here.
        """
        logits = self(batch)
        loss = cross_entropy(
            logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        self._last_loss = loss.detach(), batch
        self.train_loss.update(loss.detach(), batch.supervised)
        parts = self.trainer.accumulate_grad_batches * self.trainer.world_size
        return loss * (parts / batch.effective_supervised)

    def check_loss(self) -> None:
        """Look at the loss of the batch before, whose documents an error can name.

        A card is waited for here until it has finished that batch.

        Raises:
            UserError: if it is not a finite number, with the batch's documents.
        """
        if self._last_loss is None:
            return
        (loss, batch), self._last_loss = self._last_loss, None
        if torch.isfinite(loss):
            return
        documents = dict.fromkeys(window.tokens.document.id for window in batch.windows)
        raise UserError(
            f"the loss is {loss.item()} after step {self.trainer.global_step}, in precision "
            f"{self.trainer.precision}, with documents {', '.join(documents)}; try a lower "
            "trainer.learning_rate, trainer.precision=32 (or bf16 where the device has it), and "
            "look at these documents"
        )

    def check_weights(self) -> None:
        """UserError if they are no finite numbers: a finite loss may have an infinite gradient."""
        if not all(torch.isfinite(parameter).all() for parameter in self.parameters()):
            raise UserError(
                f"the weights are no finite numbers after step {self.trainer.global_step}, in "
                f"precision {self.trainer.precision}; try a lower trainer.learning_rate, or "
                "trainer.precision=32 (or bf16 where the device has it)"
            )

    def decode(
        self, batch: Batch, logits: torch.Tensor, stitcher: Stitcher, spans_alone: bool = False
    ) -> list[tuple[TokenizedDocument, Prediction]]:
        """The documents that this batch completes, with what is found in them.

        Args:
            logits: as of ``forward``.
            stitcher: holds the windows of the batches before.
            spans_alone: whether confidences and tokens are left out.
        """
        log_probs = logits.log_softmax(dim=-1).cpu().numpy()
        find = find_spans if spans_alone else predict
        return [
            (tokens, find(tokens, values, self.labels, self.hparams.subtokens))
            for tokens, values in stitcher.add(batch.windows, log_probs[:, batch.lead :])
        ]

    def warn(self) -> None:
        """Say what there is to say of all documents that were decoded; here nothing."""

    def validation_step(self, batch: Batch) -> None:
        logits = self(batch)
        self.token_accuracy.update(logits.flatten(0, 1), batch.labels.flatten())
        decoded = self.decode(batch, logits, self._stitcher, spans_alone=True)
        documents = [tokens.document for tokens, _ in decoded]
        self.span_counts.update(documents, [prediction for _, prediction in decoded])
        for tokens, prediction in decoded:
            document = tokens.document
            self._by_document[document.id] = score([document], [prediction]).overall

    def on_validation_start(self) -> None:
        self.check_loss()

    def on_validation_epoch_end(self) -> None:
        counts = Counts(*self.span_counts.compute().sum(dim=0).tolist())
        self.span_counts.reset()
        self.validation_counts = counts
        figures = {"f1": counts.f1, "precision": counts.precision, "recall": counts.recall}
        for name, figure in figures.items():
            self.log(f"val/{name}", figure, prog_bar=name == "f1")
        self.log("val/token_accuracy", self.token_accuracy)

    def epoch_figures(self) -> dict[str, Any]:
        """Training loss and validation scores (strict) of the epoch that ends; begins a new one.

        ``by_document`` has gold, predicted and correct of each validation document, in the order of
        their ids.
        """
        counts = self.validation_counts
        loss = float(self.train_loss.compute())
        self.train_loss.reset()
        return {
            "loss": loss, "f1": counts.f1, "precision": counts.precision, "recall": counts.recall,
            "gold": counts.gold, "predicted": counts.predicted, "correct": counts.correct,
            "by_document": [
                [each.gold, each.predicted, each.correct]
                for _, each in sorted(self._every_document().items())
            ],
        }  # fmt: skip

    def _every_document(self) -> dict[str, Counts]:
        """Counts of the documents of all ranks."""
        if self.trainer.world_size == 1:
            return self._by_document
        by_rank: list[dict[str, Counts]] = [{} for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(by_rank, self._by_document)
        return {name: counts for each in by_rank for name, counts in each.items()}

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:  # fmt: skip
        """By norm. Lightning refuses a fused optimizer in any mixed precision; what keeps it from
        clipping is fp16's scaling alone."""
        if not optimizer.defaults["fused"]:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW; matrices decay, biases and norms do not; linear warm-up, then linear to zero."""
        settings = self.hparams.optimizer
        groups = parameter_groups(
            self.encoder.named_parameters(), self._depths, settings["learning_rate"],
            settings["weight_decay"], self._layer_decay,
        )  # fmt: skip
        fused = self.trainer.precision != "16-mixed"  # with scaled gradients they cannot be clipped
        optimizer = torch.optim.AdamW(groups, fused=fused)
        # not trainer.estimated_stepping_batches: it starts the batches before a resumed run knows
        # where it stood
        steps = self.trainer.datamodule.steps_an_epoch * self.trainer.max_epochs
        warmup = max(1, round(settings["warmup"] * steps))

        def factor(step: int) -> float:
            return min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
