"""Predictions of models that are numpy's random numbers, with all that their tokens say."""

import numpy as np

from medner.decoding import predict
from medner.documents import Document, Entity
from medner.labels import Labels
from medner.predictions import Prediction
from medner.windows import TokenizedDocument


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def letters(name: str, tokens: int, entities: tuple[Entity, ...] = ()) -> TokenizedDocument:
    """A text of letters, a space apart, each a token."""
    starts = 2 * np.arange(tokens, dtype=np.int32)
    nowhere = np.zeros(tokens, dtype=bool)
    document = Document(name, "x " * tokens, entities)
    return TokenizedDocument(document, np.zeros_like(starts), starts, starts + 1, nowhere)


def model_of_letters(
    seed: int, types: int = 2, documents: int = 20, tokens: int = 30, scale: float = 3.0
) -> tuple[list[Document], list[Prediction], list[np.ndarray]]:
    """Documents whose gold is often what the model finds most likely; its log probabilities, shape
    (tokens, tags), too."""
    rng = np.random.default_rng(seed)
    labels = Labels(tuple(f"Type{number}" for number in range(types)))
    gold, predictions, everything = [], [], []
    for number in range(documents):
        logits = scale * rng.normal(size=(tokens, len(labels.tags)))
        doubted = logits + scale / 2 * rng.normal(size=logits.shape)
        entities = tuple(
            Entity(((span.start, span.end),), span.type)
            for span in predict(letters("", tokens), log_softmax(doubted), labels).spans
        )
        tokenised = letters(str(number), tokens, entities)
        gold.append(tokenised.document)
        everything.append(log_softmax(logits))
        predictions.append(predict(tokenised, everything[-1], labels))
    return gold, predictions, everything


def model_too_sure_by(
    temperature: float, seed: int, tokens: int
) -> tuple[list[Document], list[Prediction]]:
    """A document of one-letter entities, each as probable as the model has it at a temperature."""
    rng = np.random.default_rng(seed)
    labels = Labels(("Age", "Sign"))
    logits = 2 * rng.normal(size=(tokens, 5))
    logits[:, [2, 4]] = -60  # no letter goes on with the one before
    # a tag drawn from softmax(logits), by Gumbel's maximum
    drawn = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    entities = tuple(
        Entity(((2 * at, 2 * at + 1),), labels.types[tag // 2])
        for at, tag in enumerate(drawn)
        if tag
    )
    tokenised = letters("d", tokens, entities)
    prediction = predict(tokenised, log_softmax(temperature * logits), labels)
    return [tokenised.document], [prediction]
