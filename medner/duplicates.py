"""Documents that must stay on one side of a split: equal texts, nearly equal texts, one patient's.

Texts are compared as words: Unicode NFKC, casefold, white space and punctuation dropped.

*Equal*: the same words, at least ``EQUAL_WORDS`` of them. Below that a text ("Unremarkable.", or
nothing at all) says too little for its repetition to mean a copy.

*Nearly equal*: of the shingles (runs of ``SHINGLE`` words; Broder 1997) of the shorter text, at
least ``THRESHOLD`` occur in the other, |A∩B| / min(|A|, |B|); both texts have at least
``NEAR_WORDS`` words. Containment, because a note that is copied into a longer one has a small
Jaccard similarity; wherever Jaccard similarity reaches the threshold, containment does too.

Four words and one half, because that is where real text leaves a gap: among 2,453 case reports and
abstracts (MACCROBAT2020, NCBI Disease, BC5CDR) an updated review (.53) and a paragraph published
again (.51) are above, the next pair, two studies of one gene, is at .21, and no two case reports
are above .03.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from medner.documents import Document
from medner.id_files import count

SHINGLE = 4  # a power of two
THRESHOLD = 0.5
NEAR_WORDS = 20
EQUAL_WORDS = 5
# A shingle in more documents than this is boilerplate and makes no candidates, which bounds the
# work. More nearly (not exactly) equal versions of one text than this can go unseen.
BOILERPLATE = 100
PAIRS_AT_ONCE = 32_000_000  # about, that are counted together: bounds the memory


@dataclass(frozen=True)
class DocumentGroups:
    """What belongs together, and why.

    ``groups``: ids, sorted; each of two or more documents, none in two groups. ``pairs``: how many
    pairs each rule joined: ``patient`` (the same ``Document.group``), ``equal``, ``similar``
    (Jaccard similarity reaches the threshold), ``contained`` (only containment does). Texts that
    are equal to one another enter the last two as one text.
    """

    groups: tuple[tuple[str, ...], ...]
    pairs: dict[str, int]

    @property
    def largest(self) -> tuple[str, ...]:
        """The group of most documents; of several the first; empty where there is none."""
        return max(self.groups, key=len, default=())

    def summary(self) -> str:
        """One line for the log."""
        if not self.groups:
            return "none, every document stands alone"
        joined = ", ".join(f"{number} {rule}" for rule, number in self.pairs.items() if number)
        shown = ", ".join(self.largest[:5]) + (", ..." if len(self.largest) > 5 else "")
        return (
            f"{sum(map(len, self.groups))} documents in {count(len(self.groups), 'group')} "
            f"(pairs: {joined}); the largest has {len(self.largest)}: {shown}"
        )


def find_groups(documents: Iterable[Document]) -> DocumentGroups:
    """Groups by text and by ``Document.group``, in any order of the documents; ids are unique."""
    documents = sorted(documents, key=lambda document: document.id)
    patients = defaultdict(list)
    texts = defaultdict(list)
    for document in documents:
        if document.group is not None:
            patients[document.group].append(document.id)
        texts[normalise(document.text)].append(document.id)
    texts = {text: ids for text, ids in texts.items() if len(text.split()) >= EQUAL_WORDS}

    long = [text for text in texts if len(text.split()) >= NEAR_WORDS]
    near = {"similar": [], "contained": []}
    for first, second, rule in _near_pairs(long):
        near[rule].append((texts[long[first]][0], texts[long[second]][0]))

    joined = [*patients.values(), *texts.values(), *near["similar"], *near["contained"]]
    return DocumentGroups(
        groups=tuple(merge_groups(joined)),
        pairs={
            "patient": sum(comb(len(ids), 2) for ids in patients.values()),
            "equal": sum(comb(len(ids), 2) for ids in texts.values()),
            "similar": len(near["similar"]),
            "contained": len(near["contained"]),
        },
    )


def normalise(text: str) -> str:
    """The words (letters and digits) of a text, without regard to case, width or ligatures."""
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))


def merge_groups(groups: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Unite groups that share a member (union-find): sorted, only those of two or more."""
    parent: dict[str, str] = {}

    def root(member: str) -> str:
        while parent.setdefault(member, member) != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for group in groups:
        for member in group[1:]:
            parent[root(member)] = root(group[0])
    united = defaultdict(list)
    for member in sorted(parent):
        united[root(member)].append(member)
    return sorted(tuple(members) for members in united.values() if len(members) > 1)


