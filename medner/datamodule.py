"""Windows of documents as batches: shuffled by length for training, whole for evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, Dataset, Sampler

from medner.decoding import reachable
from medner.documents import Document
from medner.encoder import special_ids
from medner.errors import ConfigError
from medner.labels import IGNORED, Labels, copied, flatten
from medner.predictions import Prediction
from medner.token_cache import tokenise_once
from medner.windows import TokenizedDocument, Window, cut

# Effective batches that are sorted by length together, at most, and pools of an epoch, at least:
# which windows make a pool is drawn anew each time, so that a window's neighbours change.
_BATCHES, _POOLS = 16, 4


def effective_batches(
    lengths: NDArray[np.int64], size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """The windows of an epoch in batches of similar length; a pure function of its arguments.

    Args:
        lengths: tokens of each window, shape (windows,).
        size: windows in a batch; the last one may have fewer. It comes last because Lightning
            counts micro-batches to know where an effective batch ends.

    Returns:
        Indices of windows, every window once.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    whole = len(lengths) // size
    together = size * max(1, min(_BATCHES, whole // _POOLS))
    batches = []
    for at in range(0, len(order), together):
        pool = order[at : at + together]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [batches[i] for i in [*rng.permutation(whole), *range(whole, len(batches))]]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """The windows that a device takes at once, and how many tokens their effective batch has.

    A ``spare`` one carries no loss: it is for a device that has no windows left in a step.
    """

    windows: tuple[int, ...]
    supervised: int
    spare: bool = False


class BatchSampler(Sampler[MicroBatch]):
    """Micro-batches of an epoch, in the order that (seed, epoch) gives.

    Those of an effective batch go to the ``ranks`` in turn; here are those of ``rank``, for each of
    whom there are as many. Lightning calls ``set_epoch``. A run that resumes in the middle of an
    epoch starts with ``epoch`` and the number of micro-batches to ``skip`` in it.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        supervised: Sequence[int],
        *,
        effective_batch: int,
        device_batch: int,
        seed: int,
        epoch: int = 0,
        skip: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.supervised = np.asarray(supervised)
        self.effective_batch = effective_batch
        self.device_batch = device_batch
        self.seed = seed
        self.epoch = epoch
        self.rank, self.ranks = rank, ranks
        self._skip = (epoch, skip)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        """Micro-batches of a whole epoch, whatever is skipped."""
        whole, rest = divmod(len(self.lengths), self.effective_batch)
        return whole * self._turns(self.effective_batch) + self._turns(rest)

    def __iter__(self) -> Iterator[MicroBatch]:
        epoch, skip = self._skip
        micro_batches = self._micro_batches()
        return iter(micro_batches[skip:] if epoch == self.epoch else micro_batches)

    def _turns(self, windows: int) -> int:
        """Micro-batches that each rank has of so many windows."""
        return -(-windows // (self.device_batch * self.ranks))

    def _micro_batches(self) -> list[MicroBatch]:
        return [
            self._micro_batch(batch, turn)
            for batch in effective_batches(
                self.lengths, self.effective_batch, self.seed, self.epoch
            )
            for turn in range(self._turns(len(batch)))
        ]

    def _micro_batch(self, batch: NDArray[np.int64], turn: int) -> MicroBatch:
        at = (turn * self.ranks + self.rank) * self.device_batch
        windows = batch[at : at + self.device_batch]
        supervised = int(self.supervised[batch].sum())
        # all ranks meet in every step; a spare window is the last of them, for it is short
        spare = not len(windows)
        return MicroBatch(tuple((batch[-1:] if spare else windows).tolist()), supervised, spare)


@dataclass(frozen=True)
class Batch:
    """Windows as tensors, each of shape (windows, tokens with special ones).

    ``labels`` are ``IGNORED`` wherever a token carries no loss. The windows' own text begins at
    position ``lead``. ``supervised`` counts the tokens that carry a loss here,
    ``effective_supervised`` those of the effective batch that this one is a part of.
    """

    windows: tuple[Window, ...]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    lead: int
    supervised: int
    effective_supervised: int

    def to(self, device: torch.device, **options: Any) -> "Batch":
        tensors = ("input_ids", "attention_mask", "labels")
        moved = {name: getattr(self, name).to(device, **options) for name in tensors}
        return replace(self, **moved)


class Batches(Dataset):
    """The windows' batches; without ``tags`` no token carries a loss."""

    def __init__(
        self, windows: Sequence[Window],
        tags: Mapping[TokenizedDocument, NDArray[np.int64]] | None, tokenizer: Tokenizer,
        pad_id: int,
    ) -> None:  # fmt: skip
        self.windows = windows
        self.tags = tags
        self.before, self.behind = special_ids(tokenizer)
        self.pad_id = pad_id

    def __getitem__(self, batch: MicroBatch) -> Batch:
        windows = tuple(self.windows[index] for index in batch.windows)
        lead, special = len(self.before), len(self.before) + len(self.behind)
        shape = len(windows), max(map(len, windows)) + special
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        for row, window in enumerate(windows):
            inner = window.tokens.ids[window.start : window.end]
            ids[row, : len(window) + special] = [*self.before, *inner, *self.behind]
            mask[row, : len(window) + special] = 1
            if self.tags is not None and not batch.spare:
                first = lead + window.own_start - window.start
                own = slice(first, first + window.own_end - window.own_start)
                labels[row, own] = self.tags[window.tokens][window.own_start : window.own_end]
        return Batch(
            windows,
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask),
            labels=torch.from_numpy(labels),
            lead=lead,
            supervised=int((labels != IGNORED).sum()),
            effective_supervised=batch.supervised,
        )


class NerDataModule(pl.LightningDataModule):
    """The parts of a split, tokenised and cut into windows.

    Args:
        parts: documents by part; ``train`` and ``validation`` for fitting, any one for prediction.
        labels, flatten_rule, subtokens: how entities become tags.
        tokenizer, pad_id: of the encoder.
        length: the most tokens that the encoder takes, special ones counted.
        context: see :func:`medner.windows.cut`.
        truncate: whether what does not fit the first window of a document is cut off.
        token_cache: see :func:`medner.token_cache.tokenise_once`.
        effective_batch: windows an optimiser step.
        device_batch: windows a device holds at once.
        seed: of the training order.
        ranks: processes that share each effective batch and the documents to validate on.

    Raises:
        ConfigError: if there are fewer documents to validate on than ``ranks``.
    """

    def __init__(
        self, parts: Mapping[str, Sequence[Document]], *, labels: Labels, flatten_rule: str,
        tokenizer: Tokenizer, pad_id: int, length: int, context: int, effective_batch: int = 8,
        device_batch: int = 8, seed: int = 0, truncate: bool = False, subtokens: str = "bio",
        ranks: int = 1, token_cache: Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.labels = labels
        self.flatten_rule = flatten_rule
        self.subtokens = subtokens
        self.tokenizer = tokenizer
        self.pad_id = pad_id
        self.effective_batch = effective_batch
        self.device_batch = device_batch
        self.seed = seed
        self.ranks = ranks
        length -= sum(map(len, special_ids(tokenizer)))
        self.whole: dict[str, int] = {}  # tokens of a part, those that are cut off included
        self.tokenised: dict[str, list[TokenizedDocument]] = {}
        self.windows: dict[str, list[Window]] = {}
        self.tags: dict[TokenizedDocument, NDArray[np.int64]] = {}
        every = list(chain.from_iterable(parts.values()))  # at once: a cache knows no split
        tokenised = iter(tokenise_once(every, tokenizer, token_cache))
        for part, documents in parts.items():
            self.tokenised[part] = list(islice(tokenised, len(documents)))
            self.whole[part] = sum(map(len, self.tokenised[part]))
            if truncate:
                self.tokenised[part] = [tokens.first(length) for tokens in self.tokenised[part]]
            self.windows[part] = []
            for tokens in self.tokenised[part]:
                entities = flatten(tokens.document.entities, flatten_rule)
                entities = [entity for entity in entities if entity.type in labels.types]
                tags = labels.encode(entities, tokens.starts, tokens.ends)
                self.tags[tokens] = tags if subtokens == "bio" else copied(tags, tokens.inside_word)
                self.windows[part] += cut(tokens, length, context)
        validated = len({window.tokens for window in self.windows.get("validation", ())})
        if validated < ranks and ranks > 1:
            raise ConfigError(
                f"{ranks} devices: more than the {validated} documents to validate on, of which "
                "each takes its share; take fewer (trainer.devices), or data.split.validation"
            )

    def documents(self, part: str) -> list[Document]:
        return [tokens.document for tokens in self.tokenised[part]]

    def reachable(self) -> list[Prediction]:
        """The best that tokens and flat tags allow for: the gold, encoded and decoded."""
        tokenised = [tokens for part in self.tokenised.values() for tokens in part]
        rules = self.labels, self.flatten_rule, self.subtokens
        return [reachable(tokens, *rules) for tokens in tokenised]

    @property
    def micro_batches(self) -> int:
        """How many of a whole effective batch each rank has."""
        return -(-self.effective_batch // (self.device_batch * self.ranks))

    def state_dict(self) -> dict[str, int]:
        """What a checkpoint's progress is counted in."""
        return {"micro_batches": self.micro_batches}

    @property
    def steps_an_epoch(self) -> int:
        return -(-len(self.windows["train"]) // self.effective_batch)

    def train_dataloader(self) -> DataLoader:
        """From where the trainer stands: in a resumed epoch, behind what it has seen already."""
        windows = self.windows["train"]
        loop = self.trainer.fit_loop
        sampler = BatchSampler(
            [len(window) for window in windows],
            [window.own_end - window.own_start for window in windows],
            effective_batch=self.effective_batch,
            device_batch=self.device_batch,
            seed=self.seed,
            # not current_epoch: behind the end of an epoch it is counted up only later
            epoch=loop.epoch_progress.current.processed,
            skip=loop.epoch_loop.batch_progress.current.ready if loop.restarting else 0,
            rank=self.trainer.global_rank,
            ranks=self.ranks,
        )
        return self._loader(windows, sampler)

    def val_dataloader(self) -> DataLoader:
        return self.evaluation_dataloader("validation", self.trainer.global_rank)

    def evaluation_dataloader(self, part: str, rank: int = 0) -> DataLoader:
        """All windows of a rank's documents of a part, one after the other, the longest first."""
        windows = sorted(self.windows[part], key=lambda window: -len(window.tokens))
        documents = list(dict.fromkeys(window.tokens for window in windows))
        own = set(documents[rank :: self.ranks])
        windows = [window for window in windows if window.tokens in own]
        at = range(0, len(windows), self.device_batch)
        batches = [
            MicroBatch(tuple(range(i, min(i + self.device_batch, len(windows)))), 0) for i in at
        ]
        return self._loader(windows, batches)

    def _loader(self, windows: Sequence[Window], batches: Any) -> DataLoader:
        return DataLoader(
            Batches(windows, self.tags, self.tokenizer, self.pad_id),
            sampler=batches,
            batch_size=None,
            collate_fn=lambda batch: batch,
        )
