"""Matches of gold and predictions with the positions mended: how the two would fit, and where.

Each mending is of a kind of mistake: offsets that count from elsewhere, ends that are inclusive or
white space that is not, another document's gold, an occurrence of a mention instead of another.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np

from medner.documents import Document
from medner.predictions import Prediction

IN_DOCUMENT = 3  # matches by which a document tells that it is moved, or another's
BOILERPLATE = 100  # more documents than this with one mention at one place: it tells none apart
OF_A_SHAPE = 1000  # mentions of one type and length in a document that offsets are looked for with

Fragments = tuple[tuple[int, int], ...]
Mention = tuple[Fragments, str]  # and its type


@dataclass(frozen=True, slots=True)
class Pair:
    """A document's text, and its mentions as annotated and as predicted."""

    text: str
    gold: Counter[Mention]
    found: Counter[Mention]

    def matches(self, key: Callable[[str, Fragments, str], Hashable]) -> int:
        """How many are alike by ``key(text, fragments, type)``, each in one match at most."""
        gold, found = Counter[Hashable](), Counter[Hashable]()
        for counts, mentions in ((gold, self.gold), (found, self.found)):
            for mention, number in mentions.items():
                counts[key(self.text, *mention)] += number
        return (gold & found).total()


def pairs(documents: Iterable[Document], predictions: Iterable[Prediction]) -> list[Pair]:
    """One for each document, without spans where it has no prediction."""
    spans = {prediction.document: prediction.spans for prediction in predictions}
    return [
        Pair(
            document.text,
            Counter((entity.fragments, entity.type) for entity in document.entities),
            Counter((span.fragments, span.type) for span in spans.get(document.id, ())),
        )
        for document in documents
    ]


def boundaries(text: str, fragments: Fragments, type_: str) -> Fragments:
    """A key: whatever the type."""
    return fragments


def anywhere(text: str, fragments: Fragments, type_: str) -> tuple[str, str]:
    """A key: the mention's type and text, whatever position, case and white space."""
    return type_, " ".join(" ".join(text[start:end] for start, end in fragments).casefold().split())


def _stripped(text: str, fragments: Fragments, type_: str) -> Mention:
    stripped = []
    for start, end in fragments:
        part = text[start:end]
        left, right = len(part) - len(part.lstrip()), len(part) - len(part.rstrip())
        stripped.append((start + left, end - right))
    return tuple(stripped), type_


def best_edges(pairs: Sequence[Pair]) -> tuple[str, int]:
    """What done to every start and end makes most matches, in words, and how many.

    They may be moved by a character each, or white space be stripped.
    """
    matches = {"white space stripped from the mentions": sum(p.matches(_stripped) for p in pairs)}
    for left, right in product((-1, 0, 1), repeat=2):
        if left or right:
            total = 0
            for pair in pairs:
                for (fragments, type_), number in pair.gold.items():
                    moved = tuple((start + left, end + right) for start, end in fragments)
                    total += min(number, pair.found[moved, type_])
            matches[f"the gold's starts moved by {left:+} and its ends by {right:+}"] = total
    return max(matches.items(), key=lambda item: item[1])


def best_offset(pair: Pair) -> tuple[int, int]:
    """The offset that makes most matches of the gold that has none, and how many; else 0, 0.

    Of that gold alone, because a title may be right where the abstract below it is moved.
    """
    gold, found = pair.gold - pair.found, pair.found - pair.gold
    starts: defaultdict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, mentions in enumerate((gold, found)):
        for fragments, type_ in mentions:
            first = fragments[0][0]
            shape = type_, tuple((start - first, end - first) for start, end in fragments)
            starts[shape][side].append(first)
    offsets = [
        np.subtract.outer(there[:OF_A_SHAPE], here[:OF_A_SHAPE]).ravel()
        for here, there in starts.values()
        if here and there
    ]
    if not offsets:
        return 0, 0
    together = np.concatenate(offsets)
    least = int(together.min())
    offset = int(np.bincount(together - least).argmax()) + least
    matches = sum(
        min(number, found[tuple((s + offset, e + offset) for s, e in fragments), type_])
        for (fragments, type_), number in gold.items()
    )
    return (offset, matches) if matches >= IN_DOCUMENT else (0, 0)


