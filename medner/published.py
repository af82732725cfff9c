"""Token classifiers that others have published: their tags read as ours, their weights run through
MedNER's windows and decoder.

A checkpoint's own tags (``id2label`` in its ``config.json``) may be BIO in any order, BIOES, BILOU,
BMES or types without prefixes. Probabilities of tags that mean the same to us are added up: S and
U begin an entity as B does; E, L and M go on with it as I does.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from medner.datamodule import Batch
from medner.decoding import predict
from medner.encoder import TokenizerFiles, encoder_config
from medner.errors import UserError
from medner.files import read_json
from medner.id_files import count, some
from medner.labels import Labels
from medner.module import NerModule
from medner.predictions import Prediction
from medner.windows import Stitcher, TokenizedDocument
from medner.words import first_tokens

log = logging.getLogger(__name__)

UNTYPED = "Entity"  # the type of tags that name none: B, I, O
_OUTSIDE = ("O", "0", "OUT", "OUTSIDE", "NONE")  # in any case; the first that is there is it
# what older programs tag special tokens and the later pieces of a word with
_SPECIAL = {"x", "[cls]", "[sep]", "[pad]", "cls", "sep", "pad", "<pad>", "<s>", "</s>"}
_BEGINS = "BSUW"  # W of BMEWO, a whole entity
_PREFIXED = re.compile(f"([{_BEGINS}IELM])(?:[-_](.+))?", re.DOTALL | re.IGNORECASE)
_UNNAMED = re.compile(r"LABEL_\d+")
_TINY = float(np.finfo(np.float32).tiny)  # a probability of 0 has a logarithm too


@dataclass(frozen=True, slots=True, eq=False)
class OwnTags:
    """What a checkpoint's tags mean.

    ``meaning``, shape (own tags,), is the index of each one among the tags of ``labels``. Where
    ``marks_begin`` is false, an entity may begin with I: some type has no tag to begin with.
    """

    labels: Labels
    meaning: NDArray[np.int64]
    marks_begin: bool

    @classmethod
    def read(cls, names: Sequence[str]) -> "OwnTags":
        """Read the names of a checkpoint's tags, in the order of its outputs.

        Tags are O, and ``B-X`` or ``B_X`` with B, I, E, L, M, S, U, W; or B and I alone, of one
        type, ``UNTYPED``; or bare types, which are read as I: there adjacent tokens of a type are
        one entity. Of BIO tags an I with no B beside it in the inventory says that they are IOB1's,
        or have no beginnings at all.

        Raises:
            UserError: if the names say nothing, or there is no outside or no entity among them.
        """
        if unnamed := [name for name in names if _UNNAMED.fullmatch(name)]:
            raise UserError(
                f"its labels have no names ({some(unnamed)}); write them into id2label in its "
                'config.json, as {"0": "O", "1": "B-Disease", ...}, from what its authors say'
            )
        outside = {name for name in names if name.lower() in _SPECIAL}
        known = {name.upper(): name for name in names}
        found = [known[name] for name in _OUTSIDE if name in known]
        if not found:
            raise UserError(
                f"none of its labels ({some(names)}) is the outside of entities "
                f"({', '.join(_OUTSIDE)}); is it a model for named entities? If so, name that one "
                "O in id2label in its config.json"
            )
        outside.add(found[0])
        parsed = _parsed([name for name in dict.fromkeys(names) if name not in outside])
        types = tuple(sorted({type_ for _, type_ in parsed.values()} - {"O"}))  # B-O is seen
        if not types:
            raise UserError(f"none of its labels ({some(names)}) is an entity")
        labels = Labels(types)
        tags = {name: labels.tags.index(f"{prefix}-{type_}")
                for name, (prefix, type_) in parsed.items() if type_ in types}  # fmt: skip
        meaning = np.array([tags.get(name, 0) for name in names])
        without_begin = {tag - 1 for tag in meaning if tag and tag % 2 == 0} - set(meaning)
        return cls(labels, meaning, marks_begin=not without_begin)

    def log_probs(
        self, own: NDArray[np.floating], inside_word: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Log probabilities of our tags from probabilities of the checkpoint's.

        Many checkpoints were trained on the first piece of each word alone, or to say X of the
        others. So the pieces of a word take what the first one says, where B becomes I. (F1 on
        NCBI with MiniLM, without and with this rule: .280 and .808 if trained to say X, .817 and
        .822 if on first pieces alone, .826 and .825 if on all alike.) Where beginnings are not
        marked, I begins an entity behind any other type.

        Args:
            own: probabilities of a document's tokens, shape (tokens, own tags).
            inside_word: as in :class:`medner.windows.TokenizedDocument`, shape (tokens,).

        Returns:
            Shape (tokens, tags of ``labels``); the probabilities of a token add up to 1.
        """
        ours = (own @ np.eye(len(self.labels.tags))[self.meaning])[first_tokens(inside_word)]
        begin, inside = ours[:, 1::2], ours[:, 2::2]
        _move(begin, inside, inside_word[:, None])
        if not self.marks_begin:
            kinds = np.hstack((ours[:, :1], begin + inside)).argmax(axis=1)
            goes_on = np.append(0, kinds[:-1])[:, None] == 1 + np.arange(len(self.labels.types))
            _move(inside, begin, ~goes_on & ~inside_word[:, None])
        return np.log(np.maximum(ours, _TINY))


