"""Scores of token tags, as many tables have them: beside the span scores, never in their place.

They are computed on the likeliest tag of every token, before constrained decoding, against the gold
as flat tags over the same tokens: what the tag scheme cannot express is not counted as missed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from medner.documents import Document
from medner.labels import Labels, flatten
from medner.predictions import Prediction
from medner.scoring.label_map import LabelMap


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
    gold = [_gold_tags(document, predicted[document.id]) for document in documents]
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


def _gold_tags(document: Document, prediction: Prediction) -> list[str]:
    labels = Labels(tuple(sorted({entity.type for entity in document.entities})))
    offsets = np.array(prediction.tokens.offsets, dtype=np.int32).reshape(-1, 2)
    entities = flatten(document.entities, "longest_first")
    names = labels.tags
    return [names[tag] for tag in labels.encode(entities, offsets[:, 0], offsets[:, 1])]


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
