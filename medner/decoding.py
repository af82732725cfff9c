"""The most probable well-formed BIO sequence of a document.

BIO allows every transition but one: I-X follows only B-X or I-X. Under that constraint the best
sequence is the best way to cover the tokens with O and with segments ``B-X I-X ... I-X``, and its
score obeys

    best[0]     = 0
    best[t + 1] = max(best[t] + O[t], max over X and a <= t of best[a] + segment(X, a, t))

with ``segment(X, a, t) = B[a, X] + I[a+1, X] + ... + I[t, X]``, less a penalty for each of its two
ends that lies inside a word: what Viterbi decoding computes token after token. Here ``best`` is
found a block of tokens at a time, by iteration on whole arrays: each step raises a lower bound,
made of sequences that exist, by every segment that improves it, until nothing improves. Then the
equation holds everywhere, and it has one solution.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medner.errors import UserError
from medner.labels import Labels, flatten
from medner.predictions import LIKELIEST, Prediction, Span, Tokens
from medner.windows import TokenizedDocument

_BLOCK = 64  # tokens; few enough that running sums stay exact, and that few steps are needed
_TOLERANCE = 1e-12  # relative to the largest running sum: rounding is not an improvement
_LEAST = -30.0  # of the log probabilities that a span keeps: fp32 knows no less
_RULED_OUT = -1e6  # stands for the log probability of 0, which no running sum survives
# Of the gold's ends one in 1,500 lies inside a word, most of them slips of the annotator. A fixed
# price leaves them in reach, and lets the pieces of a word agree where a model is in doubt.
INSIDE_WORD = 5.0


def decode(
    log_probs: NDArray[np.floating], inside_word: NDArray[np.bool_] | None = None
) -> list[tuple[int, int, int]]:
    """The best constrained sequence as its segments.

    Args:
        log_probs: log probabilities of the tags of every token, shape (tokens, 1 + 2 * types), in
            the order of :class:`medner.labels.Labels`.
        inside_word: whether a token goes on with the word of the token before it, shape (tokens,);
            None if words do not matter.

    Returns:
        ``(type index, first token, token after the last)`` of each segment, in order, disjoint.
    """
    scores = np.asarray(log_probs, dtype=np.float64)
    tags = scores.argmax(axis=1)
    inside = (tags > 0) & (tags % 2 == 0)
    previous = np.append(0, tags[:-1])
    stray = inside & (previous != tags) & (previous != tags - 1)
    # what ends or begins at each token and behind the last one, were the tags taken as they are
    costs = np.zeros(len(tags) + 1)
    if inside_word is not None:
        costs[:-1] = INSIDE_WORD * inside_word
    cuts = ~inside & ((tags > 0) | (previous > 0)) & (costs[:-1] > 0)
    if not stray.any() and not cuts.any():
        return _segments_of(tags)
    return _best_segments(scores, np.where(stray, tags - 1, tags), costs)


def _segments_of(tags: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """The segments of a well-formed tag sequence, shape (tokens,)."""
    continues = (tags > 0) & (tags % 2 == 0)
    first = np.flatnonzero((tags > 0) & ~continues)
    outside = np.flatnonzero(np.append(~continues, True))
    after = outside[np.searchsorted(outside, first, side="right")]
    return list(zip(((tags[first] - 1) // 2).tolist(), first.tolist(), after.tolist(), strict=True))


def _best_segments(
    scores: NDArray[np.float64], start: NDArray[np.int64], costs: NDArray[np.float64]
) -> list[tuple[int, int, int]]:
    """The best segments, found from the well-formed sequence ``start``; read from the end.

    Args:
        scores: shape (tokens, 1 + 2 * types).
        start: shape (tokens,).
        costs: of a segment's end before each token and behind the last one, shape (tokens + 1,).
    """
    scores = np.maximum(scores, _RULED_OUT)
    scores[:, 1::2] -= costs[:-1, None]  # of beginning there
    tokens, types = len(scores), scores.shape[1] // 2
    kind = np.empty(tokens, dtype=np.int64)  # type of the best segment that ends with a token
    first = np.empty(tokens, dtype=np.int64)  # and where it begins
    by_segment = np.empty(tokens, dtype=bool)  # whether it beats O there
    best, within, begun = 0.0, np.full(types, -np.inf), np.zeros(types, dtype=np.int64)
    for at in range(0, tokens, _BLOCK):
        block, ends = slice(at, at + _BLOCK), costs[at + 1 : at + 1 + _BLOCK]
        lead, opened, closed = _solve_block(scores[block], start[block], ends, best, within)
        rows = np.arange(len(closed))
        running = np.maximum.accumulate(np.vstack((within, opened)), axis=0)[1:]
        news = np.where(opened >= running, rows[:, None] + at, -1)
        begins = np.maximum.accumulate(np.vstack((begun, news)), axis=0)[1:]
        kind[block] = closed.argmax(axis=1)
        first[block] = begins[rows, kind[block]]
        by_segment[block] = closed.max(axis=1) - ends > lead[:-1] + scores[block, 0]
        best, within, begun = lead[-1], closed[-1], begins[-1]

    last_end = np.maximum.accumulate(np.append(0, np.where(by_segment, np.arange(tokens) + 1, 0)))
    segments = []
    after = int(last_end[tokens])
    while after:
        segments.append((int(kind[after - 1]), int(first[after - 1]), after))
        after = int(last_end[first[after - 1]])
    return segments[::-1]


def _solve_block(
    scores: NDArray[np.float64],
    start: NDArray[np.int64],
    ends: NDArray[np.float64],
    best_before: float,
    within_before: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Iterate on one block.

    Args:
        scores: shape (tokens, 1 + 2 * types), what a beginning costs taken off.
        start: a well-formed sequence, shape (tokens,), to make the first steps large.
        ends: what it costs to end a segment behind each token, shape (tokens,).
        best_before: the best score of all that comes before the block.
        within_before: the same of what ends within a segment of each type, shape (types,), the
            cost of ending it not taken off.

    Returns:
        ``best`` (tokens + 1,); and by token and type the score of a segment's beginning there and
        of one that ends there, the former less the running sum of I, the latter before its cost.
    """
    outside = np.append(0.0, scores[:, 0].cumsum())
    begin, inside = scores[:, 1::2], scores[:, 2::2].cumsum(axis=0)
    # `start` can be joined and left at every position where it does not continue a segment
    free = np.append((start == 0) | (start % 2 == 1), True)
    gains = scores[np.arange(len(scores)), start] - ends * (free[1:] & (start > 0))
    followed = np.append(0.0, gains.cumsum())
    tolerance = _TOLERANCE * max(1.0, -inside[-1].min(), -outside[-1], abs(best_before))
    best = best_before + outside
    while True:
        opened = best[:-1, None] + begin - inside
        closed = inside + np.maximum.accumulate(np.vstack((within_before, opened)), axis=0)[1:]
        raised = np.append(best_before, np.maximum(best[1:], closed.max(axis=1) - ends))
        raised = outside + np.maximum.accumulate(raised - outside)
        joined = np.maximum.accumulate(np.where(free, raised - followed, -np.inf))
        raised = np.where(free, np.maximum(raised, followed + joined), raised)
        if (raised - best).max() <= tolerance:
            return best, opened, closed
        best = raised


