"""The most probable well-formed BIO sequence of a document.

BIO allows every transition but one: I-X follows only B-X or I-X. Under that constraint the best
sequence is the best way to cover the tokens with O and with segments ``B-X I-X ... I-X``, and its
score obeys

    best[0]     = 0
    best[t + 1] = max(best[t] + O[t], max over X and a <= t of best[a] + segment(X, a, t))

with ``segment(X, a, t) = B[a, X] + I[a+1, X] + ... + I[t, X]``: what Viterbi decoding computes
token after token. Here ``best`` is found by iteration instead, whole arrays at a time: each step
raises a lower bound, made of sequences that exist, by every segment that improves it, until
nothing improves. Then the equation holds everywhere, and it has one solution.
"""

import numpy as np
from numpy.typing import NDArray

from medner.labels import Labels, flatten
from medner.predictions import Prediction, Span, Tokens
from medner.windows import TokenizedDocument

_TOLERANCE = 1e-9  # relative to the largest running sum: rounding is not an improvement


def decode(log_probs: NDArray[np.floating]) -> list[tuple[int, int, int]]:
    """The best constrained sequence as its segments.

    Args:
        log_probs: log probabilities of the tags of every token, shape (tokens, 1 + 2 * types), in
            the order of :class:`medner.labels.Labels`.

    Returns:
        ``(type index, first token, token after the last)`` of each segment, in order, disjoint.
    """
    scores = np.asarray(log_probs, dtype=np.float64)
    tags = scores.argmax(axis=1)
    inside = (tags > 0) & (tags % 2 == 0)
    previous = np.concatenate(([0], tags[:-1]))
    stray = inside & (previous != tags) & (previous != tags - 1)
    if not stray.any():
        return _segments_of(tags)
    return _best_segments(scores, np.where(stray, tags - 1, tags))


def _segments_of(tags: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """The segments of a well-formed tag sequence, shape (tokens,)."""
    continues = (tags > 0) & (tags % 2 == 0)
    first = np.flatnonzero((tags > 0) & ~continues)
    outside = np.flatnonzero(np.append(~continues, True))
    after = outside[np.searchsorted(outside, first, side="right")]
    return list(zip(((tags[first] - 1) // 2).tolist(), first.tolist(), after.tolist(), strict=True))


def _best_segments(
    scores: NDArray[np.float64], start: NDArray[np.int64]
) -> list[tuple[int, int, int]]:
    """Iterate from the well-formed sequence ``start`` to the best one; then read it backwards."""
    tokens = len(scores)
    outside = np.concatenate(([0.0], scores[:, 0].cumsum()))
    begin, inside = scores[:, 1::2], scores[:, 2::2].cumsum(axis=0)
    tolerance = _TOLERANCE * max(1.0, np.abs(inside[-1]).max(), abs(outside[-1]))

    followed = np.concatenate(([0.0], scores[np.arange(tokens), start].cumsum()))
    # `start` may be joined at every position where it does not continue a segment
    joinable = np.append((start == 0) | (start % 2 == 1), True)
    best = followed
    while True:
        opened = best[:-1, None] + begin - inside
        closed = inside + np.maximum.accumulate(opened, axis=0)
        ended = closed.max(axis=1)
        raised = best.copy()
        raised[1:] = np.maximum(raised[1:], ended)
        raised = outside + np.maximum.accumulate(raised - outside)
        gain = np.maximum.accumulate(np.where(joinable, raised - followed, -np.inf))
        raised = np.maximum(raised, followed + gain)
        if (raised - best).max() <= tolerance:
            break
        best = raised

    by_segment = np.append(False, ended > best[:-1] + scores[:, 0] + tolerance)
    last_end = np.maximum.accumulate(np.where(by_segment, np.arange(tokens + 1), 0))
    segments = []
    at = int(last_end[tokens])
    while at:
        kind = int(closed[at - 1].argmax())
        first = int(opened[:at, kind].argmax())
        segments.append((kind, first, at))
        at = int(last_end[first])
    return segments[::-1]


def predict(
    tokenised: TokenizedDocument, log_probs: NDArray[np.floating], labels: Labels
) -> Prediction:
    """Decode a document.

    Args:
        tokenised: its tokens.
        log_probs: as in :func:`decode`.

    Returns:
        Its spans, each with the geometric mean of its tokens' probabilities as confidence, and
        what the model says of every token by itself.
    """
    segments = decode(log_probs)
    sums = np.zeros(len(segments))
    for index, (kind, first, after) in enumerate(segments):
        inside = log_probs[first + 1 : after, 2 * kind + 2]
        sums[index] = (log_probs[first, 2 * kind + 1] + inside.sum()) / (after - first)
    best = log_probs.argmax(axis=1)
    names = labels.tags
    return Prediction(
        tokenised.document.id,
        spans=spans_of(segments, tokenised, labels, np.exp(sums)),
        tokens=Tokens(
            offsets=tuple(zip(tokenised.starts.tolist(), tokenised.ends.tolist(), strict=True)),
            tags=tuple(names[tag] for tag in best),
            confidence=tuple(np.exp(log_probs.max(axis=1)).clip(0, 1).tolist()),
        ),
    )


def spans_of(
    segments: list[tuple[int, int, int]],
    tokenised: TokenizedDocument,
    labels: Labels,
    confidence: NDArray[np.floating],
) -> tuple[Span, ...]:
    """The segments' text, trimmed; one that holds no text of its own is none."""
    text = tokenised.document.text
    spans, free = [], 0
    for (kind, first, after), value in zip(segments, confidence.tolist(), strict=True):
        start, end = max(int(tokenised.starts[first]), free), int(tokenised.ends[after - 1])
        mention = text[start:end]
        start, end = end - len(mention.lstrip()), start + len(mention.rstrip())
        if start < end:
            spans.append(Span(start, end, labels.types[kind], min(value, 1.0)))
            free = end
    return tuple(spans)


def reachable(tokenised: TokenizedDocument, labels: Labels, rule: str) -> Prediction:
    """The gold as flat tags over these tokens can express it: encoded and decoded again."""
    entities = flatten(tokenised.document.entities, rule)
    tags = labels.encode(entities, tokenised.starts, tokenised.ends)
    segments = _segments_of(tags)
    spans = spans_of(segments, tokenised, labels, np.ones(len(segments)))
    return Prediction(tokenised.document.id, spans)
