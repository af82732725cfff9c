"""A system that finds every word of its list."""

import re
from collections.abc import Sequence
from pathlib import Path

from medner.documents import Document
from medner.predictions import Prediction, Span
from medner.systems import System

WORDS = {"fever": "Sign", "gout": "Disease", "aspirin": "Drug"}


def word_system(bad: str = "") -> System:
    """Whose ``predict`` fails for documents that hold the word ``bad``."""

    def predict(documents: Sequence[Document]) -> list[Prediction]:
        if bad and any(bad in document.text for document in documents):
            raise RuntimeError(f"no document with {bad}\nis liked here")
        return [Prediction(document.id, found(document.text)) for document in documents]

    return System("words", tuple(sorted(WORDS.values())), Path("words"), Path("words"), predict)


def found(text: str) -> tuple[Span, ...]:
    return tuple(
        Span(match.start(), match.end(), WORDS[match[0]], 1 / (1 + match.start()))
        for match in re.finditer("|".join(WORDS), text)
    )
