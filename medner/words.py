"""Words of a text as its tokens have them: runs of letters, digits and combining marks."""

from unicodedata import category

import numpy as np
from numpy.typing import NDArray


def inside_word(text: str, starts: NDArray[np.int32], ends: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether a token goes on with the word of the token before it, shape (tokens,).

    Args:
        starts, ends: half-open character offsets of the tokens, shape (tokens,).
    """
    of_word = (c.isalnum() or category(c).startswith("M") for c in text)
    of_word = np.fromiter(of_word, dtype=bool, count=len(text))
    joined = np.zeros(len(text) + 1, dtype=bool)
    joined[1:-1] = of_word[:-1] & of_word[1:]
    inside = np.zeros(len(starts), dtype=bool)
    # tokens that touch, or that are bytes of one character
    inside[1:] = (starts[1:] <= ends[:-1]) & joined[starts[1:]] | (starts[1:] < ends[:-1])
    return inside


def first_tokens(inside_word: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The index of the first token of each token's word, shape (tokens,)."""
    at = np.arange(len(inside_word))
    return np.maximum.accumulate(np.where(inside_word, 0, at))