def find_spans(
    tokenised: TokenizedDocument,
    log_probs: NDArray[np.floating],
    labels: Labels,
    subtokens: str = "bio",
) -> Prediction:
    """The spans of a document alone, for who counts them; else as :func:`predict`."""
    segments = _segments(tokenised, log_probs, _heard(tokenised, subtokens))
    return Prediction(tokenised.document.id, spans_of(segments, tokenised, labels))


def predict(
    tokenised: TokenizedDocument,
    log_probs: NDArray[np.floating],
    labels: Labels,
    subtokens: str = "bio",
) -> Prediction:
    """Decode a document.

    Args:
        tokenised: its tokens.
        log_probs: as in :func:`decode`.
        subtokens: how the model's tokens were tagged, one of :data:`medner.labels.SUBTOKENS`.

    Returns:
        Its spans, each with the geometric mean of its tokens' probabilities as confidence, and
        what the model says of every token by itself. Where tags are copied, a word is what its
        first token is, and the others have no say in spans.

    Raises:
        UserError: if a probability is not a number.
    """
    heard = _heard(tokenised, subtokens)
    segments = _segments(tokenised, log_probs, heard)
    best = log_probs.argmax(axis=1)
    likeliest = np.exp(log_probs[np.arange(len(best)), best]).clip(0, 1)
    names = labels.tags
    return Prediction(
        tokenised.document.id,
        spans=spans_of(segments, tokenised, labels, _evidence(segments, log_probs, heard)),
        tokens=Tokens(
            offsets=tuple(zip(tokenised.starts.tolist(), tokenised.ends.tolist(), strict=True)),
            tags=tuple(map(names.__getitem__, best.tolist())),
            confidence=tuple(likeliest.tolist()),
            classes=len(names),
            copied=subtokens == "copied",
        ),
    )


