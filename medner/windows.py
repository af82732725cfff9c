"""Tokens of whole documents, cut into windows that fit the encoder, and stitched again.

A document is tokenised once, from its raw text; its windows are slices of those tokens. Every token
belongs to exactly one window, the one that gives it most context, and takes its loss and its output
from there; the rest of a window is context. Nothing is truncated, unless ``window.truncate`` asks
for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medner.documents import Document
from medner.errors import ConfigError
from medner.words import inside_word

if TYPE_CHECKING:  # what has been tokenised already is analysed without it
    from tokenizers import Tokenizer

_AT_ONCE = 256  # documents: what a tokenizer gives takes twenty times the memory of what is kept


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedDocument:
    """The tokens of one document, without special ones.

    All arrays have shape (tokens,). ``starts`` and ``ends`` are half-open offsets into the
    document's text, with white space trimmed off (a token of white space alone is empty).
    ``inside_word`` says whether a token goes on with the word of the token before it, a word being
    letters, digits and combining marks that follow one another.
    """

    document: Document
    ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    inside_word: NDArray[np.bool_]

    @classmethod
    def of(
        cls, document: Document, ids: NDArray[np.int32], offsets: NDArray[np.int32]
    ) -> "TokenizedDocument":
        """From a tokenizer's offsets, shape (tokens, 2).

        Byte-level tokenizers count the space before a word as part of it: trimming the offsets
        here makes every tokenizer's spans begin and end on text.
        """
        starts, ends = _trimmed(document.text, offsets[:, 0], offsets[:, 1])
        return cls(document, ids, starts, ends, inside_word(document.text, starts, ends))

    def first(self, count: int) -> "TokenizedDocument":
        """The document with its first ``count`` tokens alone."""
        arrays = (self.ids, self.starts, self.ends, self.inside_word)
        return TokenizedDocument(self.document, *(array[:count] for array in arrays))

    def of_document(self, document: Document) -> "TokenizedDocument":
        """The same tokens for a document of the same text."""
        return replace(self, document=document)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Tokens ``start`` to ``end`` of a document, of which ``own_start`` to ``own_end`` are its own.

    The own tokens of a document's windows follow one another and make up the document.
    """

    tokens: TokenizedDocument
    start: int
    end: int
    own_start: int
    own_end: int

    def __len__(self) -> int:
        return self.end - self.start


def tokenise(documents: Sequence[Document], tokenizer: "Tokenizer") -> list[TokenizedDocument]:
    """Tokenise raw texts; ``tokenizer`` must neither truncate nor pad."""
    tokenised = []
    for at in range(0, len(documents), _AT_ONCE):
        some = documents[at : at + _AT_ONCE]
        encodings = tokenizer.encode_batch([d.text for d in some], add_special_tokens=False)
        tokenised += [
            TokenizedDocument.of(
                document,
                np.array(encoding.ids, dtype=np.int32),
                np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2),
            )
            for document, encoding in zip(some, encodings, strict=True)
        ]
    return tokenised


def _trimmed(
    text: str, starts: NDArray[np.int32], ends: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Move every start to the next character that is text, every end to just behind the last."""
    is_text = ~np.fromiter((c.isspace() for c in text), dtype=bool, count=len(text))
    positions = np.arange(len(text) + 1, dtype=np.int32)
    next_text = np.append(np.where(is_text, positions[:-1], len(text)), len(text))
    next_text = np.minimum.accumulate(next_text[::-1])[::-1]
    behind_text = np.concatenate(([0], np.where(is_text, positions[1:], 0)))
    behind_text = np.maximum.accumulate(behind_text)
    starts = np.minimum(next_text[starts], ends).astype(np.int32)
    return starts, np.maximum(behind_text[ends], starts).astype(np.int32)


def cut(tokens: TokenizedDocument, length: int, context: int) -> list[Window]:
    """Windows of at most ``length`` tokens, as few and as even as can be.

    Args:
        tokens: of one document.
        length: the most tokens that a window may hold, special ones not counted.
        context: at least so many tokens of context for every own token, on both sides, except
            where the document begins or ends.

    Raises:
        ConfigError: if the context leaves no room for a token.
    """
    if length <= 2 * context:
        raise ConfigError(
            f"window.context={context}: two sides of context leave no room in a window of {length} "
            f"tokens; window.context takes at most {(length - 1) // 2} here"
        )
    count = len(tokens)
    overlap = 2 * context
    number = max(1, -(-(count - overlap) // (length - overlap)))
    size = min(length, -(-(count + (number - 1) * overlap) // number))
    starts = np.linspace(0, count - size, number).round().astype(int).tolist()
    ends = [start + size for start in starts]
    seams = [(end + start + 1) // 2 for end, start in zip(ends, starts[1:], strict=False)]
    return [
        Window(tokens, *bounds)
        for bounds in zip(starts, ends, [0, *seams], [*seams, count], strict=True)
    ]


class Stitcher:
    """Puts the windows' outputs together and gives back each document when it is whole."""

    def __init__(self) -> None:
        self._open: dict[TokenizedDocument, tuple[NDArray[np.float32], list[int]]] = {}

    def add(
        self, windows: Iterable[Window], outputs: Iterable[NDArray[np.float32]]
    ) -> list[tuple[TokenizedDocument, NDArray[np.float32]]]:
        """Add windows with the outputs of their tokens, each of shape (window's tokens, tags).

        Returns:
            The documents that are whole now, with their outputs, shape (tokens, tags).
        """
        whole = []
        for window, output in zip(windows, outputs, strict=True):
            tokens = window.tokens
            if tokens not in self._open:
                buffer = np.empty((len(tokens), output.shape[-1]), dtype=np.float32)
                self._open[tokens] = buffer, [len(tokens)]
            buffer, missing = self._open[tokens]
            own = slice(window.own_start - window.start, window.own_end - window.start)
            buffer[window.own_start : window.own_end] = output[own]
            missing[0] -= window.own_end - window.own_start
            if missing[0] == 0:
                del self._open[tokens]
                whole.append((tokens, buffer))
        return whole
