"""Scores of token tags, as many tables have them: beside the span scores, never in their place.

They are computed on the likeliest tag of every token, before constrained decoding, against the gold
as flat tags over the same tokens: what the tag scheme cannot express is not counted as missed, nor
what lies behind the last token of a truncated document.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medner.documents import Document
from medner.labels import Labels, copied, flatten
from medner.predictions import Prediction
from medner.scoring.label_map import LabelMap
from medner.words import first_tokens, inside_word


@dataclass(frozen=True, slots=True)
class TokenScores:
    """``lenient`` and ``strict``: precision, recall and micro F1 as seqeval gives them by default
    and with ``mode="strict", scheme=IOB2``; lenient takes a stray I- tag for the beginning of an
    entity. ``accuracy``: the share of tokens with the right tag, O included."""

    lenient: Mapping[str, float]
    strict: Mapping[str, float]
    accuracy: float
    tokens: int

    def to_dict(self) -> dict:
        return {
            "seqeval_lenient": dict(self.lenient),
            "seqeval_strict": dict(self.strict),
            "token_accuracy": self.accuracy,
            "tokens": self.tokens,
        }


def token_scores(
    documents: Iterable[Document],
    predictions: Iterable[Prediction],
    label_map: LabelMap | None,
    corpus_types: Collection[str],
) -> TokenScores | None:
    """Score the tokens' own tags.

    Args:
        predictions: in the model's types; None is returned if one has no tokens, as those of other
            systems.
        label_map: applied to tags: a tag that is left out becomes O, and nothing is joined.
        corpus_types: tags that the map leads to other types become O, too.
    """
    predicted = {prediction.document: prediction for prediction in predictions}
    documents = [document for document in documents if document.id in predicted]
    if not documents or any(predicted[document.id].tokens is None for document in documents):
        return None
    mapped = _tag_map(label_map, corpus_types)
    gold = [_gold_tags(document, predicted[document.id], False) for document in documents]
    found = [
        [mapped.get(tag, "O") if label_map else tag for tag in predicted[document.id].tokens.tags]
        for document in documents
    ]
    right = sum(
        a == b
        for left, right in zip(gold, found, strict=True)
        for a, b in zip(left, right, strict=True)
    )
    tokens = sum(map(len, gold))
    return TokenScores(
        lenient=_seqeval(gold, found),
        strict=_seqeval(gold, found, strict=True),
        accuracy=right / tokens if tokens else 0.0,
        tokens=tokens,
    )


def lenient_by_word(
    documents: Iterable[Document], predictions: Iterable[Prediction]
) -> dict[str, float]:
    """What seqeval gives by default where each word counts once, by the tag of its first token."""
    gold, found = [], []
    for document, prediction in _paired(documents, predictions):
        first = np.flatnonzero(_first_tokens(document, prediction) == _places(prediction))
        for tags, into in ((_gold_tags(document, prediction, False), gold),
                           (prediction.tokens.tags, found)):  # fmt: skip
            into.append([tags[at] for at in first])
    return _seqeval(gold, found)


def lenient_by_piece(
    documents: Iterable[Document], predictions: Iterable[Prediction]
) -> dict[str, float]:
    """What seqeval gives by default where every piece of a word counts, and has the word's tag.

    So report scripts that label all tokens: ``B-X B-X`` over the two pieces of a word are two
    entities, and each piece that is right is one more that is correct. Of a model that was trained
    otherwise, the pieces take the tag of the word's first one.
    """
    gold, found = [], []
    for document, prediction in _paired(documents, predictions):
        gold.append(_gold_tags(document, prediction, True))
        tags = prediction.tokens.tags
        first = _first_tokens(document, prediction)
        found.append(list(tags) if prediction.tokens.copied else [tags[at] for at in first])
    return _seqeval(gold, found)


def _paired(
    documents: Iterable[Document], predictions: Iterable[Prediction]
) -> Iterable[tuple[Document, Prediction]]:
    predicted = {prediction.document: prediction for prediction in predictions}
    return ((document, predicted[document.id]) for document in documents)


def _offsets(prediction: Prediction) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where the tokens start and end."""
    offsets = np.array(prediction.tokens.offsets, dtype=np.int32).reshape(-1, 2)
    return offsets[:, 0], offsets[:, 1]


def _places(prediction: Prediction) -> NDArray[np.int64]:
    return np.arange(len(prediction.tokens.offsets))


def _first_tokens(document: Document, prediction: Prediction) -> NDArray[np.int64]:
    """See :func:`medner.words.first_tokens`."""
    return first_tokens(inside_word(document.text, *_offsets(prediction)))


def _gold_tags(document: Document, prediction: Prediction, by_piece: bool) -> list[str]:
    """The gold's tags: BIO or, if asked for or what the model was trained on, copied."""
    labels = Labels(tuple(sorted({entity.type for entity in document.entities})))
    starts, ends = _offsets(prediction)
    tags = labels.encode(flatten(document.entities, "longest_first"), starts, ends)
    if by_piece or prediction.tokens.copied:
        tags = copied(tags, inside_word(document.text, starts, ends))
    names = labels.tags
    return [names[tag] for tag in tags]


def _tag_map(label_map: LabelMap | None, corpus_types: Collection[str]) -> dict[str, str]:
    if label_map is None:
        return {}
    return {
        f"{prefix}-{own}": f"{prefix}-{type_}"
        for type_, names in label_map.types.items()
        if type_ in corpus_types
        for own in names
        for prefix in "BI"
    }


def _seqeval(gold: list[list[str]], found: list[list[str]], strict: bool = False) -> dict:
    from seqeval.metrics import sequence_labeling, v1  # import scikit-learn: a second
    from seqeval.scheme import IOB2

    options = {"average": "micro", "zero_division": 0}
    if strict:
        figures = v1.precision_recall_fscore_support(gold, found, scheme=IOB2, **options)
    else:
        figures = sequence_labeling.precision_recall_fscore_support(gold, found, **options)
    return dict(zip(("precision", "recall", "f1"), map(float, figures[:3]), strict=True))
