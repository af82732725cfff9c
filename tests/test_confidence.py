"""Confidences from what tokens say, against the softmax of all tags; and which spans are right."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelled import log_softmax, model_of_letters

from medner.documents import Document, Entity
from medner.errors import UserError
from medner.labels import Labels
from medner.prediction_files import read_predictions, write_predictions
from medner.predictions import Prediction, Span, Tokens
from medner.scoring.confidence import (
    CONFIDENCES,
    confidences,
    evidence,
    outcomes,
    token_confidences,
)
from medner.scoring.label_map import LabelMap
from medner.scoring.matching import score

# what a span makes of the probabilities of its tokens, by the names' meaning
BY_HAND = {
    "geometric_mean": lambda values: math.prod(values) ** (1 / len(values)),
    "arithmetic_mean": lambda values: sum(values) / len(values),
    "minimum": min,
    "product": math.prod,
    "first": lambda values: values[0],
}


def own_probabilities(predictions, everything, types, temperature):
    """Of each span's tokens, by the softmax of all tags at a temperature."""
    tags = Labels(tuple(f"Type{number}" for number in range(types))).tags
    found = []
    for prediction, log_probs in zip(predictions, everything, strict=True):
        tempered = np.exp(log_softmax(log_probs / temperature))
        for span in prediction.spans:
            own = [
                tags.index(f"{'I' if number else 'B'}-{span.type}")
                for number in range(len(span.tokens))
            ]
            found.append(
                [float(tempered[at, tag]) for at, tag in zip(span.tokens, own, strict=True)]
            )
    return found


@pytest.mark.parametrize("name", CONFIDENCES)
@pytest.mark.parametrize("types", [1, 2])  # 3 tags, and 5, of which one is all the rest
@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.65, 10.0])
def test_a_temperature_is_that_of_the_softmax(name, types, temperature):
    _, predictions, everything = model_of_letters(1, types)
    wanted = own_probabilities(predictions, everything, types, temperature)
    said = evidence(predictions)
    assert len(wanted) > 50 and max(map(len, wanted)) > 2
    assert confidences(said, name, temperature) == pytest.approx(
        [BY_HAND[name](values) for values in wanted], rel=1e-6
    )
    tokens = [value for values in wanted for value in values]
    assert token_confidences(said, temperature) == pytest.approx(tokens, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.6, 0.9, 1.0, 1.3, 1.65, 3.0])
def test_of_many_tags_the_rest_is_known_together(temperature):
    _, predictions, everything = model_of_letters(2, types=41, documents=40, scale=2.5)
    wanted = np.concatenate(own_probabilities(predictions, everything, 41, temperature))
    found = token_confidences(evidence(predictions), temperature)
    assert len(wanted) > 800
    assert (np.sign(1 - temperature) * (found - wanted) > -1e-6).all()  # a bound on either side
    assert abs(found - wanted).mean() < 0.035
    if temperature == 1:
        assert found == pytest.approx(wanted, abs=1e-6)


def test_by_default_it_is_the_confidence_that_the_model_gave():
    _, predictions, _ = model_of_letters(3, types=41)
    given_ones = [span.confidence for p in predictions for span in p.spans]
    assert confidences(evidence(predictions)) == pytest.approx(given_ones, abs=1e-9)


def test_a_file_s_rounding_hardly_shows(tmp_path):
    documents, predictions, _ = model_of_letters(4, types=41)
    write_predictions(tmp_path / "predictions.jsonl", predictions, documents)
    read = evidence(read_predictions(tmp_path / "predictions.jsonl", documents))
    for temperature in (0.5, 1.0, 2.0):
        assert confidences(read, temperature=temperature) == pytest.approx(
            confidences(evidence(predictions), temperature=temperature), abs=2e-4
        )


