"""Decoding: against Viterbi and against all sequences there are; and what is made of segments."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medner.decoding import INSIDE_WORD, decode, find_spans, predict
from medner.documents import Document
from medner.errors import UserError
from medner.labels import Labels
from medner.windows import TokenizedDocument

LABELS = Labels(("Age", "Sign"))
O, B_AGE, I_AGE, B_SIGN, I_SIGN = range(5)  # noqa: E741


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def viterbi(scores: np.ndarray) -> tuple[float, list[int]]:
    """The best score and its tags, token by token."""
    inside = np.arange(2, scores.shape[1], 2)
    best = scores[0].astype(np.float64)
    best[inside] = -np.inf  # at the start
    pointers = []
    for token in scores[1:]:
        came_from = np.full(len(token), best.argmax())
        came_from[inside] = np.where(best[inside] >= best[inside - 1], inside, inside - 1)
        best = best[came_from] + token
        pointers.append(came_from)
    path = [int(best.argmax())]
    for came_from in reversed(pointers):
        path.append(int(came_from[path[-1]]))
    return best.max(), path[::-1]


def strays(tags: Sequence[int]) -> list[bool]:
    """Which tags are an I that continues nothing."""
    return [
        tag > 0 and tag % 2 == 0 and before not in (tag, tag - 1)
        for before, tag in pairwise((0, *tags))
    ]


def segments_of(tags: list[int]) -> list[tuple[int, int, int]]:
    """Of a well-formed sequence."""
    segments = []
    for at, tag in enumerate(tags):
        if tag % 2:
            segments.append((tag // 2, at, at + 1))
        elif tag:
            kind, first, _ = segments.pop()
            assert kind == tag // 2 - 1
            segments.append((kind, first, at + 1))
    return segments


def total(scores: np.ndarray, segments: list[tuple[int, int, int]]) -> float:
    """The score of segments, after a look at whether they are well formed."""
    per_token = scores[:, 0].astype(np.float64)
    end = 0
    for kind, first, after in segments:
        assert end <= first < after <= len(scores) and 0 <= 2 * kind < scores.shape[1] - 1
        per_token[first] = scores[first, 2 * kind + 1]
        per_token[first + 1 : after] = scores[first + 1 : after, 2 * kind + 2]
        end = after
    return per_token.sum()


def check(scores: np.ndarray, *, alone: bool = False) -> None:
    """Decoded segments are as good as the oracle's, and the same where it is ``alone`` the best."""
    segments = decode(scores)
    best, tags = viterbi(scores)
    assert total(scores, segments) == pytest.approx(best, rel=1e-12, abs=1e-6)
    if alone:
        assert segments == segments_of(tags)


seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 60), st.integers(1, 5))


@settings(deadline=None)
@given(seeds, shapes, st.sampled_from([0.01, 1, 10, 1000]), st.sampled_from([-2, 0, 2]))
def test_decoding_is_viterbi(seed, shape, scale, of_o):
    tokens, types = shape
    logits = np.random.default_rng(seed).normal(size=(tokens, 1 + 2 * types))
    logits[:, 0] += of_o
    check(log_softmax(logits * scale))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_decoding_is_viterbi_at_a_model_s_size(kind):
    draw = np.random.default_rng(1)
    for tokens in (1, 2, 300, 500):
        scores = log_softmax(3 * draw.normal(size=(tokens, 83))).astype(kind)
        check(scores, alone=True)
        assert decode(scores) == decode(scores.astype(np.float64))


@settings(deadline=None)
@given(seeds, shapes, st.integers(1, 4))
def test_among_equals_any_will_do(seed, shape, highest):
    tokens, types = shape
    scores = np.random.default_rng(seed).integers(-highest, 1, (tokens, 1 + 2 * types))
    check(scores.astype(np.float32))


