"""The four matchings of SemEval-2013 task 9.1: strict, exact, partial and type.

Segura-Bedmar et al. 2013 (https://aclanthology.org/S13-2056), after the MUC-5 categories:

strict   boundaries and type agree
exact    boundaries agree, whatever the type
partial  boundaries agree (correct) or overlap (half a point), whatever the type
type     types agree and the spans overlap

Each gold entity and each prediction is matched once at most. What is alike is matched first; then
the predictions, in the order of the text, take of the entities that are left the first that they
overlap, or in ``type`` the nearest of their own type before any other. On disjoint spans that is
what nervaluate counts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medner.documents import Document, Entity
from medner.predictions import Prediction, Span
from medner.scoring.matching import pair

MODES = ("strict", "exact", "partial", "type")


@dataclass(frozen=True, slots=True)
class Tally:
    """Whole counts. Of the gold entities ``correct``, ``partial`` and ``incorrect`` were met by a
    prediction, and the rest missed; of the predictions so many met one, the rest are spurious."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0
    partial: int = 0
    incorrect: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.gold + other.gold,
            self.predicted + other.predicted,
            self.correct + other.correct,
            self.partial + other.partial,
            self.incorrect + other.incorrect,
        )

    @property
    def missed(self) -> int:
        return self.gold - self.correct - self.partial - self.incorrect

    @property
    def spurious(self) -> int:
        return self.predicted - self.correct - self.partial - self.incorrect

    @property
    def precision(self) -> float:
        """A partial match is half a point; 0 where nothing is predicted."""
        return (self.correct + self.partial / 2) / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return (self.correct + self.partial / 2) / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        both = self.gold + self.predicted
        return (2 * self.correct + self.partial) / both if both else 0.0

    def to_dict(self) -> dict[str, int | float]:
        names = (
            "gold", "predicted", "correct", "partial", "incorrect", "missed", "spurious",
            "precision", "recall", "f1",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


def tallies(
    documents: Iterable[Document], predictions: Iterable[Prediction]
) -> dict[str, dict[str | None, Tally]]:
    """Count by mode, then by type; None is all types together.

    Of one type alone, only its own entities and predictions are matched with each other.
    Documents without a prediction count as predicted empty. Raises UserError as of ``score``.
    """
    documents = list(documents)
    predicted = pair(documents, predictions)
    sums: dict[str, Counter] = {mode: Counter() for mode in MODES}
    for document in documents:
        spans = predicted[document.id].spans if document.id in predicted else ()
        for type_, mode, tally in _of_document(document.entities, spans):
            for name in Tally.__slots__:
                sums[mode][type_, name] += getattr(tally, name)
    return {
        mode: {
            type_: Tally(*(count[type_, name] for name in Tally.__slots__))
            for type_ in sorted({type_ for type_, _ in count}, key=lambda t: (t is not None, t))
        }
        for mode, count in sums.items()
    }


def to_dict(counts: Mapping[str, Mapping[str | None, Tally]]) -> dict:
    """For JSON: mode, then ``overall`` and ``types``."""
    return {
        mode: {
            "overall": by_type.get(None, Tally()).to_dict(),
            "types": {type_: tally.to_dict() for type_, tally in by_type.items() if type_},
        }
        for mode, by_type in counts.items()
    }


def overlap(entity: Entity | Span, other: Entity | Span) -> int:
    """How many characters they share."""
    return sum(
        max(0, min(end, other_end) - max(start, other_start))
        for start, end in entity.fragments
        for other_start, other_end in other.fragments
    )


def overlapping(entities: Sequence[Entity], spans: Sequence[Span]) -> list[list[int]]:
    """For each span the indices of the entities that it shares a character with, in order."""
    return [
        [
            at
            for at, entity in enumerate(entities)
            if entity.start < span.end and span.start < entity.end and overlap(entity, span)
        ]
        for span in spans
    ]


def _of_document(
    entities: Sequence[Entity], spans: Sequence[Span]
) -> Iterator[tuple[str | None, str, Tally]]:
    met = overlapping(entities, spans)
    for mode in MODES:
        yield None, mode, _match(entities, spans, met, mode)
    gold, predicted = ({item.type for item in items} for items in (entities, spans))
    for type_ in gold | predicted:
        own = [at for at, entity in enumerate(entities) if entity.type == type_]
        number = {at: index for index, at in enumerate(own)}
        its_entities = [entities[at] for at in own]
        its = [(span, found) for span, found in zip(spans, met, strict=True) if span.type == type_]
        its_spans = [span for span, _ in its]
        its_met = [[number[at] for at in found if at in number] for _, found in its]
        for mode in MODES:
            yield type_, mode, _match(its_entities, its_spans, its_met, mode)


def _match(
    entities: Sequence[Entity], spans: Sequence[Span], met: Sequence[Sequence[int]], mode: str
) -> Tally:
    correct = partial = incorrect = 0
    free = set(range(len(entities)))
    left = []
    for span, found in zip(spans, met, strict=True):
        alike = [
            at
            for at in found
            if at in free
            and entities[at].fragments == span.fragments
            and entities[at].type == span.type
        ]
        if alike:
            free.remove(alike[0])
            correct += 1
        else:
            left.append((span, found))
    for span, found in left:
        candidates = [at for at in found if at in free]
        if not candidates:
            continue
        same_place = [at for at in candidates if entities[at].fragments == span.fragments]
        same_type = [at for at in candidates if entities[at].type == span.type]
        if mode in ("exact", "partial") and same_place:
            taken = same_place[0]
            correct += 1
        elif mode == "type" and same_type:
            taken = min(same_type, key=lambda at: _distance(entities[at], span))
            correct += 1
        else:
            taken = candidates[0]
            partial += mode == "partial"
            incorrect += mode != "partial"
        free.remove(taken)
    return Tally(len(entities), len(spans), correct, partial, incorrect)


def _distance(entity: Entity, span: Span) -> int:
    return abs(entity.start - span.start) + abs(entity.end - span.end)
