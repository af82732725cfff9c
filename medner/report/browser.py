"""What the error browser of a page draws: documents with gold and predicted spans."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from medner.documents import Document, Entity
from medner.predictions import Prediction, Span
from medner.scoring.errors import Errors, Mistake


def browser_data(
    documents: Sequence[Document], predictions: Iterable[Prediction], errors: Errors, text: bool
) -> dict[str, Any]:
    """For JSON in the page, without which nothing of it is drawn.

    ``types`` and ``kinds`` are lists that the rest counts into. A document has ``id``, ``text``,
    and ``spans``: for each fragments, index of the type, whether it is gold, index of the kind of
    error (None if it is right) and, of a prediction, its confidence.

    Args:
        text: whether the documents' texts and ids are in it; if not, a row of blanks as long is
            drawn, and documents have their number for an id (file names may be those of patients).
    """
    predicted = {prediction.document: prediction for prediction in predictions}
    wrong: dict[str, list[Mistake]] = defaultdict(list)
    for mistake in errors.mistakes:
        wrong[mistake.document].append(mistake)
    types = sorted(
        {entity.type for document in documents for entity in document.entities}
        | {span.type for prediction in predicted.values() for span in prediction.spans}
    )
    kinds = list(dict.fromkeys(mistake.kind for mistake in errors.mistakes))
    return {
        "types": types,
        "kinds": kinds,
        "documents": [
            {
                "id": document.id if text else str(number),
                "text": document.text if text else None,
                "length": len(document.text),
                "spans": _spans(
                    document, predicted.get(document.id), wrong[document.id], types, kinds
                ),
            }
            for number, document in enumerate(documents, start=1)
        ],
    }


def _spans(
    document: Document,
    prediction: Prediction | None,
    mistakes: Iterable[Mistake],
    types: list[str],
    kinds: list[str],
) -> list[list]:
    # by what is wrong; a span that is there twice may be right once, of other confidence
    left: dict[Entity | Span, list[str]] = defaultdict(list)
    for mistake in mistakes:
        left[mistake.span if mistake.false_positive else mistake.entity].append(mistake.kind)
    spans = []
    for is_gold, items in (
        (True, document.entities),
        (False, prediction.spans if prediction else ()),
    ):
        for item in items:
            kind = kinds.index(left[item].pop()) if left[item] else None
            confidence = None if is_gold or item.confidence is None else round(item.confidence, 3)
            fragments = [list(fragment) for fragment in item.fragments]
            spans.append([fragments, types.index(item.type), int(is_gold), kind, confidence])
    return spans
