"""What flat tags over a system's tokens can express of the gold, and what they cannot."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medner.data_report import DISCONTINUOUS, lost_entities
from medner.decoding import reachable
from medner.documents import Document, Entity
from medner.labels import Labels
from medner.predictions import Prediction, Tokens
from medner.windows import TokenizedDocument

BEYOND = "beyond the tokens that were read"
_RULE = "most_kept"  # as many entities as flat tags can have, however the model was trained


class Reach:
    """The gold of documents, over the tokens of a system's predictions for them."""

    def __init__(self, documents: Sequence[Document], tokens: Mapping[str, Tokens]) -> None:
        """
        Args:
            tokens: by document id.
        """
        self._documents = documents
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
        spans = reachable(one, Labels((entity.type,)), _RULE).spans
        return [span.fragments for span in spans] == [entity.fragments]

    def lost(self) -> dict[str, Any]:
        """How many entities cannot be expressed together, by cause, and the recall that remains."""
        gold = sum(len(document.entities) for document in self._documents)
        if not gold:
            return {"gold": 0, "recall": 0.0, "lost": {}}
        labels = Labels.of(self._documents)
        best = [reachable(one, labels, _RULE) for one in self._tokenised.values()]
        causes = Counter(
            BEYOND if loss["why"] != DISCONTINUOUS and self._beyond(loss) else loss["why"]
            for loss in lost_entities(self._documents, best, _RULE)
        )
        return {
            "gold": gold,
            "recall": 1 - causes.total() / gold,
            "lost": dict(causes.most_common()),
        }

    def _beyond(self, loss: Mapping[str, Any]) -> bool:
        one = self._tokenised[loss["document"]]
        read = int(one.ends[-1]) if len(one) else 0
        return bool(one.document.text[read : loss["fragments"][-1][1]].strip())


def _tokenised(document: Document, tokens: Tokens) -> TokenizedDocument:
    offsets = np.array(tokens.offsets, dtype=np.int32).reshape(-1, 2)
    # which tokens they are does not matter
    return TokenizedDocument.of(document, np.zeros(len(offsets), dtype=np.int32), offsets)


def reach_lines(found: Mapping[str, Any]) -> list[str]:
    """What was out of reach, for the log."""
    if not found["lost"]:
        return ["out of reach of flat tags over the model's tokens: nothing"]
    causes = ", ".join(f"{number} {why}" for why, number in found["lost"].items())
    return [
        f"out of reach of flat tags over the model's tokens: {sum(found['lost'].values())} of "
        f"{found['gold']} entities ({causes}); the best recall is {found['recall']:.4f}"
    ]