def _parsed(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """B or I, and the type, of each name."""
    matches = {name: _PREFIXED.fullmatch(name) for name in names}
    prefixed = [name for name, match in matches.items() if match and match[1].upper() in "BI"]
    if prefixed and all(matches.values()):
        return {
            name: ("B" if match[1].upper() in _BEGINS else "I", match[2] or UNTYPED)
            for name, match in matches.items()
        }
    if mixed := [name for name in prefixed if name[1:2] == "-"]:
        others = [name for name, match in matches.items() if not match]
        raise UserError(
            f"some of its labels have a prefix ({some(mixed)}) and some have none "
            f"({some(others)}); name them alike in id2label in its config.json"
        )
    return {name: ("I", name) for name in names}


def _move(source: NDArray[np.floating], to: NDArray[np.floating], where: NDArray[np.bool_]) -> None:
    """Add probabilities to others and take them from where they were."""
    moved = np.where(where, source, 0.0)
    to += moved
    source -= moved


class PublishedTagger(NerModule):
    """A published token classifier, to predict with as with a model of ours.

    Args:
        folder: with config.json, tokenizer and weights (see :func:`medner.pretrained.locate`).
        window_length: the most tokens of a window, special ones counted; fewer where the encoder
            takes fewer.
        context: at least, of a token on both sides; a quarter of the window at most.

    Raises:
        UserError: if it is no token classifier, or its tags, tokenizer or weights cannot be read.
    """

    def __init__(self, folder: str | Path, window_length: int = 512, context: int = 64) -> None:
        folder = Path(folder)
        names = label_names(folder)
        try:
            tags = OwnTags.read(names)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from None
        with loading(folder):
            super().__init__(
                types=tags.labels.types,
                encoder=encoder_config(folder, names, None, 1),
                tokenizer_files=TokenizerFiles.load(folder).files,
                window={"length": window_length, "context": context},
                optimizer={},
                pretrained=folder,
            )
        check_head(self.encoder, folder)
        length = min(window_length, _longest(self.encoder) or window_length)
        self.hparams.window.update(length=length, context=min(context, length // 4))
        self.own_tags = tags
        self._begun = {"B": 0, "I": 0}
        self._warned = False

    def decode(
        self, batch: Batch, logits: torch.Tensor, stitcher: Stitcher
    ) -> list[tuple[TokenizedDocument, Prediction]]:
        own = logits.softmax(dim=-1).cpu().numpy()
        decoded = []
        for tokens, values in stitcher.add(batch.windows, own[:, batch.lead :]):
            log_probs = self.own_tags.log_probs(values, tokens.inside_word)
            tags = log_probs.argmax(axis=1)
            previous = np.append(0, tags[:-1])
            inside = (tags > 0) & (tags % 2 == 0)
            self._begun["B"] += int((tags % 2 == 1).sum())
            self._begun["I"] += int((inside & (previous != tags) & (previous != tags - 1)).sum())
            decoded.append((tokens, predict(tokens, log_probs, self.labels)))
        return decoded

    def warn(self) -> None:
        """Say once if the tags look like IOB1's: there B stands between entities of one type alone,
        and a decoder that wants it in front of each of them finds few."""
        if self._begun["I"] > self._begun["B"] and not self._warned:
            self._warned = True
            log.warning(
                "token by token, %d entities begin with I and %d with B: was it trained on IOB1 "
                "tags? Then name B-X too I-X in id2label in its config.json, and I may begin one",
                self._begun["I"], self._begun["B"],
            )  # fmt: skip


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """What is wrong with the weights of a folder, in one line: UserError."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        problem = str(error).strip().partition("\n")[0]
        if "mismatched" in problem:  # the library's report is a table
            problem = "they have other shapes than config.json says; does id2label name all?"
        raise UserError(f"{folder}: its weights cannot be loaded: {problem}") from None


def label_names(folder: Path) -> tuple[str, ...]:
    """The checkpoint's tags, in the order of its outputs."""
    try:
        config: Any = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: no config.json to read: {error}") from None
    named = config.get("id2label") if isinstance(config, dict) else None
    if not isinstance(named, dict) or not named:
        raise UserError(
            f"{folder}: its config.json names no labels (id2label): it is an encoder, or its "
            "authors left their names out"
        )
    names = [named.get(str(index)) for index in range(len(named))]
    if not all(isinstance(name, str) and name and name.isprintable() for name in names):
        raise UserError(
            f"{folder}: id2label in its config.json should have a printable name for each of "
            f"0 to {len(named) - 1}"
        )
    return tuple(names)


def _stored(folder: Path) -> set[str]:
    """Names of the tensors in a folder's weights, looked for where the library does."""
    if (path := folder / "model.safetensors").is_file():
        with safe_open(path, "pt") as file:
            return set(file.keys())
    if (path := folder / "model.safetensors.index.json").is_file():
        return set(read_json(path)["weight_map"])
    return set(torch.load(folder / "pytorch_model.bin", map_location="meta", weights_only=True))


def check_head(model: PreTrainedModel, folder: Path) -> None:
    """UserError if the weights lack the classifier, which then is random; a warning if they hold
    more than is used, a CRF for instance."""
    encoder = f"{model.base_model_prefix}."
    head = {name for name in model.state_dict() if not name.startswith(encoder)}
    stored = {name for name in _stored(folder) if not name.startswith(encoder)}
    if missing := sorted(head - stored):
        raise UserError(
            f"{folder}: no token classifier: its weights lack {some(missing)}; to fine-tune it, "
            "give it to train.py"
        )
    if unused := sorted(stored - head):
        log.warning(
            "%s: %s of its weights, which no %s has (%s), are left out: its own program may "
            "predict otherwise",
            folder, count(len(unused), "tensor"), type(model).__name__, some(unused),
        )  # fmt: skip


def _longest(model: PreTrainedModel) -> int | None:
    """The most tokens that an encoder takes, special ones counted; None if there is no limit."""
    longest = getattr(model.config, "max_position_embeddings", None)
    for name, part in model.named_modules():
        # RoBERTa's positions begin behind the padding's own
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            longest = part.num_embeddings - part.padding_idx - 1
    return longest
