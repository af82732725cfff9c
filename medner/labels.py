"""Entity types as BIO tags over tokens, and back.

Flat BIO gives every token one tag, so of overlapping entities only some can be kept, and of the
discontinuous ones none. What the scheme loses is counted as missed when scored: ``flatten`` says
which ones it keeps, and by which rule.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medner.documents import Document, Entity, entity_types
from medner.errors import UserError
from medner.words import first_tokens

IGNORED = -100  # the target that torch's cross entropy passes over
# How the tokens of a word are tagged: as BIO has it, or all as its first one is, B's too, which is
# what many scripts call label_all_tokens
SUBTOKENS = ("bio", "copied")


@dataclass(frozen=True, slots=True)
class Labels:
    """The entity types of a model: tag 0 is O, tags 2k+1 and 2k+2 are B and I of type k."""

    types: tuple[str, ...]

    @classmethod
    def of(cls, documents: Iterable[Document]) -> "Labels":
        """The types that occur in ``documents``.

        Raises:
            UserError: if no document has an entity.
        """
        types = entity_types(documents)
        if not types:
            raise UserError("no document has an entity: there is nothing to learn")
        return cls(types)

    @property
    def tags(self) -> tuple[str, ...]:
        """Tag names in the order of a model's outputs: 41 types give 83."""
        return ("O", *(f"{prefix}-{type_}" for type_ in self.types for prefix in "BI"))

    def encode(
        self, entities: Sequence[Entity], starts: NDArray[np.int32], ends: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Tag each token.

        Args:
            entities: disjoint, of one fragment each, in order (see :func:`flatten`).
            starts, ends: character offsets of the tokens, shape (tokens,).

        Returns:
            Tag indices, shape (tokens,). An entity covers every token that shares a character with
            it; a token shared by two entities goes to the first.
        """
        tags = np.zeros(len(starts), dtype=np.int64)
        firsts = np.searchsorted(ends, [entity.start for entity in entities], side="right")
        afters = np.searchsorted(starts, [entity.end for entity in entities], side="left")
        free = 0
        for entity, first, after in zip(entities, firsts.tolist(), afters.tolist(), strict=True):
            first = max(first, free)
            if first < after:
                inside = 2 * self.types.index(entity.type) + 2
                tags[first:after] = inside
                tags[first] = inside - 1
                free = after
        return tags


def copied(tags: NDArray[np.int64], inside_word: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Tags as ``copied`` of ``SUBTOKENS`` has them: each token has that of its word's first one.

    Args:
        tags: BIO, shape (tokens,).
        inside_word: see :func:`medner.words.inside_word`.
    """
    return tags[first_tokens(inside_word)]


def longest_first(entities: Iterable[Entity]) -> list[Entity]:
    """Keep the longest of those that overlap; of equally long ones the first in the text."""
    kept: list[Entity] = []
    for chain in _chains(entities):
        kept += chain if len(chain) == 1 else _longest_of(chain)
    return kept


def _chains(entities: Iterable[Entity]) -> Iterator[list[Entity]]:
    """In the text's order, entities that overlap directly or by way of others."""
    chain: list[Entity] = []
    end = 0
    for entity in sorted(entities, key=lambda e: (e.fragments, e.type)):
        if chain and entity.start >= end:
            yield chain
            chain = []
        chain.append(entity)
        end = max(end, entity.end)
    if chain:
        yield chain


def _longest_of(chain: Sequence[Entity]) -> list[Entity]:
    """The disjoint ones of a chain, in order."""
    kept: list[Entity] = []
    for entity in sorted(chain, key=lambda e: (e.start - e.end, e.fragments, e.type)):
        at = bisect_left(kept, entity.start, key=lambda e: e.start)
        before_is_clear = at == 0 or kept[at - 1].end <= entity.start
        after_is_clear = at == len(kept) or entity.end <= kept[at].start
        if before_is_clear and after_is_clear:
            kept.insert(at, entity)
    return kept


def most_kept(entities: Iterable[Entity]) -> list[Entity]:
    """Keep as many as possible: again and again the one that ends first (interval scheduling)."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (e.end, e.fragments, e.type)):
        if not kept or kept[-1].end <= entity.start:
            kept.append(entity)
    return kept


FLATTEN: dict[str, Callable[[Iterable[Entity]], list[Entity]]] = {
    "longest_first": longest_first,
    "most_kept": most_kept,
}


def flatten(entities: Iterable[Entity], rule: str) -> list[Entity]:
    """Disjoint entities of one fragment each, in order; discontinuous ones are left out."""
    return FLATTEN[rule](entity for entity in entities if not entity.discontinuous)
