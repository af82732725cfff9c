"""Strict matching of predicted spans with the original gold entities, in whole counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medner.documents import Document
from medner.errors import UserError
from medner.predictions import Prediction
from medner.tables import aligned


@dataclass(frozen=True, slots=True)
class Counts:
    """Entities in the gold, entities predicted, and predictions that are correct."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.gold + other.gold, self.predicted + other.predicted, self.correct + other.correct
        )

    @property
    def precision(self) -> float:
        """Correct of predicted; 0 where nothing is predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Correct of gold; 0 where there is no gold."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing is correct."""
        return 2 * self.correct / (self.gold + self.predicted) if self.correct else 0.0

    def to_dict(self) -> dict[str, int | float]:
        return {
            "gold": self.gold,
            "predicted": self.predicted,
            "correct": self.correct,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts by type, over ``documents`` documents of which ``missing`` had no prediction."""

    by_type: Mapping[str, Counts]
    documents: int
    missing: int = 0

    @property
    def overall(self) -> Counts:
        """All types together: micro precision, recall and F1."""
        return sum(self.by_type.values(), Counts())

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the types that the gold has; 0 if it has none."""
        figures = [counts.f1 for counts in self.by_type.values() if counts.gold]
        return sum(figures) / len(figures) if figures else 0.0

    @property
    def weighted_f1(self) -> float:
        """Mean F1 of the types, each weighted by its entities in the gold; 0 if there are none."""
        gold = self.overall.gold
        return sum(c.f1 * c.gold for c in self.by_type.values()) / gold if gold else 0.0

    def to_dict(self) -> dict:
        """For JSON: counts, and figures in full."""
        return {
            "documents": self.documents,
            "missing_documents": self.missing,
            "overall": self.overall.to_dict(),
            "macro_f1": self.macro_f1,
            "weighted_f1": self.weighted_f1,
            "types": {name: counts.to_dict() for name, counts in self.by_type.items()},
        }


def score(
    documents: Iterable[Document], predictions: Iterable[Prediction], *, allow_missing: bool = False
) -> Scores:
    """Strict scores: a prediction is correct if document, fragments and type are those of a gold
    entity (SemEval-2013 task 9.1, 'strict').

    The gold is taken as annotated, overlapping, nested and discontinuous entities included: a flat
    span never matches a discontinuous entity, and of several that are alike each is matched with
    one. What cannot be expressed counts as missed. With ``allow_missing``, documents without a
    prediction count as predicted empty. Raises UserError where the two do not fit each other.
    """
    documents = list(documents)
    predicted = pair(documents, predictions)
    missing = [document.id for document in documents if document.id not in predicted]
    if missing and not allow_missing:
        raise UserError(
            f"{len(missing)} of {len(documents)} documents have no prediction ({_some(missing)}); "
            "predict them, or say that missing documents are allowed: their entities then count "
            "as missed"
        )
    gold_counts: Counter[str] = Counter()
    predicted_counts: Counter[str] = Counter()
    correct_counts: Counter[str] = Counter()
    for document in documents:
        gold = Counter((entity.fragments, entity.type) for entity in document.entities)
        gold_counts.update(entity.type for entity in document.entities)
        if prediction := predicted.get(document.id):
            predicted_counts.update(span.type for span in prediction.spans)
            found = Counter((span.fragments, span.type) for span in prediction.spans)
            for (_, type_), number in (gold & found).items():
                correct_counts[type_] += number
    by_type = {
        name: Counts(gold_counts[name], predicted_counts[name], correct_counts[name])
        for name in sorted(gold_counts | predicted_counts)
    }
    return Scores(by_type, len(documents), len(missing))


def table(scores: Scores) -> str:
    """The scores as aligned plain text, one type a line, most frequent first, overall last."""
    order = sorted(scores.by_type.items(), key=lambda item: (-item[1].gold, item[0]))
    rows = [("type", "gold", "predicted", "correct", "precision", "recall", "F1")]
    for name, counts in [*order, ("overall", scores.overall)]:
        whole = (str(counts.gold), str(counts.predicted), str(counts.correct))
        figures = (f"{value:.3f}" for value in (counts.precision, counts.recall, counts.f1))
        rows.append((name, *whole, *figures))
    return aligned(rows)


def pair(documents: list[Document], predictions: Iterable[Prediction]) -> dict[str, Prediction]:
    """The predictions by document.

    Raises:
        UserError: on a document that comes twice, or is not among ``documents``.
    """
    known = Counter(document.id for document in documents)
    if twice := [name for name, count in known.items() if count > 1]:
        raise UserError(f"documents occur twice ({_some(twice)}); give each an id of its own")
    predicted: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.document in predicted:
            raise UserError(f"document {prediction.document} is predicted twice; keep one of them")
        predicted[prediction.document] = prediction
    if unknown := [name for name in predicted if name not in known]:
        raise UserError(
            f"{len(unknown)} of {len(predicted)} predictions are for documents that the gold does "
            f"not have ({_some(unknown)}); score them on the documents they were made for"
        )
    return predicted


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