def _near_pairs(texts: list[str]) -> Iterator[tuple[int, int, str]]:
    """The pairs of texts that are nearly equal, each verified on all its shingles."""
    if len(texts) < 2:
        return
    shingle, owner = _shingles(texts)
    documents_with = np.bincount(shingle)  # the inverted index: sorted by shingle, then by owner
    sizes = np.bincount(owner, minlength=len(texts))
    boilerplate = np.bincount(owner[documents_with[shingle] > BOILERPLATE], minlength=len(texts))
    by_owner = np.split(shingle[np.argsort(owner, kind="stable")], np.cumsum(sizes)[:-1])
    for first, second, shared in _candidates(owner, documents_with):
        shorter = np.minimum(sizes[first], sizes[second])
        # Boilerplate made no candidates, but counts: what both might have is the most they gain.
        most = shared + np.minimum(boilerplate[first], boilerplate[second])
        possible = most >= THRESHOLD * shorter
        for a, b in zip(first[possible].tolist(), second[possible].tolist(), strict=True):
            common = len(np.intersect1d(by_owner[a], by_owner[b], assume_unique=True))
            if common >= THRESHOLD * (sizes[a] + sizes[b] - common):
                yield a, b, "similar"
            elif common >= THRESHOLD * min(sizes[a], sizes[b]):
                yield a, b, "contained"


def _shingles(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Every text's set of shingles as (shingle number, text number), sorted.

    Shingles are numbered exactly (no hash that could collide): words are, then the pairs of words
    that occur, then the pairs of such pairs.
    """
    numbers: dict[str, int] = {}
    words = [numbers.setdefault(word, len(numbers)) for text in texts for word in text.split()]
    owner = np.repeat(np.arange(len(texts)), [len(text.split()) for text in texts])
    run, length = np.array(words), 1
    while length < SHINGLE:
        pairs = run[:-length] * (run.max() + 1) + run[length:]
        run, length = np.unique(pairs, return_inverse=True)[1], 2 * length
    inside = owner[: len(run)] == owner[SHINGLE - 1 :]
    keys = np.sort(run[inside] * len(texts) + owner[: len(run)][inside])
    shingle, owner = np.divmod(keys[np.diff(keys, prepend=-1) > 0], len(texts))
    return np.cumsum(np.diff(shingle, prepend=shingle[0]) > 0), owner


def _candidates(
    owner: np.ndarray, documents_with: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs that share a shingle, as arrays of first, second and how many they share.

    In as many lots as it takes for none to be large; a pair is in one lot, with all it shares.
    """
    texts = owner.max() + 1
    starts = np.cumsum(documents_with) - documents_with
    occurring = np.flatnonzero(np.bincount(documents_with)[: BOILERPLATE + 1])
    heads = {size: starts[documents_with == size] for size in occurring.tolist() if size > 1}
    lots = -(-sum(len(of_size) * comb(size, 2) for size, of_size in heads.items()) // PAIRS_AT_ONCE)
    for lot in range(lots):
        found = [np.empty(0, np.int64)]
        for size, of_size in heads.items():
            first, second = np.triu_indices(size, 1)
            step = max(1, PAIRS_AT_ONCE // len(first))
            for begin in range(0, len(of_size), step):
                rows = owner[of_size[begin : begin + step, None] + np.arange(size)]
                pairs = (rows[:, first] * texts + rows[:, second]).ravel()
                found.append(pairs[pairs % lots == lot] if lots > 1 else pairs)
        pairs = np.concatenate(found)
        pairs.sort()
        begins = np.flatnonzero(np.diff(pairs, prepend=-1))
        yield *np.divmod(pairs[begins], texts), np.diff(begins, append=len(pairs))
