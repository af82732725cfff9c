"""One model's predictions under other rulers: what the way of scoring is worth, factor by factor.

The headline is strict: whole documents, spans, the full original gold. Beside it stand the ways in
which the study that MedNER grew from differs, or is taken to differ, each by itself and then one
after the other. No model is needed, nor another training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medner.documents import Document
from medner.predictions import Prediction, Tokens
from medner.scoring.matching import Counts, score
from medner.scoring.selection import Selection
from medner.scoring.token_scores import lenient_by_piece, lenient_by_word
from medner.tables import aligned

FIRST_TOKENS = 510  # what 512 leave beside two special ones

# in the order of the path
FACTORS = {
    "lost_labels": "gold: what the hub's conversion keeps",
    "truncation": f"behind the first {FIRST_TOKENS} tokens neither gold nor predictions",
    "scorer": "seqeval as it comes (lenient), by word, tags before decoding",
    "subtokens": "seqeval so, but by piece of a word (alone: with the scorer's change)",
}
SELECTION = "selection"


@dataclass(frozen=True, slots=True)
class Rulers:
    """Precision, recall and F1 of the same predictions.

    ``strict`` is the headline; ``alone`` has each of ``FACTORS`` by itself, but for ``subtokens``:
    strict scores are of spans and know no pieces, so that it is scorer and sub-tokens together, and
    what pieces alone are worth is its difference to ``scorer``. ``path`` has them added up in their
    order. ``selection`` is a factor that the predictions do not tell; None where these documents
    did not choose the epoch.
    """

    strict: Mapping[str, float]
    alone: Mapping[str, Mapping[str, float]]
    path: Mapping[str, Mapping[str, float]]
    selection: Selection | None = None

    def to_dict(self) -> dict:
        return {
            "strict": dict(self.strict),
            "alone": {name: dict(figures) for name, figures in self.alone.items()},
            "path": {name: dict(figures) for name, figures in self.path.items()},
            "selection": self.selection.to_dict() if self.selection else None,
        }

    def lines(self) -> list[str]:
        """F1 and what it gains: each factor alone, and as one more on the path."""
        before = headline = self.strict["f1"]
        rows = [("F1 of the same predictions", "alone", "gain", "path", "gain")]
        full = ", full gold" if "lost_labels" in self.path else ""
        strict = f"strict spans, whole documents{full}"
        rows.append((strict, f"{headline:.3f}", "", f"{headline:.3f}", ""))
        for name, figures in self.path.items():
            alone, path = self.alone[name]["f1"], figures["f1"]
            gains = f"{alone - headline:+.3f}", f"{path - before:+.3f}"
            rows.append((FACTORS[name], f"{alone:.3f}", gains[0], f"{path:.3f}", gains[1]))
            before = path
        lines = aligned(rows).splitlines()
        if found := self.selection:
            lines.append(
                f"these documents chose the epoch: {found.best:.3f} (strict, the run's own gold), "
                f"which gains {found.best - found.elsewhere:+.3f} on {found.elsewhere:.3f} where "
                f"others choose it; with the last of {found.epochs} epochs {found.last:.3f}"
            )
        return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


RULERS = {
    "strict": "spans, whole documents, full gold",
    **{_words(name): meaning for name, meaning in FACTORS.items()},
    SELECTION: "what F1 gains on documents that chose the epoch themselves (validation)",
}


def f1_by_ruler(record: Mapping[str, Any]) -> dict[str, float]:
    """F1 of each ruler, of ``Rulers.to_dict``: strict, each factor alone, and the path from its
    second step on, whose first is alone already; ``selection`` is a gain, where it is known."""
    found = {"strict": record["strict"]["f1"]}
    found |= {_words(name): figures["f1"] for name, figures in record["alone"].items()}
    steps = list(record["path"].items())[1:]
    found |= {f"... + {_words(name)}": figures["f1"] for name, figures in steps}
    if chosen := record["selection"]:
        found[SELECTION] = chosen["best"] - chosen["elsewhere"]
    return found


def rulers(
    full: Sequence[Document],
    predictions: Sequence[Prediction],
    converted: Sequence[Document] | None = None,
    selection: Selection | None = None,
) -> Rulers:
    """Score predictions, which have tokens, under every ruler.

    Args:
        full: the documents with their full annotation.
        converted: the same with what the hub's conversion keeps; None where there is no such thing.
        selection: see :func:`medner.scoring.selection.selection`.
    """
    cut = [first_tokens_of(prediction) for prediction in predictions]
    alone = {
        "truncation": _strict_within(full, cut),
        "scorer": lenient_by_word(full, predictions),
        "subtokens": lenient_by_piece(full, predictions),
    }
    path, gold = {}, full
    if converted is not None:
        gold = converted
        alone["lost_labels"] = path["lost_labels"] = _figures(score(gold, predictions).overall)
    path["truncation"] = _strict_within(gold, cut)
    path["scorer"] = lenient_by_word(gold, cut)
    path["subtokens"] = lenient_by_piece(gold, cut)
    strict = _figures(score(full, predictions).overall)
    return Rulers(strict, {name: alone[name] for name in path}, path, selection)


def first_tokens_of(prediction: Prediction) -> Prediction:
    """A document's first ``FIRST_TOKENS`` tokens, and the spans that end within them."""
    tokens, first = prediction.tokens, slice(FIRST_TOKENS)
    kept = replace(
        tokens,
        offsets=tokens.offsets[first],
        tags=tokens.tags[first],
        confidence=tokens.confidence[first],
    )
    # of a character that is cut into bytes, several tokens have the same end
    spans = tuple(
        span
        for span in prediction.spans
        if span.end <= _end(kept) and max(span.tokens, default=0) < FIRST_TOKENS
    )
    return Prediction(prediction.document, spans, kept)


def _end(tokens: Tokens) -> int:
    return tokens.offsets[-1][1] if tokens.offsets else 0


def _strict_within(documents: Sequence[Document], cut: Sequence[Prediction]) -> dict[str, float]:
    """On the entities that end within the tokens of the predictions."""
    ends = {prediction.document: _end(prediction.tokens) for prediction in cut}
    shorter = [
        replace(each, entities=tuple(e for e in each.entities if e.end <= ends[each.id]))
        for each in documents
    ]
    return _figures(score(shorter, cut).overall)


def _figures(counts: Counts) -> dict[str, float]:
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
