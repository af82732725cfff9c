"""Which mentions are found: seen in training or not, long or short, frequent or rare, abbreviated.

All figures are strict, on the gold's side (recall), but for the most frequent invented mentions.
Mentions are compared in lower case with white space made one.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medner.documents import Document, Entity
from medner.predictions import Prediction
from medner.scoring.errors import Errors
from medner.scoring.label_map import LabelMap
from medner.tables import aligned

SEEN, OTHER_TYPE, UNSEEN = "seen", "seen with another type only", "unseen"
_WORDS = ("1 word", "2 words", "3 words", "4 words", "5 words and more")
_FREQUENCIES = ((0, "never"), (9, "1 to 9"), (99, "10 to 99"), (999, "100 to 999"))
# A short word of capitals, perhaps with digits, and a plural s: CHF, IL-6, NSAIDs
_ABBREVIATION = re.compile(r"(?=(?:[^A-Z]*[A-Z]){2})[A-Z][A-Za-z0-9/.-]{1,9}")


@dataclass(frozen=True, slots=True)
class Share:
    """Entities of a kind, and how many of them were found."""

    gold: int
    correct: int

    @property
    def recall(self) -> float:
        return self.correct / self.gold if self.gold else 0.0

    def to_dict(self) -> dict[str, int | float]:
        return {"gold": self.gold, "correct": self.correct, "recall": self.recall}


class TrainingMentions:
    """The mentions of the training documents, with the types they have there.

    Args:
        documents: of the training part, in the model's types.
        label_map: where the model's types are not the corpus's.
    """

    def __init__(self, documents: Iterable[Document], label_map: LabelMap | None) -> None:
        targets = None
        if label_map:
            targets = {own: type_ for type_, names in label_map.types.items() for own in names}
        self._types: dict[str, set[str | None]] = defaultdict(set)
        self._frequency: Counter[str] = Counter()
        for document in documents:
            for entity in document.entities:
                type_ = entity.type if targets is None else targets.get(entity.type)
                self._types[normalised(document.mention(entity))].add(type_)
                self._frequency[type_] += 1

    def novelty(self, mention: str, type_: str) -> str:
        """``SEEN``, ``OTHER_TYPE`` or ``UNSEEN``."""
        types = self._types.get(normalised(mention))
        if types is None:
            return UNSEEN
        return SEEN if type_ in types else OTHER_TYPE

    def frequency(self, type_: str) -> str:
        """How often the type occurs in training, as a range."""
        count = self._frequency[type_]
        return next((name for most, name in _FREQUENCIES if count <= most), "1000 and more")


def normalised(mention: str) -> str:
    return " ".join(mention.lower().split())


def recall_by(
    documents: Iterable[Document],
    predictions: Iterable[Prediction],
    training: TrainingMentions | None,
) -> dict[str, dict[str, Share]]:
    """Recall by ``novelty`` and ``type frequency in training`` (where ``training`` is known),
    ``length`` in words, and ``form`` (abbreviation or not).

    Args:
        predictions: in the corpus's types.
    """
    predicted = {prediction.document: prediction for prediction in predictions}
    counts: dict[str, dict[str, Counter]] = defaultdict(lambda: defaultdict(Counter))
    for document in documents:
        spans = predicted[document.id].spans if document.id in predicted else ()
        left = Counter((span.fragments, span.type) for span in spans)
        for entity in document.entities:
            correct = left[entity.fragments, entity.type] > 0
            left[entity.fragments, entity.type] -= correct
            for aspect, name in _aspects(document, entity, training):
                counts[aspect][name].update(gold=1, correct=int(correct))
    return {
        aspect: {
            name: Share(count["gold"], count["correct"])
            for name, count in sorted(names.items(), key=lambda item: _place(item[0]))
        }
        for aspect, names in counts.items()
    }


def _aspects(
    document: Document, entity: Entity, training: TrainingMentions | None
) -> list[tuple[str, str]]:
    mention = document.mention(entity)
    aspects = [
        ("length", _WORDS[min(max(len(mention.split()), 1), len(_WORDS)) - 1]),
        ("form", "abbreviation" if is_abbreviation(mention) else "other"),
    ]
    if training:
        aspects.append(("novelty", training.novelty(mention, entity.type)))
        aspects.append(("type frequency in training", training.frequency(entity.type)))
    return aspects


def _place(name: str) -> int:
    order = (SEEN, OTHER_TYPE, UNSEEN, *_WORDS, *(name for _, name in _FREQUENCIES))
    return order.index(name) if name in order else len(order)


def is_abbreviation(mention: str) -> bool:
    """One word of at most ten characters that begins with a capital and has another."""
    return bool(_ABBREVIATION.fullmatch(mention))


def frequent(
    documents: Iterable[Document], errors: Errors, most: int = 20
) -> dict[str, list[tuple[str, str, int]]]:
    """The mentions most often ``missed`` and ``invented`` (false negatives and positives of any
    kind): mention, type, count."""
    texts = {document.id: document for document in documents}
    counts: dict[str, Counter] = {"missed": Counter(), "invented": Counter()}
    for mistake in errors.mistakes:
        document = texts[mistake.document]
        if mistake.false_positive:
            mention, type_ = mistake.span.mention(document.text), mistake.span.type
        else:
            mention, type_ = document.mention(mistake.entity), mistake.entity.type
        side = "invented" if mistake.false_positive else "missed"
        counts[side][normalised(mention), type_] += 1
    return {
        side: [
            (*key, number)
            for key, number in sorted(count.items(), key=lambda item: (-item[1], item[0]))[:most]
        ]
        for side, count in counts.items()
    }


def table(shares: Mapping[str, Mapping[str, Share]]) -> str:
    """All kinds as aligned plain text."""
    rows: list[Sequence[str]] = [("entities by", "", "gold", "correct", "recall")]
    for aspect, names in shares.items():
        for name, share in names.items():
            figures = (str(share.gold), str(share.correct), f"{share.recall:.3f}")
            rows.append((aspect, name, *figures))
            aspect = ""
    return aligned(rows)