@given(st.integers(0, 10_000), st.lists(st.floats(0.1, 10), min_size=2, max_size=5))
@settings(max_examples=25, deadline=None)
def test_the_higher_the_temperature_the_less_sure_of_the_likeliest(seed, temperatures):
    _, predictions, _ = model_of_letters(seed, types=seed % 6 + 1, documents=2)
    said = evidence(predictions)
    if said.classes is None:
        return
    likeliest = said.log_probs[0] >= said.log_probs[1:4].max(axis=0)
    values = [token_confidences(said, degree)[likeliest] for degree in sorted(temperatures)]
    for sure, less_sure in pairwise(values):
        assert (less_sure <= sure + 1e-12).all()
    assert all((v >= 0).all() and (v <= 1).all() for v in values)


def test_without_tokens_there_is_what_was_given():
    spans = (Span(0, 1, "Age", 0.25), Span(2, 3, "Age"))
    said = evidence([Prediction("a"), Prediction("b", spans)])
    assert (said.classes, said.without_tokens) == (None, 2)
    np.testing.assert_array_equal(confidences(said, "product", 3.0), [0.25, np.nan])
    assert token_confidences(said).shape == (0,)
    nothing = evidence([Prediction("a")])
    assert nothing.classes is None and confidences(nothing).shape == (0,)


def test_some_spans_without_tokens_are_as_all_without():
    _, (prediction, *_), _ = model_of_letters(5)
    bare = replace(prediction.spans[0], tokens=(), log_probs=())
    mixed = replace(prediction, spans=(bare, *prediction.spans[1:]))
    said = evidence([mixed])
    assert (said.classes, said.without_tokens) == (None, 1)
    assert confidences(said, "product", 3.0).tolist() == [s.confidence for s in prediction.spans]


def test_predictions_of_two_models_are_refused():
    _, (one, *_), _ = model_of_letters(5, types=2)
    _, (_, other, *_), _ = model_of_letters(5, types=3)
    older = replace(other, tokens=replace(other.tokens, classes=None))
    shorter = replace(other, tokens=replace(other.tokens, classes=3))
    for predictions in ([one, other], [older], [shorter]):
        with pytest.raises(UserError, match="not all of one model"):
            evidence(predictions)


def test_joined_spans_have_the_tokens_of_their_parts():
    row = (math.log(0.9), math.log(0.1))
    doubt = (math.log(0.4), math.log(0.6))
    prediction = Prediction(
        "d",
        (
            Span(0, 6, "Severity", 0.9, tokens=(0,), log_probs=(row,)),
            Span(7, 13, "Disease_disorder", 0.6, tokens=(1, 2), log_probs=(row, doubt)),
        ),
        Tokens(((0, 6), (7, 11), (11, 13)), ("O", "O", "O"), (1.0, 1.0, 1.0), classes=2),
    )
    joining = LabelMap(
        "joined", {"Disease": ("Disease_disorder",)}, ("Severity",), {"Disease": ("Severity",)}
    )
    document = Document("d", "severe asthma", (Entity(((0, 13),), "Disease"),))
    found = outcomes([document], [joining.apply(prediction, document.text)])
    assert found.correct.tolist() == [True]
    assert found.token_correct.tolist() == [True, True, True]
    (confidence,) = confidences(found.evidence)
    assert confidence == pytest.approx((0.9 * 0.9 * 0.4) ** (1 / 3))


TYPES = ("Age", "Sign")
FRAGMENTS = st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True).map(
    lambda cuts: tuple(zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))
)
MENTIONS = st.lists(st.builds(Entity, FRAGMENTS, st.sampled_from(TYPES)), max_size=8)


def span_of(entity, confidence):
    gaps = tuple((a[1], b[0]) for a, b in zip(entity.fragments, entity.fragments[1:], strict=False))
    return Span(entity.start, entity.end, entity.type, confidence, gaps)