def _heard(tokenised: TokenizedDocument, subtokens: str) -> NDArray[np.bool_]:
    """Which tokens have a say in spans, shape (tokens,)."""
    copied = subtokens == "copied"
    return ~tokenised.inside_word if copied else np.ones(len(tokenised), dtype=bool)


def _segments(
    tokenised: TokenizedDocument, log_probs: NDArray[np.floating], heard: NDArray[np.bool_]
) -> list[tuple[int, int, int]]:
    if np.isnan(log_probs).any():
        raise UserError(
            f"document {tokenised.document.id}: the model's output is not a number; if training "
            "went well, try another trainer.precision"
        )
    if heard.all():
        return decode(log_probs, tokenised.inside_word)
    return decode_words(log_probs, heard)


def decode_words(
    log_probs: NDArray[np.floating], begins_word: NDArray[np.bool_]
) -> list[tuple[int, int, int]]:
    """As :func:`decode`, the best sequence of words, each of which is what its first token is.

    Args:
        begins_word: whether a token is the first of its word, shape (tokens,).
    """
    first = np.flatnonzero(begins_word)
    bounds = np.append(first, len(log_probs)).tolist()
    return [(kind, bounds[begin], bounds[after]) for kind, begin, after in decode(log_probs[first])]


def _evidence(
    segments: list[tuple[int, int, int]],
    log_probs: NDArray[np.floating],
    heard: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """What each segment's :class:`Span` says beside its place and type, from the tokens that are
    ``heard``, shape (tokens,)."""
    if not segments:
        return []
    kinds, firsts, afters = np.array(segments).T
    lengths = afters - firsts
    of_segment = np.repeat(np.arange(len(segments)), lengths)
    rows = np.arange(lengths.sum()) + np.repeat(afters - lengths.cumsum(), lengths)
    of_segment, rows = of_segment[heard[rows]], rows[heard[rows]]
    tags = 2 * kinds[of_segment] + 2 - (rows == firsts[of_segment])
    others = np.minimum(log_probs[rows], 0.0)  # a copy; rounding may lift a certain one above 0
    own = others[np.arange(len(rows)), tags]
    others[np.arange(len(rows)), tags] = -np.inf
    others = -np.sort(-others, axis=1)[:, :-1]  # descending, and without the own tag
    kept = [own[:, None], others[:, :LIKELIEST]]
    if others.shape[1] > LIKELIEST:
        rest = np.exp(others[:, LIKELIEST:]).sum(axis=1, keepdims=True)
        kept.append(np.log(np.clip(rest, np.exp(_LEAST), 1.0)))
    values = np.maximum(np.hstack(kept), _LEAST)
    counts = np.bincount(of_segment)
    ends = counts.cumsum()
    means = np.add.reduceat(values[:, 0], ends - counts, dtype=np.float64) / counts
    tokens, log_probs_kept = rows.tolist(), list(map(tuple, values.tolist()))
    return [
        {
            "confidence": confidence,
            "tokens": tuple(tokens[end - count : end]),
            "log_probs": tuple(log_probs_kept[end - count : end]),
        }
        for confidence, count, end in zip(
            np.exp(means).tolist(), counts.tolist(), ends.tolist(), strict=True
        )
    ]


def spans_of(
    segments: list[tuple[int, int, int]],
    tokenised: TokenizedDocument,
    labels: Labels,
    evidence: list[dict[str, Any]] | None = None,
) -> tuple[Span, ...]:
    """The segments' text, trimmed; one that holds no text of its own is none."""
    text = tokenised.document.text
    spans, free = [], 0
    for index, (kind, first, after) in enumerate(segments):
        start, end = max(int(tokenised.starts[first]), free), int(tokenised.ends[after - 1])
        mention = text[start:end]
        start, end = end - len(mention.lstrip()), start + len(mention.rstrip())
        if start < end:
            given = {} if evidence is None else evidence[index]
            spans.append(Span(start, end, labels.types[kind], **given))
            free = end
    return tuple(spans)


def reachable(
    tokenised: TokenizedDocument, labels: Labels, rule: str, subtokens: str = "bio"
) -> Prediction:
    """The gold as flat tags over these tokens can express it: encoded and decoded again."""
    entities = flatten(tokenised.document.entities, rule)
    tags = labels.encode(entities, tokenised.starts, tokenised.ends)
    certain = np.full((len(tags), len(labels.tags)), _RULED_OUT)
    certain[np.arange(len(tags)), tags] = 0.0
    inside_word = tokenised.inside_word
    copied = subtokens == "copied"
    segments = decode_words(certain, ~inside_word) if copied else decode(certain, inside_word)
    return Prediction(tokenised.document.id, spans_of(segments, tokenised, labels))