@settings(deadline=None)
@given(seeds, st.integers(0, 5), st.integers(0, 3))
def test_no_sequence_is_better(seed, tokens, highest):
    scores = -np.random.default_rng(seed).integers(0, highest + 1, (tokens, 5)).astype(float)
    best = max(
        sum(scores[at, tag] for at, tag in enumerate(tags))
        for tags in product(range(5), repeat=tokens)
        if not any(strays(tags))
    )
    assert total(scores, decode(scores)) == best


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), seeds)
def test_a_well_formed_argmax_is_the_result(tags, seed):
    while any(strays(tags)):
        tags = [tag - stray for tag, stray in zip(tags, strays(tags), strict=True)]
    logits = np.random.default_rng(seed).random((len(tags), 7))
    logits[np.arange(len(tags)), tags] += 1
    assert decode(log_softmax(logits)) == segments_of(tags)


def given_tags(*tags: int, sure: float = 0.9) -> np.ndarray:
    """Log probabilities of a model that is ``sure`` of these tags."""
    rest = (1 - sure) / 4
    return np.log(np.eye(5)[list(tags)] * (sure - rest) + rest).reshape(-1, 5)


def test_short_and_adjacent():
    assert decode(np.empty((0, 5))) == []
    assert decode(given_tags(O)) == []
    assert decode(given_tags(B_SIGN)) == [(1, 0, 1)]
    tags = (B_AGE, I_AGE, B_AGE, B_SIGN, I_SIGN, B_SIGN, O, B_AGE)
    assert decode(given_tags(*tags)) == [(0, 0, 2), (0, 2, 3), (1, 3, 5), (1, 5, 6), (0, 7, 8)]


def test_a_stray_inside_is_settled_by_the_whole():
    # at the start it needs a beginning; three of them outweigh the first token
    assert decode(given_tags(I_AGE, I_AGE, I_AGE)) == [(0, 0, 3)]
    # 'B-Age I-Sign' has two readings with one change: the likelier counts
    for token, expected in ((0, [(1, 0, 3)]), (1, [(0, 0, 1), (1, 1, 3)])):
        likelier = given_tags(B_AGE, I_SIGN, I_SIGN)
        likelier[token, B_SIGN] = np.log(0.3)
        assert decode(likelier) == expected
    # behind O, a beginning there or here, or none at all
    scores = given_tags(O, I_AGE, O)
    for token, tag in ((0, B_AGE), (1, B_AGE), (1, O)):
        likelier = scores.copy()
        likelier[token, tag] = np.log(0.3)
        expected = {(0, B_AGE): [(0, 0, 2)], (1, B_AGE): [(0, 1, 2)], (1, O): []}
        assert decode(likelier) == expected[token, tag]


def test_a_long_document():
    """Noise round the tags of a model that is fairly good, strays here and there."""
    draw = np.random.default_rng(0)
    tags = []
    while len(tags) < 20_000:
        kind = int(draw.integers(41))
        inside = int(draw.integers(4))
        tags += [2 * kind + 1, *[2 * kind + 2] * inside, *[0] * int(draw.integers(9))]
    logits = draw.normal(size=(20_000, 83))
    logits[np.arange(20_000), tags[:20_000]] += 5.7
    scores = log_softmax(logits)
    assert 20 < sum(strays(scores.argmax(axis=1))) < 200
    check(scores, alone=True)


@pytest.mark.parametrize("tokens", [50, 300, 1500])
def test_tags_that_are_ruled_out_do_not_blur_the_others(tokens):
    for seed in range(5):
        scores = np.random.default_rng(seed).normal(size=(tokens, 7)) * 0.1
        scores[:, 5:] = -1e4
        check(log_softmax(scores), alone=True)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_models_that_are_too_sure(scale):
    for seed in range(20):
        scores = log_softmax(np.random.default_rng(seed).normal(size=(200, 7)) * scale)
        check(scores, alone=True)
        check(scores.astype(np.float32))


@pytest.mark.parametrize("tag", range(5))
def test_a_tag_of_no_probability(tag):
    scores = np.array(given_tags(O, I_AGE, I_AGE, I_SIGN, O, B_SIGN))
    scores[2, tag] = -np.inf
    check(scores)