@given(st.lists(st.tuples(MENTIONS, MENTIONS), max_size=4), st.randoms())
def test_as_many_are_correct_as_when_scored(drawn, rng):
    documents = [Document(str(i), "x" * 10, tuple(gold)) for i, (gold, _) in enumerate(drawn)]
    predictions = [
        Prediction(str(i), tuple(span_of(e, rng.choice([0.2, 0.5, None])) for e in found))
        for i, (_, found) in enumerate(drawn)
    ]
    found, scores = outcomes(documents, predictions), score(documents, predictions)
    assert found.gold == scores.overall.gold
    spans = [(p.document, span) for p in predictions for span in p.spans]
    assert len(found.correct) == len(found.evidence.given) == len(spans)
    by_type = Counter(span.type for (_, span), hit in zip(spans, found.correct, strict=True) if hit)
    assert by_type == Counter({k: c.correct for k, c in scores.by_type.items() if c.correct})
    for document, (_, span), hit in (
        (documents[int(name)], (name, span), hit)
        for (name, span), hit in zip(spans, found.correct, strict=True)
    ):
        wanted = Entity(span.fragments, span.type)
        assert not hit or wanted in document.entities
        if [s.fragments for n, s in spans if n == document.id].count(span.fragments) == 1:
            assert hit == (wanted in document.entities)


def test_of_equal_spans_the_most_confident_is_the_correct_one():
    document = Document("d", "pain", (Entity(((0, 4),), "Sign"),))
    spans = tuple(Span(0, 4, "Sign", value) for value in (0.2, None, 0.9, 0.5))
    for order in (spans, spans[::-1]):
        found = outcomes([document], [Prediction("d", order)])
        assert [s.confidence for s, hit in zip(order, found.correct, strict=True) if hit] == [0.9]


def test_a_token_is_correct_if_its_tag_is_the_gold_s():
    #        0123456789012345678901234567
    text = "a severe chest pain and more"
    document = Document(
        "d",
        text,
        (
            Entity(((2, 19),), "Sign"),
            Entity(((9, 14),), "Structure"),  # the longer one is tagged
            Entity(((20, 23), (24, 28)), "Age"),  # discontinuous: no tags
        ),
    )
    words = ((0, 1), (2, 8), (9, 14), (15, 19), (20, 23), (24, 28))

    def predicted(*spans):
        row = (math.log(0.5), math.log(0.25), math.log(0.25))
        made = tuple(
            Span(words[at[0]][0], words[at[-1]][1], name, 0.5, (), tuple(at), (row,) * len(at))
            for name, *at in spans
        )
        return Prediction("d", made, Tokens(words, ("O",) * 6, (0.5,) * 6, classes=3))

    found = outcomes([document], [predicted(("Sign", 0, 1, 2), ("Sign", 3), ("Age", 4, 5))])
    assert found.token_correct.tolist() == [False, False, True, False, False, False]
    assert found.correct.tolist() == [False, False, False]
    assert found.gold == 3
    found = outcomes([document], [predicted(("Sign", 1, 2, 3), ("Unheard_of", 4))])
    assert found.token_correct.tolist() == [True, True, True, False]
    assert found.correct.tolist() == [True, False]


def test_the_gold_as_a_model_has_it_is_all_correct():
    documents, predictions, _ = model_of_letters(6, types=3)
    as_found = [
        replace(d, entities=tuple(Entity(s.fragments, s.type) for s in p.spans))
        for d, p in zip(documents, predictions, strict=True)
    ]
    found = outcomes(as_found, predictions)
    assert found.correct.all() and found.token_correct.all()
    assert len(found.token_correct) == found.evidence.log_probs.shape[1] > len(found.correct) > 100
    nothing = outcomes([replace(d, entities=()) for d in documents], predictions)
    assert not nothing.correct.any() and not nothing.token_correct.any() and nothing.gold == 0


def test_documents_and_predictions_must_fit():
    documents, predictions, _ = model_of_letters(7, documents=3)
    entities = sum(len(document.entities) for document in documents)
    missing = outcomes(documents, predictions[:1])
    empty = outcomes(documents, [predictions[0], Prediction("1"), Prediction("2")])
    assert missing.gold == empty.gold == entities
    assert missing.token_correct.tolist() == empty.token_correct.tolist()
    with pytest.raises(UserError, match="predictions are for documents that the gold does not"):
        outcomes(documents[:2], predictions)
    with pytest.raises(UserError, match="predicted twice"):
        outcomes(documents, [*predictions, predictions[0]])
