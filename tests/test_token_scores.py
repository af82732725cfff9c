"""Scores of token tags, held against conlleval's rule and published example, and sklearn."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from seqeval.scheme import IOB2, Entities
from sklearn.metrics import accuracy_score
from test_scoring import TYPES, conlleval, disturb, flat, tags

from medner.documents import Document, Entity
from medner.predictions import Prediction, Tokens
from medner.scoring.label_map import LabelMap
from medner.scoring.token_scores import token_scores


def tagged(gold: list[tuple[int, int, str]], found: list[str]) -> tuple[Document, Prediction]:
    """Tokens of one character with a space behind; ``gold`` in tokens."""
    entities = tuple(Entity(((2 * a, 2 * b - 1),), name) for a, b, name in gold)
    offsets = tuple((2 * at, 2 * at + 1) for at in range(len(found)))
    document = Document("d", "x " * len(found), entities)
    return document, Prediction("d", (), Tokens(offsets, tuple(found), (0.5,) * len(found)))


def test_lenient_is_conlleval_on_wellformed_tags() -> None:
    rng = random.Random(0)
    for _ in range(30):
        gold = flat(rng, 40)
        predicted = disturb(rng, gold)
        document, prediction = tagged(gold, tags(predicted, 40))
        scores = token_scores([document], [prediction], None, TYPES)
        counts = conlleval(tags(gold, 40), tags(predicted, 40)).values()
        total, found, correct = (sum(column) for column in zip(*counts, strict=True))
        assert scores.lenient["f1"] == pytest.approx(2 * correct / (total + found))
        wanted, given = (Entities([side], IOB2) for side in (tags(gold, 40), tags(predicted, 40)))
        both = sum(len(wanted.filter(n) & given.filter(n)) for n in ("Disease", "Chemical", "Sign"))
        assert scores.strict["f1"] == pytest.approx(2 * both / (total + found))
        assert scores.accuracy == accuracy_score(tags(gold, 40), tags(predicted, 40))
        assert scores.tokens == 40


def test_a_stray_inside_tag_is_an_entity_only_to_the_lenient_score() -> None:
    document, prediction = tagged([(0, 2, "A"), (3, 4, "A")], ["I-A", "I-A", "O", "B-A"])
    scores = token_scores([document], [prediction], None, TYPES)
    assert scores.lenient == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert scores.strict == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert scores.accuracy == 0.75


def test_tags_are_mapped_and_the_rest_is_outside() -> None:
    label_map = LabelMap("m", {"Disease": ("A",), "Chemical": ("C",)}, ("B",), {"Disease": ("B",)})
    found = ["B-B", "B-A", "I-A", "I-B", "B-C"]  # the corpus has no chemicals
    document, prediction = tagged([(1, 3, "Disease")], found)
    scores = token_scores([document], [prediction], label_map, {"Disease"})
    assert scores.strict["f1"] == 1
    assert scores.accuracy == 1


def test_predictions_without_tokens_have_none() -> None:
    document, prediction = tagged([(1, 3, "A")], ["O", "B-A", "I-A"])
    assert token_scores([document], [Prediction("d")], None, TYPES) is None
    assert token_scores([document], [], None, TYPES) is None
    assert token_scores([document], [prediction], None, TYPES).lenient["f1"] == 1


def test_conlleval_s_published_example() -> None:
    """https://www.clips.uantwerpen.be/conll2000/chunking/output.html, its tags alone: `processed
    961 tokens with 459 phrases; found: 539 phrases; correct: 371; precision: 68.83%; recall:
    80.83%; FB1: 74.35`."""
    sentences = (Path(__file__).parent / "data" / "conlleval_example.txt").read_text().split("\n\n")
    documents, predictions = [], []
    for number, sentence in enumerate(sentences):
        gold, found = zip(*(line.split() for line in sentence.splitlines()), strict=True)
        entities = [(first, after, type_) for type_, first, after in chunks(gold)]
        document, prediction = tagged(entities, list(found))
        documents.append(replace(document, id=str(number)))
        predictions.append(replace(prediction, document=str(number)))
    assert sum(len(document.entities) for document in documents) == 459
    scores = token_scores(documents, predictions, None, TYPES)
    assert scores.tokens == 961
    figures = {name: round(100 * figure, 2) for name, figure in scores.lenient.items()}
    assert figures == {"precision": 68.83, "recall": 80.83, "f1": 74.35}
    assert round(scores.lenient["precision"] * 539) == round(scores.lenient["recall"] * 459) == 371


def chunks(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """The gold's are well-formed but for chunks that begin with I."""
    start = None
    for at, tag in enumerate([*tags, "O"]):
        if start is not None and (tag[0] != "I" or tag[2:] != tags[start][2:]):
            yield tags[start][2:], start, at
            start = None
        if tag != "O" and start is None:
            start = at