def best_with_words(scores: np.ndarray, price: np.ndarray) -> float:
    """The best score where a segment pays for each end that lies inside a word, token by token."""
    best = scores[0].astype(np.float64)
    best[1::2] -= price[0]
    best[2::2] = -np.inf
    for token, cost in zip(scores[1:], price[1:], strict=True):
        ended = best - cost
        ended[0] = best[0]
        inside = np.maximum(best[1::2], best[2::2]) + token[2::2]
        best = ended.max() + token
        best[1::2] -= cost
        best[2::2] = inside
    return best.max()


@pytest.mark.parametrize("scale", [0.1, 1, 5])
@pytest.mark.parametrize("tokens", [1, 7, 64, 65, 200])
def test_ends_inside_words_pay(tokens, scale):
    for seed in range(40):
        draw = np.random.default_rng(seed)
        scores = log_softmax(draw.normal(size=(tokens, 7)) * scale)
        inside_word = draw.random(tokens) < 0.4
        price = INSIDE_WORD * np.append(inside_word, False)
        segments = decode(scores, inside_word)
        paid = sum(price[first] + price[after] for _, first, after in segments)
        assert total(scores, segments) - paid == pytest.approx(
            best_with_words(scores, price[:-1]), abs=1e-9
        )


def test_the_pieces_of_a_word_agree_where_the_model_is_in_doubt():
    scores = given_tags(O, B_SIGN, I_SIGN, O, sure=0.6)  # a, dys, ##p, ##nea
    assert decode(scores) == [(1, 1, 3)]
    assert decode(scores, np.array([False, False, True, True])) == [(1, 1, 4)]
    sure = given_tags(O, B_SIGN, I_SIGN, O, sure=0.999)
    assert decode(sure, np.array([False, False, True, True])) == [(1, 1, 3)]


def test_output_that_is_not_a_number_is_said():
    log_probs = given_tags(O, B_AGE).astype(np.float32)
    log_probs[1] = np.nan
    with pytest.raises(UserError, match=r"document d: the model's output is not a number"):
        predict(tokenised("an age", (0, 2), (3, 6)), log_probs, LABELS)


def tokenised(text: str, *offsets: tuple[int, int]) -> TokenizedDocument:
    starts, ends = np.array(offsets, dtype=np.int32).reshape(-1, 2).T
    nowhere = np.zeros(len(starts), dtype=bool)  # inside a word
    return TokenizedDocument(Document("d", text), np.zeros_like(starts), starts, ends, nowhere)


def found(prediction) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.type) for span in prediction.spans]


def test_confidence_is_the_geometric_mean():
    tokens = tokenised("acute renal failure at 64", (0, 5), (6, 11), (12, 19), (20, 22), (23, 25))
    rows = [
        [0.05, 0, 0, 0.9, 0.05],
        [0.1, 0.05, 0.05, 0, 0.8],
        [0.2, 0.1, 0.1, 0.1, 0.5],
        [1, 0, 0, 0, 0],
        [0.3, 0.7, 0, 0, 0],
    ]
    log_probs = np.log(np.array(rows, dtype=np.float32) + np.float32(1e-9))
    prediction = predict(tokens, log_probs, LABELS)
    assert prediction.document == "d"
    assert found(prediction) == [(0, 19, "Sign"), (23, 25, "Age")]
    renal, age = (span.confidence for span in prediction.spans)
    assert renal == pytest.approx((0.9 * 0.8 * 0.5) ** (1 / 3), rel=1e-5)
    assert age == pytest.approx(0.7, rel=1e-5)
    sure = predict(tokens, np.log(np.eye(5)[[3, 4, 4, 0, 1]] + np.float32(2e-7)), LABELS)
    assert [span.confidence for span in sure.spans] == [1, 1]  # never above


def test_tokens_are_kept_as_the_model_has_them():
    log_probs = given_tags(O, I_SIGN, I_SIGN, sure=0.6)
    prediction = predict(tokenised("a big man", (0, 1), (2, 5), (6, 9)), log_probs, LABELS)
    assert prediction.tokens.offsets == ((0, 1), (2, 5), (6, 9))
    assert prediction.tokens.tags == ("O", "I-Sign", "I-Sign")  # though a span needs a B
    assert prediction.tokens.confidence == pytest.approx((0.6, 0.6, 0.6))
    nothing = predict(tokenised(""), np.empty((0, 5), dtype=np.float32), LABELS)
    assert nothing.spans == nothing.tokens.offsets == nothing.tokens.tags == ()


