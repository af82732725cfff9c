"""What flat tags over a system's tokens can express of the gold, and what they cannot."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medner.decoding import reachable
from medner.documents import Document, Entity
from medner.labels import Labels, flatten
from medner.predictions import Prediction, Tokens
from medner.windows import TokenizedDocument

# Why an entity cannot be expressed; of several causes the first of these is the one that is said.
# Where a word's tokens all have its tag, a word is what a token is elsewhere.
BEYOND, DISCONTINUOUS, OVERLAPPING, INSIDE_TOKEN = (
    "ends beyond what was read", "discontinuous", "overlaps another",
    "begins or ends inside a token",
)  # fmt: skip
_RULE = "most_kept"  # as many entities as flat tags can have, however the model was trained


class Reach:
    """The gold of documents, over the tokens of a system's predictions for them."""

    def __init__(self, documents: Sequence[Document], tokens: Mapping[str, Tokens]) -> None:
        """
        Args:
            tokens: by document id.
        """
        self._documents = documents
        self._copied = {document.id for document in documents if tokens[document.id].copied}
        self._tokenised = {
            document.id: _tokenised(document, tokens[document.id]) for document in documents
        }

    @classmethod
    def of(cls, documents: Sequence[Document], predictions: Sequence[Prediction]) -> "Reach | None":
        """None of a system that says nothing of its tokens."""
        tokens = {prediction.document: prediction.tokens for prediction in predictions}
        known = all(tokens.get(document.id) for document in documents)
        return cls(documents, tokens) if known else None

    def alone(self, document: Document, entity: Entity) -> bool:
        """Whether an entity could be expressed if there were no other."""
        one = replace(self._tokenised[document.id], document=replace(document, entities=(entity,)))
        spans = self._best(one, Labels((entity.type,))).spans
        return [span.fragments for span in spans] == [entity.fragments]

    def lost(self) -> dict[str, Any]:
        """How many entities cannot be expressed together, by cause, and the recall that remains."""
        gold = sum(len(document.entities) for document in self._documents)
        if not gold:
            return {"gold": 0, "recall": 0.0, "lost": {}}
        labels = Labels.of(self._documents)
        best = [self._best(one, labels) for one in self._tokenised.values()]
        read_to = {id: int(one.ends[-1]) if len(one) else 0 for id, one in self._tokenised.items()}
        lost = lost_entities(self._documents, best, _RULE, read_to)
        causes = Counter(loss["why"] for loss in lost)
        return {
            "gold": gold,
            "recall": 1 - causes.total() / gold,
            "lost": dict(causes.most_common()),
        }

    def _best(self, one: TokenizedDocument, labels: Labels) -> Prediction:
        return reachable(one, labels, _RULE, "copied" if one.document.id in self._copied else "bio")


def _tokenised(document: Document, tokens: Tokens) -> TokenizedDocument:
    offsets = np.array(tokens.offsets, dtype=np.int32).reshape(-1, 2)
    # which tokens they are does not matter
    return TokenizedDocument.of(document, np.zeros(len(offsets), dtype=np.int32), offsets)


def lost_entities(
    documents: Iterable[Document],
    reachable: Iterable[Prediction],
    rule: str,
    read_to: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Each entity of the gold that cannot be expressed: where it is, and why.

    Args:
        reachable: the documents' gold, encoded and decoded again.
        rule: how overlapping entities were flattened for it.
        read_to: by document id, the end of the last token that was read.
    """
    found = {prediction.document: prediction for prediction in reachable}
    lost = []
    for document in documents:
        spans = Counter((s.start, s.end, s.type) for s in found[document.id].spans)
        kept = Counter(flatten(document.entities, rule))
        for entity in document.entities:
            key = (entity.start, entity.end, entity.type)
            kept_here, kept[entity] = kept[entity] > 0, kept[entity] - 1
            if not entity.discontinuous and kept_here and spans[key] > 0:
                spans[key] -= 1
                continue
            lost.append(
                {
                    "document": document.id,
                    "type": entity.type,
                    "fragments": [list(fragment) for fragment in entity.fragments],
                    "why": _why(
                        entity, document.text[read_to[document.id] : entity.end], kept_here
                    ),
                }
            )
    return lost


def _why(entity: Entity, unread: str, kept: bool) -> str:
    """
    Args:
        unread: what is between the last token and the entity's end; perhaps white space.
        kept: whether flattening kept it.
    """
    if unread.strip():
        return BEYOND
    if entity.discontinuous:
        return DISCONTINUOUS
    return INSIDE_TOKEN if kept else OVERLAPPING


def reach_lines(found: Mapping[str, Any]) -> list[str]:
    """What was out of reach, for the log."""
    if not found["lost"]:
        return ["out of reach of flat tags over the model's tokens: nothing"]
    causes = ", ".join(f"{number} {why}" for why, number in found["lost"].items())
    return [
        f"out of reach of flat tags over the model's tokens: {sum(found['lost'].values())} of "
        f"{found['gold']} entities ({causes}); the best recall is {found['recall']:.4f}"
    ]
