"""How sure a model is of its spans, by what it said of their tokens, and which of them are right.

A temperature T turns the probabilities p of a token's tags into p^(1/T), scaled to add up to 1 (Guo
et al. 2017, "On Calibration of Modern Neural Networks"). It comes after decoding: the spans stay
as they are, and only how sure they are changes. Of its tags a span's token keeps the likeliest by
themselves and the rest together, whose tags are taken to share its probability evenly. That gives
a token the least probability that it can have if T is above 1, the greatest if it is below: with
83 tags and T = 1.65, .02 less than all tags would on average, which a fitted T makes good.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medner.documents import Document, entity_types
from medner.errors import UserError
from medner.labels import Labels, flatten
from medner.predictions import LIKELIEST, Prediction
from medner.scoring.matching import score

Values = NDArray[np.float64]
Indices = NDArray[np.int64]


def geometric_mean(log_probs: Values, first: Indices) -> Values:
    """See ``CONFIDENCES``."""
    return np.exp(np.add.reduceat(log_probs, first) / _sizes(log_probs, first))


def arithmetic_mean(log_probs: Values, first: Indices) -> Values:
    """See ``CONFIDENCES``."""
    return np.add.reduceat(np.exp(log_probs), first) / _sizes(log_probs, first)


def minimum(log_probs: Values, first: Indices) -> Values:
    """See ``CONFIDENCES``."""
    return np.exp(np.minimum.reduceat(log_probs, first))


def product(log_probs: Values, first: Indices) -> Values:
    """See ``CONFIDENCES``."""
    return np.exp(np.add.reduceat(log_probs, first))


def first_token(log_probs: Values, first: Indices) -> Values:
    """See ``CONFIDENCES``."""
    return np.exp(log_probs[first])


def _sizes(log_probs: Values, first: Indices) -> Indices:
    return np.diff(first, append=len(log_probs))


# What spans make of their tokens: from the log probabilities of the tokens' own tags, shape
# (tokens,), span after span, and the index of each span's first token, to shape (spans,).
CONFIDENCES: dict[str, Callable[[Values, Indices], Values]] = {
    "geometric_mean": geometric_mean,
    "arithmetic_mean": arithmetic_mean,
    "minimum": minimum,
    "product": product,
    "first": first_token,
}
DEFAULT = "geometric_mean"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What predictions say of their spans, in the predictions' order.

    ``given`` (spans,): the confidences, not a number where there is none. ``without_tokens``: how
    many spans have none. If there are spans, and all have tokens, ``log_probs`` (kept, tokens) is
    what :class:`medner.predictions.Span` keeps, ``first`` (spans,) the index of each span's first
    token, and ``classes`` the number of the model's tags; else ``classes`` is None, the arrays are
    empty, and there is nothing to apply a temperature to.
    """

    given: Values
    without_tokens: int
    log_probs: Values
    first: Indices
    classes: int | None


def evidence(predictions: Sequence[Prediction]) -> Evidence:
    """Raises UserError if the log probabilities are not those of one model."""
    spans = [span for prediction in predictions for span in prediction.spans]
    given = np.array([np.nan if s.confidence is None else s.confidence for s in spans], dtype=float)
    without_tokens = sum(not span.tokens for span in spans)
    if without_tokens or not spans:
        nothing = np.empty((0, 0)), np.empty(0, dtype=np.int64)
        return Evidence(given, without_tokens, *nothing, None)
    found = {prediction.tokens.classes for prediction in predictions if prediction.spans}
    classes = found.pop() if len(found) == 1 else None
    rows = [row for span in spans for row in span.log_probs]
    if classes is None or {len(row) for row in rows} != {min(classes, LIKELIEST + 2)}:
        raise UserError(
            "the predictions are not all of one model, or not as it made them: classes and "
            "log_probs do not fit; predict anew"
        )
    ends = np.cumsum([len(span.tokens) for span in spans])
    return Evidence(given, 0, np.array(rows).T.copy(), np.append(0, ends[:-1]), classes)


def confidences(said: Evidence, name: str = DEFAULT, temperature: float = 1.0) -> Values:
    """Of the spans, shape (spans,), by a name of ``CONFIDENCES``; as given if spans lack tokens."""
    if said.classes is None:
        return said.given
    return CONFIDENCES[name](_log_probs(said, temperature), said.first)


def token_confidences(said: Evidence, temperature: float = 1.0) -> Values:
    """Of the spans' tokens, the probability of their own tag, shape (tokens,)."""
    return np.exp(_log_probs(said, temperature))


def _log_probs(said: Evidence, temperature: float) -> Values:
    """Of the tokens' own tags at a temperature, shape (tokens,)."""
    if said.classes is None:
        return np.empty(0)
    scaled = said.log_probs / temperature
    rest = said.classes - (LIKELIEST + 1)
    if rest > 0:  # rest * (probability / rest) ** (1 / temperature)
        scaled[-1] += np.log(rest) * (1 - 1 / temperature)
    highest = scaled.max(axis=0)
    total = np.exp(scaled - highest).sum(axis=0)
    return scaled[0] - highest - np.log(total)


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Of predicted spans, what was said of them and whether it came true.

    ``correct`` (spans,): strictly, as :func:`medner.scoring.matching.score` has it.
    ``token_correct`` (tokens,): whether the token's tag is that of the gold, tagged longest entity
    first. ``gold`` is the number of the gold's entities.
    """

    evidence: Evidence
    correct: NDArray[np.bool_]
    token_correct: NDArray[np.bool_]
    gold: int


def outcomes(documents: Iterable[Document], predictions: Iterable[Prediction]) -> Outcomes:
    """Compare predictions, in the corpus's types, with the gold.

    Entities of documents without a prediction are missed. Raises UserError where documents and
    predictions do not fit each other, and as :func:`evidence`.
    """
    documents, predictions = list(documents), list(predictions)
    gold = score(documents, predictions, allow_missing=True).overall.gold
    said = evidence(predictions)
    by_id = {document.id: document for document in documents}
    labels = Labels(entity_types(documents))
    correct: list[bool] = []
    token_correct: list[bool] = []
    for prediction in predictions:
        document = by_id[prediction.document]
        correct += _correct(document, prediction)
        if said.classes is not None and prediction.spans:
            token_correct += _token_correct(document, prediction, labels)
    return Outcomes(said, np.array(correct, dtype=bool), np.array(token_correct, dtype=bool), gold)


def _correct(document: Document, prediction: Prediction) -> list[bool]:
    """Which spans are entities of the gold; of equal ones the most confident are matched first."""
    unmatched = Counter((entity.fragments, entity.type) for entity in document.entities)
    spans = prediction.spans
    result = [False] * len(spans)
    for at in sorted(range(len(spans)), key=lambda at: -(spans[at].confidence or 0.0)):
        key = spans[at].fragments, spans[at].type
        result[at] = unmatched[key] > 0
        unmatched[key] -= 1
    return result


def _token_correct(document: Document, prediction: Prediction, labels: Labels) -> list[bool]:
    """Which tokens of the spans have the gold's tag: B for a span's first one, I for the others."""
    starts, ends = np.array(prediction.tokens.offsets).T
    tags = labels.encode(flatten(document.entities, "longest_first"), starts, ends).tolist()
    names = labels.tags
    return [
        names[tags[token]] == f"{'I' if number else 'B'}-{span.type}"
        for span in prediction.spans
        for number, token in enumerate(span.tokens)
    ]