def test_spans_begin_and_end_on_text():
    tokens = tokenised(" old\n man \n", (0, 4), (5, 5), (5, 9), (9, 11))
    # offsets with a space, empty ones, and a token of white space alone
    assert found(predict(tokens, given_tags(B_AGE, I_AGE, O, O), LABELS)) == [(1, 4, "Age")]
    assert found(predict(tokens, given_tags(O, B_AGE, I_AGE, I_AGE), LABELS)) == [(6, 9, "Age")]
    assert found(predict(tokens, given_tags(O, B_AGE, O, B_SIGN), LABELS)) == []


def test_the_bytes_of_a_character_give_one_span():
    tokens = tokenised("no \U0010ffff.", (0, 2), *[(3, 4)] * 4, (3, 5))
    tags = (O, B_AGE, B_SIGN, I_SIGN, B_AGE, B_SIGN)
    assert found(predict(tokens, given_tags(*tags), LABELS)) == [(3, 4, "Age"), (4, 5, "Sign")]


@settings(deadline=None)
@given(st.text(" \nab\u3000", max_size=12), st.data())
def test_spans_of_any_tokens_are_disjoint(text, data):
    places = st.lists(st.integers(0, len(text)), min_size=8, max_size=8).map(sorted)
    offsets = list(zip(data.draw(places), data.draw(places), strict=True))
    offsets = [(min(pair), max(pair)) for pair in offsets]
    tags = data.draw(st.lists(st.integers(0, 4), min_size=8, max_size=8))
    spans = predict(tokenised(text, *offsets), given_tags(*tags), LABELS).spans
    assert all(left.end <= right.start for left, right in pairwise(spans))
    assert all(text[s.start : s.end] == text[s.start : s.end].strip() for s in spans)


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.sampled_from(["bio", "copied"]))
def test_spans_alone_are_those_of_a_prediction(seed: int, tokens: int, subtokens: str) -> None:
    rng = np.random.default_rng(seed)
    offsets = [(2 * at, 2 * at + 1) for at in range(tokens)]
    document = tokenised("x " * tokens, *offsets)
    document.inside_word[1:] = rng.random(max(0, tokens - 1)) < 0.4
    log_probs = log_softmax(3 * rng.normal(size=(tokens, 5)))
    whole = predict(document, log_probs, LABELS, subtokens)
    alone = find_spans(document, log_probs, LABELS, subtokens)
    assert found(alone) == found(whole)
    assert alone.tokens is None and not any(span.tokens for span in alone.spans)


@pytest.mark.parametrize("types", [1, 2, 4])
def test_what_spans_keep_of_their_tokens(types: int) -> None:
    """The own tag's log probability, the three likeliest others', and that of all the rest."""
    labels = Labels(tuple("ABCD"[:types]))
    rng = np.random.default_rng(types)
    log_probs = log_softmax(2 * rng.normal(size=(60, len(labels.tags))))
    offsets = [(2 * at, 2 * at + 1) for at in range(60)]
    prediction = predict(tokenised("x " * 60, *offsets), log_probs, labels)
    assert len(prediction.spans) > 3
    for span in prediction.spans:
        for number, (at, row) in enumerate(zip(span.tokens, span.log_probs, strict=True)):
            tag = labels.tags.index(f"{'I' if number else 'B'}-{span.type}")
            others = sorted(np.delete(log_probs[at], tag), reverse=True)
            wanted = [log_probs[at, tag], *others[:3]]
            if rest := others[3:]:
                wanted.append(np.log(np.exp(rest).sum()))
            assert row == pytest.approx(wanted, abs=1e-6)
        own = [row[0] for row in span.log_probs]
        assert span.confidence == pytest.approx(np.exp(np.mean(own)), abs=1e-6)
        first, last = (prediction.tokens.offsets[span.tokens[end]] for end in (0, -1))
        assert (first[0], last[1]) == (span.start, span.end)
    assert prediction.tokens.classes == len(labels.tags)