def fits(pairs: Sequence[Pair]) -> Counter[tuple[int, int]]:
    """Mentions predicted for one document that the gold of another, or the same, has too.

    By the numbers of the two; distinct mentions, without boilerplate.
    """
    holders: defaultdict[Mention, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        for mention in pair.gold:
            holders[mention].append(number)
    telling = {mention: held for mention, held in holders.items() if len(held) <= BOILERPLATE}
    return Counter(
        (number, holder)
        for number, pair in enumerate(pairs)
        for mention in pair.found
        for holder in telling.get(mention, ())
    )


def better_documents(fits: Counter[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """How much further down a gold stands that fits far better, and how many matches it has more.

    For each document that has one. 'Far', because documents may be near duplicates.
    """
    best: dict[int, tuple[int, int, int]] = {}
    for (number, other), matches in fits.items():
        if other != number:
            distance = other - number  # of several the nearest
            best[number] = max(best.get(number, (0, 0, 0)), (matches, -abs(distance), distance))
    for number, (matches, _, distance) in best.items():
        own = fits[number, number]
        if matches >= IN_DOCUMENT + 2 * own:
            yield distance, matches - own


def mean_with_others(pairs: Sequence[Pair]) -> float:
    """Strict matches (of distinct mentions), the mean over all gold but each document's own."""
    if len(pairs) < 2:
        return 0.0
    gold = Counter(chain.from_iterable(pair.gold for pair in pairs))
    found = Counter(chain.from_iterable(pair.found for pair in pairs))
    everywhere = sum(number * gold[mention] for mention, number in found.items())
    own = sum(len(pair.gold.keys() & pair.found.keys()) for pair in pairs)
    return (everywhere - own) / (len(pairs) - 1)


def p_value(fits: Counter[tuple[int, int]], documents: int, permutations: int, seed: int) -> float:
    """Of the fits of documents with their own gold: (1 + b) / (1 + permutations).

    b counts the times that gold shuffled among the documents fits as well (Phipson and Smyth 2010,
    Permutation P-values should never be zero).
    """
    numbers = np.array(list(fits), dtype=int).reshape(-1, 2)
    matches = np.array(list(fits.values()), dtype=int)
    found, gold = numbers[:, 0], numbers[:, 1]
    observed = matches[found == gold].sum()
    rng = np.random.default_rng(seed)
    shuffled = (rng.permutation(documents)[found] == gold for _ in range(permutations))
    as_well = sum(bool(matches[same].sum() >= observed) for same in shuffled)
    return (1 + as_well) / (1 + permutations)


def within_word(texts: Iterable[tuple[str, Counter[Mention]]]) -> float:
    """The share of mentions that begin between two letters or digits; 0 where there is none.

    Their ends do not count: a plural's or a case's ending is often left out.
    """
    total = within = 0
    for text, mentions in texts:
        for (((start, _), *_), _), number in mentions.items():
            total += number
            if text[max(start - 1, 0) : start].isalnum() and text[start : start + 1].isalnum():
                within += number
    return within / total if total else 0.0


def confusions(pairs: Iterable[Pair]) -> Counter[tuple[str, str]]:
    """Mentions with the right boundaries and a wrong type, by gold and predicted type."""
    counts: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        types = defaultdict(list)
        for fragments, type_ in (pair.found - pair.gold).elements():
            types[fragments].append(type_)
        for fragments, type_ in (pair.gold - pair.found).elements():
            if types[fragments]:
                counts[type_, types[fragments].pop()] += 1
    return counts
