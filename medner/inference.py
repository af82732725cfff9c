"""A module at work on its device: documents in, predictions out."""

import logging
import sys
import warnings
from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from tqdm import tqdm

from medner.config import INT8, NOT_ON_A_CARD
from medner.cpu_kernels import keep_freed_memory, quantised
from medner.datamodule import Batches, MicroBatch
from medner.documents import Document
from medner.encoder import TokenizerFiles, special_ids
from medner.errors import ConfigError, OutOfMemoryError
from medner.hardware import cpu_precision, has_card, is_out_of_memory, out_of_memory
from medner.module import NerModule
from medner.pools import pools
from medner.predictions import Prediction
from medner.windows import Stitcher, TokenizedDocument, cut, tokenise

# what Fabric says of each precision
for _name in ("lightning_fabric", "pytorch_lightning"):  # whichever was imported last
    logging.getLogger(_name).setLevel(logging.WARNING)
warnings.filterwarnings("ignore", ".*is supported for historical reasons.*")


class Predictor:
    """Predicts with a module, which it takes for itself.

    On Linux its process keeps freed memory from then on (:func:`~medner.cpu_kernels
    .keep_freed_memory`).

    Args:
        module: on the CPU.
        precision: one of Lightning's, as ``trainer.precision``, or int8: linear layers with weights
            of 8 bits, the rest in bf16 where the processor has it.
        accelerator: ``auto``, ``cpu`` or ``gpu``; of several cards the first.
        device_batch: windows that it holds at once.

    Raises:
        ConfigError: if int8 is asked of a card.
    """

    def __init__(
        self, module: NerModule, precision: str, accelerator: str, device_batch: int
    ) -> None:
        keep_freed_memory()
        computed_in = precision
        if precision == INT8:
            if accelerator != "cpu" and has_card():
                raise ConfigError(NOT_ON_A_CARD)
            module.encoder = quantised(module.eval().encoder)
            computed_in = cpu_precision() or "32-true"
        fabric = Fabric(
            accelerator=accelerator,
            devices=1,
            precision=computed_in,
            plugins=[LightningEnvironment()],  # not Slurm's, which would count the job's tasks
        )
        module.encoder = fabric.setup_module(module.eval().encoder)
        self.device_batch = device_batch
        self._module, self._precision, self._device = module, precision, fabric.device
        self._tokenizer = TokenizerFiles(module.hparams.tokenizer_files).tokenizer()
        self._special = sum(map(len, special_ids(self._tokenizer)))

    def __call__(self, documents: Sequence[Document]) -> list[Prediction]:
        """Predictions in the documents' order, whose ids need not differ.

        Raises:
            OutOfMemoryError: if the device does not hold a batch.
            UserError: if the model's output is not a number.
        """
        found: list[Prediction] = []
        stretches = list(pools(documents, lambda each: len(each.text), self.device_batch))
        watched = len(stretches) > 1 and sys.stdout.isatty()
        with tqdm(total=len(documents), unit=" documents", disable=not watched) as bar:
            for pool in stretches:
                found += self._pool(pool)
                bar.update(len(pool))
        self._module.warn()
        return found

    @torch.inference_mode()
    def _pool(self, documents: Sequence[Document]) -> list[Prediction]:
        """The longest first, all windows of a document together."""
        tokenised = tokenise(documents, self._tokenizer)
        options = self._module.hparams.window
        length = options["length"] - self._special
        if options.get("truncate"):
            tokenised = [tokens.first(length) for tokens in tokenised]
        windows = [
            window
            for tokens in sorted(tokenised, key=len, reverse=True)
            for window in cut(tokens, length, options["context"])
        ]
        pad_id = self._module.encoder.config.pad_token_id or 0
        batches = Batches(windows, None, self._tokenizer, pad_id)
        stitcher = Stitcher()
        found: dict[TokenizedDocument, Prediction] = {}
        for at in range(0, len(windows), self.device_batch):
            chosen = tuple(range(at, min(at + self.device_batch, len(windows))))
            batch = batches[MicroBatch(chosen, supervised=0)].to(self._device)
            try:
                found |= self._module.decode(batch, self._module(batch), stitcher)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                problem = out_of_memory(self.device_batch, options["length"], self._precision)
                raise OutOfMemoryError(f"{problem}; try a smaller trainer.device_batch") from None
        return [found[tokens] for tokens in tokenised]
