"""What went wrong: every false positive and every false negative once, by kind.

A prediction that is not correct is held against the unmatched gold entity that it shares most
characters with (its own type first), and an entity that was not found against the prediction
likewise. So the kinds of the predictions add up to the false positives, and those of the entities
to the false negatives. After the error classes of Explainable NER evaluation (Fu et al. 2020) and
SemEval-2013, with boundaries told apart.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medner.documents import Document, Entity
from medner.predictions import Prediction, Span
from medner.scoring.matching import pair
from medner.scoring.semeval import overlap
from medner.tables import aligned

TYPE = "wrong type"  # boundaries agree
LONGER, SHORTER, SHIFTED = "longer", "shorter", "shifted"  # the type agrees, from here on
SPLIT = "split"  # several predictions for one entity
MERGED = "merged"  # one prediction for several entities
BOTH = "wrong type and boundary"
MISSED = "missed"  # no unmatched prediction overlaps it
SPURIOUS = "spurious"  # it overlaps no unmatched entity
UNREACHABLE = "unreachable"  # no flat tags over the model's tokens are this entity
BOUNDARY = (LONGER, SHORTER, SHIFTED, SPLIT, MERGED)
KINDS = (TYPE, *BOUNDARY, BOTH, MISSED, SPURIOUS, UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A false negative (``entity``, and what was predicted in its place, if anything) or a false
    positive (``span``, and the entity in its place): ``found`` says which of the two it is."""

    document: str
    kind: str
    entity: Entity | None
    span: Span | None
    false_positive: bool


@dataclass(frozen=True, slots=True)
class Errors:
    """All mistakes, in order of documents and text, and how types were taken for one another.

    ``confusion`` counts by (gold type, predicted type): entities that were met by a prediction,
    whatever its boundaries; with None as predicted type the entities that were not, and with None
    as gold type the predictions that met none.
    """

    mistakes: tuple[Mistake, ...]
    confusion: Mapping[tuple[str | None, str | None], int]

    def counts(self, false_positives: bool) -> dict[str, int]:
        """By kind, all kinds, of one of the two sides."""
        found = Counter(m.kind for m in self.mistakes if m.false_positive == false_positives)
        return {kind: found[kind] for kind in KINDS}

    def to_dict(self) -> dict:
        """For JSON: counts alone, no text."""
        return {
            "false_positives": self.counts(True),
            "false_negatives": self.counts(False),
            "confusion": [
                {"gold": gold, "predicted": predicted, "count": count}
                for (gold, predicted), count in sorted(
                    self.confusion.items(), key=lambda item: (-item[1], str(item[0]))
                )
            ],
        }

    def table(self) -> str:
        """The kinds as aligned plain text, the sums last."""
        positives, negatives = self.counts(True), self.counts(False)
        rows = [("error", "predictions", "entities")]
        rows += [
            (kind, str(positives[kind]), str(negatives[kind]))
            for kind in KINDS
            if positives[kind] or negatives[kind]
        ]
        sums = (str(sum(positives.values())), str(sum(negatives.values())))
        return aligned([*rows, ("false positives, false negatives", *sums)])


def find_errors(
    documents: Iterable[Document],
    predictions: Iterable[Prediction],
    reachable: Callable[[Document, Entity], bool] | None = None,
) -> Errors:
    """Compare strictly, as ``score`` does.

    Args:
        predictions: in the corpus's types.
        reachable: whether flat tags over the model's tokens can express an entity by itself; None
            where that is not known: nothing is unreachable then.

    Raises:
        UserError: as of ``score``.
    """
    documents = list(documents)
    predicted = pair(documents, predictions)
    mistakes: list[Mistake] = []
    confusion: Counter[tuple[str | None, str | None]] = Counter()
    for document in documents:
        spans = predicted[document.id].spans if document.id in predicted else ()
        correct, entities, left = _unmatched(document.entities, spans)
        confusion.update((type_, type_) for type_ in correct)
        for mistake in _of_document(document, entities, left, reachable):
            mistakes.append(mistake)
            if mistake.false_positive:
                if mistake.entity is None:
                    confusion[None, mistake.span.type] += 1
            else:
                span = mistake.span
                confusion[mistake.entity.type, span.type if span else None] += 1
    return Errors(tuple(mistakes), dict(confusion))


def _unmatched(
    entities: Sequence[Entity], spans: Sequence[Span]
) -> tuple[list[str], list[Entity], list[Span]]:
    """Types of what is correct, and the entities and spans that are not."""
    open_: dict[tuple, list[Entity]] = defaultdict(list)
    for entity in entities:
        open_[entity.fragments, entity.type].append(entity)
    correct, left = [], []
    for span in spans:
        alike = open_[span.fragments, span.type]
        if alike:
            correct.append(alike.pop().type)
        else:
            left.append(span)
    return correct, sorted(entity for rest in open_.values() for entity in rest), left


def _of_document(
    document: Document,
    entities: list[Entity],
    spans: list[Span],
    reachable: Callable[[Document, Entity], bool] | None,
) -> list[Mistake]:
    met_by = [_met(entity, spans) for entity in entities]
    meets = [_met(span, entities) for span in spans]
    found = []
    for entity, candidates in zip(entities, met_by, strict=True):
        at = candidates[0] if candidates else None
        span = None if at is None else spans[at]
        if reachable and not reachable(document, entity):
            kind = UNREACHABLE
        elif span is None:
            kind = MISSED
        else:
            kind = _kind(
                entity, span,
                split=_same_type(candidates, spans, entity) > 1,
                merged=_same_type(meets[at], entities, span) > 1,
            )  # fmt: skip
        found.append(Mistake(document.id, kind, entity, span, false_positive=False))
    for span, candidates in zip(spans, meets, strict=True):
        at = candidates[0] if candidates else None
        entity = None if at is None else entities[at]
        if entity is None:
            kind = SPURIOUS
        else:
            kind = _kind(
                entity, span,
                split=_same_type(met_by[at], spans, entity) > 1,
                merged=_same_type(candidates, entities, span) > 1,
            )  # fmt: skip
        found.append(Mistake(document.id, kind, entity, span, false_positive=True))
    return sorted(found, key=lambda m: (m.span if m.false_positive else m.entity).fragments)


def _met(item: Entity | Span, others: Sequence[Entity | Span]) -> list[int]:
    """Indices of those that it overlaps: of its own type first, then by shared characters."""
    shared = {
        at: overlap(item, other)
        for at, other in enumerate(others)
        if other.start < item.end and item.start < other.end
    }
    order = ((others[at].type != item.type, -size, at) for at, size in shared.items() if size)
    return [at for *_, at in sorted(order)]


def _same_type(met: Sequence[int], others: Sequence[Entity | Span], item: Entity | Span) -> int:
    return sum(others[at].type == item.type for at in met)


def _kind(entity: Entity, span: Span, *, split: bool, merged: bool) -> str:
    """Of two that overlap and are not alike."""
    if entity.fragments == span.fragments:
        return TYPE
    if entity.type != span.type:
        return BOTH
    if merged:
        return MERGED
    if split:
        return SPLIT
    if span.start <= entity.start and entity.end <= span.end:
        return LONGER
    return SHORTER if entity.start <= span.start and span.end <= entity.end else SHIFTED
