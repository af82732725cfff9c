"""Small texts with gold and predictions in other types, and the slow way to score a label map."""

import random

from hypothesis import strategies as st

from medner.documents import Document, Entity
from medner.predictions import Prediction, Span
from medner.scoring.label_map import LabelMap, map_predictions
from medner.scoring.matching import Counts, score

MODEL = ("A", "B", "C")
CORPUS = ("Chemical", "Disease")
MODEL_41 = tuple(f"T{number:02}" for number in range(41))


def scored(label_map, documents, predictions, corpus_types=CORPUS):
    """By way of the mapped predictions themselves."""
    if not set(label_map.types) & set(corpus_types):  # refused there: nothing is predicted
        return Counts(gold=sum(len(document.entities) for document in documents))
    mapped = map_predictions(label_map, documents, predictions, corpus_types)
    return score(documents, mapped.predictions).overall


@st.composite
def cases(draw, separators=(" ", "  \n", ", "), disjoint=False):
    """(documents, predictions): words, some predicted to be of a type of MODEL, and gold of CORPUS
    over one to three words, often those predicted; unless ``disjoint``, spans of any words too."""
    documents, predictions = [], []
    for number in range(draw(st.integers(1, 3))):
        text, words = "", []
        for _ in range(draw(st.integers(1, 6))):
            words.append((len(text), len(text) + 2))
            text += "ab" + draw(st.sampled_from(separators))
        ranges = st.tuples(st.sampled_from(range(len(words))), st.integers(1, 3)).map(
            lambda pair: tuple(words[pair[0] : pair[0] + pair[1]])  # noqa: B023
        )
        types = draw(st.lists(st.sampled_from((*MODEL, None)), max_size=len(words)))
        spans = [
            Span(start, end, name)
            for (start, end), name in zip(words, types, strict=False)
            if name is not None
        ]
        gold = draw(st.lists(st.tuples(ranges, st.sampled_from(CORPUS)), max_size=5))
        entities = [Entity(((found[0][0], found[-1][1]),), name) for found, name in gold]
        if not disjoint:
            for found in draw(st.lists(ranges, max_size=3)):
                name, gaps = draw(st.sampled_from(MODEL)), ()
                if len(found) > 1 and draw(st.booleans()):  # without the space after its first word
                    gaps = ((found[0][1], found[1][0]),)
                    entities.append(Entity((found[0], (found[1][0], found[-1][1])), "Disease"))
                spans.append(Span(found[0][0], found[-1][1], name, None, gaps))
        documents.append(Document(str(number), text, tuple(entities)))
        predictions.append(Prediction(str(number), tuple(spans)))
    return documents, predictions


@st.composite
def label_maps(draw, targets=(*CORPUS, "Gene")):
    """Any map of MODEL, with joins."""
    chosen = {name: draw(st.sampled_from((*targets, None))) for name in MODEL}
    types = {
        target: tuple(name for name in MODEL if chosen[name] == target)
        for target in targets
        if target in chosen.values()
    }
    left_out = tuple(name for name in MODEL if chosen[name] is None)
    joins = {to: tuple(name for name in left_out if draw(st.booleans())) for to in types}
    return LabelMap("any", types, left_out, joins)


def marked(*lines):
    """Documents and predictions from lines such as ``severe/A [cough/B], pain/C``: a word with its
    predicted type, and gold of Disease in brackets, of Chemical in braces."""
    documents, predictions = [], []
    for number, line in enumerate(lines):
        text, spans, entities, start = "", [], [], 0
        for piece in line.replace(",", " ,").split():
            if piece == ",":
                text += ","
                continue
            text += " " if text else ""
            bare, _, name = piece.strip("[]{}").partition("/")
            if piece[0] in "[{":
                start = len(text)
            if name:
                spans.append(Span(len(text), len(text) + len(bare), name))
            text += bare
            if piece[-1] in "]}":
                kind = "Disease" if piece[-1] == "]" else "Chemical"
                entities.append(Entity(((start, len(text)),), kind))
        documents.append(Document(str(number), text, tuple(entities)))
        predictions.append(Prediction(str(number), tuple(spans)))
    return documents, predictions


def abstracts(number, spans_each, seed=0):
    """As BC5CDR looks to a model of 41 types: T00 mostly finds Chemical, T01 Disease, T02 half of
    the time; T03 is part of an entity that it directly precedes."""
    rng = random.Random(seed)
    documents, predictions = [], []
    for name in map(str, range(number)):
        text, spans, entities = "", [], []
        for _ in range(spans_each):
            kind = rng.choice((*MODEL_41, *MODEL_41[:4] * 8))
            text += rng.choice((" ", " and "))
            start = len(text)
            text += "word"
            span = Span(start, len(text), kind)
            before = spans[-1] if spans else None
            spans.append(span)
            chance = {"T00": 0.8, "T01": 0.7, "T02": 0.5}.get(kind, 0.02)
            if rng.random() < chance:
                gold = "Chemical" if kind == "T00" else "Disease"
                if before and before.type == "T03" and before.end + 1 == start:
                    start = before.start
                entities.append(Entity(((start, span.end),), gold))
        text += " word" * 20
        for at in range(rng.randint(0, 10)):  # what the model misses
            start = len(text) - 5 * at - 4
            entities.append(Entity(((start, start + 4),), rng.choice(CORPUS)))
        documents.append(Document(name, text, tuple(entities)))
        predictions.append(Prediction(name, tuple(spans)))
    return documents, predictions
