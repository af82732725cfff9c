"""Is the gold aligned with the text that was predicted on?

Where the gold's offsets belong to another text, every model scores next to nothing and seems not to
transfer. So the score is taken again with the positions mended in several ways: where that finds
many more matches, or the gold's mentions begin in the middle of words, the gold is off. A score
that is low whatever the positions is the model's own.

What the thresholds stand on, on MACCROBAT2020, NCBI Disease and BC5CDR: mending gains models and
dictionaries at most .007 of F1, and simulated taggers of strict F1 .9 to .1, on as few as 10
documents, at most .013, but .054 by mentions anywhere (``GAIN``). Of the corpora's own mentions
.1 % begin within a word, of a neighbour's or those of a text with a title two thirds
(``WITHIN_WORD``).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from medner.documents import Document
from medner.predictions import Prediction
from medner.scoring import mending
from medner.scoring.matching import score

# of F1, by mending the positions: misaligned; some words do stand in other places too
GAIN = {"offset": 0.05, "edges": 0.05, "document": 0.05, "anywhere": 0.1}
WITHIN_WORD = 0.2  # of the gold's mentions, and more than of the predicted: misaligned
CONFUSED = 2 / 3  # of the mentions with right boundaries have the right type; fewer: confused types
LOW = 0.3  # strict F1 below is a weak model's
SIGNIFICANT = 0.05
HITS = 5  # strict matches that show, if F1 is not low, that gold and text belong together
FEW = 10  # mentions, spans, or matches by which a finding stands: fewer are too little to tell
ENOUGH = 50  # mentions and spans, in
DOCUMENTS = 4  # documents, from which a high p-value says something: it may be 1 / 4!


@dataclass(frozen=True, slots=True)
class Alignment:
    """How gold and predictions fit as they are, and with the positions mended.

    ``mended_f1``: strict F1 if in each document the gold that does not match were moved by the one
    offset that fits it best (``offset``); if all starts and ends were moved by up to a character,
    or white space were stripped (``edges``); with the gold of the document that fits best
    (``document``); and with the same mentions, type and text, anywhere in the document
    (``anywhere``).

    ``others_f1``: the mean with another document's gold, and ``p_value``: how likely gold shuffled
    among the documents fits as well. ``gold_within_word``, ``predicted_within_word``: shares of
    mentions that begin in the middle of a word. ``offsets``: documents by the offset that was
    found; ``edges``: the move of that name; ``distances``: documents by how much further down the
    gold that fits better stands. ``confusions``: mentions with the right boundaries and a wrong
    type, by gold and predicted type.
    """

    documents: int
    gold: int
    predicted: int
    strict_f1: float
    exact_f1: float
    mended_f1: Mapping[str, float]
    others_f1: float
    p_value: float
    permutations: int
    gold_within_word: float
    predicted_within_word: float
    offsets: Mapping[int, int]
    edges: str
    distances: Mapping[int, int]
    confusions: Mapping[tuple[str, str], int]

    @property
    def position_free_f1(self) -> float:
        """The best that mentions score if their place within the document does not count."""
        within = (self.mended_f1[way] for way in ("offset", "edges", "anywhere"))
        return max(self.strict_f1, *within)

    @property
    def verdict(self) -> str:
        """``aligned``, ``misaligned``, ``confused types``, ``weak`` or ``too little``."""
        least = min(self.gold, self.predicted)
        strict, exact = self._matches(self.strict_f1), self._matches(self.exact_f1)
        high = self.strict_f1 >= LOW and strict >= HITS
        if least < FEW:
            return "aligned" if high else "too little"
        if self._gold_cuts_words or any(map(self._gains, self.mended_f1)):
            return "misaligned"
        if self.exact_f1 >= LOW and strict < CONFUSED * exact and exact - strict >= FEW:
            return "confused types"
        if high:
            return "aligned"
        enough = least >= ENOUGH and self.documents >= DOCUMENTS
        return "weak" if self.p_value <= SIGNIFICANT or enough else "too little"

    def _matches(self, f1: float) -> float:
        return f1 * (self.gold + self.predicted) / 2

    def _gains(self, way: str) -> bool:
        # over right boundaries whatever the type: positions are not to blame for confused types
        gain = self.mended_f1[way] - self.exact_f1
        return gain >= GAIN[way] and self._matches(gain) >= FEW

    @property
    def _gold_cuts_words(self) -> bool:
        """More than the predictions do: there are scripts without spaces."""
        return self.gold_within_word - self.predicted_within_word >= WITHIN_WORD

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return asdict(self) | {
            "verdict": self.verdict,
            "position_free_f1": self.position_free_f1,
            "offsets": {str(offset): number for offset, number in self.offsets.items()},
            "distances": {str(distance): number for distance, number in self.distances.items()},
            "confusions": [
                {"gold": gold, "predicted": predicted, "mentions": number}
                for (gold, predicted), number in self.confusions.items()
            ],
        }

    def lines(self) -> list[str]:
        """For the log: the verdict with its figures; then what was found, and what to do."""
        words, details = {
            "aligned": ("gold and predictions are aligned", ()),
            "misaligned": ("gold and predictions are misaligned", self._misaligned()),
            "confused types": ("mentions are found and given the wrong type", self._confused()),
            "weak": ("the model is weak, whatever the positions", self._weak()),
            "too little": ("too little to tell whether gold is aligned", self._too_little()),
        }[self.verdict]
        figures = (
            f"strict F1 {self.strict_f1:.3f}, whatever the type {self.exact_f1:.3f}, whatever the "
            f"position {self.position_free_f1:.3f}"
        )
        if self.documents > 1:
            figures += f", with other documents' gold {self.others_f1:.3f} (p = {self.p_value:.2g})"
        return [f"{words}: {figures}", *details]

    def _misaligned(self) -> Iterator[str]:
        gold, predicted = self.gold_within_word, self.predicted_within_word
        if abs(gold - predicted) >= WITHIN_WORD:
            yield (
                f"it is the {'gold' if gold > predicted else 'predictions'}: in the middle of a "
                f"word begin {gold:.0%} of the gold's mentions and {predicted:.0%} of the predicted"
            )
        mended = {
            "offset": f"the gold moved in {self._most(self.offsets, 'by {:+}')}",
            "edges": self.edges,
            "document": "another document's gold in "
            + self._most(self.distances, "the one at {:+} in the list"),
            "anywhere": "the same mentions anywhere in the document",
        }
        for way, f1 in sorted(self.mended_f1.items(), key=lambda item: -item[1]):
            if self._gains(way):
                yield f"F1 would be {f1:.3f} with {mended[way]}"
        yield (
            "this score says nothing of the model: offsets must count the characters of the very "
            "text that is predicted on; look at one document's id, title, passages and line ends"
        )

    def _most(self, found: Mapping[int, int], what: str) -> str:
        by, number = max(found.items(), key=lambda item: item[1], default=(0, 0))
        return (
            f"{sum(found.values())} of {self.documents} documents (in {number} {what.format(by)})"
        )

    def _confused(self) -> Iterator[str]:
        most = sorted(self.confusions.items(), key=lambda item: (-item[1], item[0]))[:5]
        named = ", ".join(f"{gold} as {predicted} ({n})" for (gold, predicted), n in most)
        yield f"predicted is {named}: check the label map, and the order of the model's labels"

    def _weak(self) -> Iterator[str]:
        if self.p_value > SIGNIFICANT:
            yield (
                "it fits other documents' gold as well: if the model is better elsewhere, look "
                "whether texts and gold are of the same documents at all"
            )

    def _too_little(self) -> Iterator[str]:
        there = f"{self.gold} mentions in the gold and {self.predicted} predicted"
        if self.predicted < FEW <= self.gold:
            yield f"{there}: the model finds next to nothing; look at its training and label map"
        else:
            yield f"{there} in {self.documents} documents; evaluate on more"


def check_alignment(
    documents: Sequence[Document],
    predictions: Sequence[Prediction],
    *,
    permutations: int = 1000,
    seed: int = 0,
) -> Alignment:
    """Compare gold and predictions (in the corpus's types) as they are and with positions mended.

    A document without a prediction counts as predicted empty. Raises UserError where the two do not
    fit each other, as :func:`medner.scoring.matching.score` does.
    """
    counts = score(documents, predictions, allow_missing=True).overall
    pairs = mending.pairs(documents, predictions)
    fits = mending.fits(pairs)
    moved = [mending.best_offset(pair) for pair in pairs]
    edges, edge_matches = mending.best_edges(pairs)
    better = list(mending.better_documents(fits))
    mended = {
        "offset": counts.correct + sum(matches for _, matches in moved),
        "edges": edge_matches,
        "document": counts.correct + sum(more for _, more in better),
        "anywhere": sum(pair.matches(mending.anywhere) for pair in pairs),
    }

    def f1(matches: float) -> float:
        return 2 * matches / (counts.gold + counts.predicted) if matches else 0.0

    return Alignment(
        documents=len(pairs),
        gold=counts.gold,
        predicted=counts.predicted,
        strict_f1=counts.f1,
        exact_f1=f1(sum(pair.matches(mending.boundaries) for pair in pairs)),
        mended_f1={way: f1(matches) for way, matches in mended.items()},
        others_f1=f1(mending.mean_with_others(pairs)),
        p_value=mending.p_value(fits, len(pairs), permutations, seed),
        permutations=permutations,
        gold_within_word=mending.within_word((pair.text, pair.gold) for pair in pairs),
        predicted_within_word=mending.within_word((pair.text, pair.found) for pair in pairs),
        offsets=Counter(offset for offset, matches in moved if matches),
        edges=edges,
        distances=Counter(distance for distance, _ in better),
        confusions=mending.confusions(pairs),
    )
