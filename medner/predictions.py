"""What a model found in each document."""

from dataclasses import dataclass

LIKELIEST = 3  # tags that a span's token keeps beside its own


@dataclass(frozen=True, slots=True)
class Span:
    """A predicted mention.

    ``start`` and ``end`` are half-open character offsets into the document's text; ``gaps``,
    likewise, are what a discontinuous mention leaves out in between. ``confidence`` lies in [0, 1];
    None where a system gives none. Of a model of ours, ``tokens`` are the indices of the span's
    tokens (where tags are copied, of the first one of each word), and ``log_probs`` has a row for
    each: the log probability of its own tag, of the ``LIKELIEST`` others, descending, and of all
    the rest together, as far as there are so many.
    Raises ValueError on anything else.
    """

    start: int
    end: int
    type: str
    confidence: float | None = None
    gaps: tuple[tuple[int, int], ...] = ()
    tokens: tuple[int, ...] = ()
    log_probs: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.type:
            raise ValueError("a span needs a type")
        for start, end in self.fragments:
            if not 0 <= start < end:
                raise ValueError(f"({start}, {end}) is not a span: 0 <= start < end")
        if any(end < start for start, end in self.gaps):
            raise ValueError(f"the fragments {self.fragments} overlap or are out of order")
        if self.confidence is not None:
            _check_confidence(self.confidence)
        if len(self.tokens) != len(self.log_probs):
            raise ValueError(
                f"a span needs as many tokens ({len(self.tokens)}) as rows of log_probs "
                f"({len(self.log_probs)})"
            )
        if not all(value <= 0 for row in self.log_probs for value in row):  # nor not a number
            raise ValueError("a log probability is at most 0")

    @property
    def fragments(self) -> tuple[tuple[int, int], ...]:
        """As an entity's: what is matched with the gold."""
        if not self.gaps:
            return ((self.start, self.end),)
        starts = (self.start, *(end for _, end in self.gaps))
        ends = (*(start for start, _ in self.gaps), self.end)
        return tuple(zip(starts, ends, strict=True))

    def mention(self, text: str) -> str:
        """Its part of the document's text, fragments joined by a space."""
        return " ".join(text[start:end] for start, end in self.fragments)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the model said of each token by itself, before constrained decoding.

    ``offsets`` (n, 2), half-open characters of the document; ``tags`` (n), the likeliest tag, such
    as ``B-Medication``; ``confidence`` (n), that tag's probability among ``classes`` tags. Where a
    tokenizer cuts a character into bytes, tokens have the same offsets. ``copied`` says that the
    model was trained with a word's tag on all its tokens, B too. Raises ValueError.
    """

    offsets: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    confidence: tuple[float, ...]
    classes: int | None = None  # not in files from before it was written
    copied: bool = False

    def __post_init__(self) -> None:
        if not len(self.offsets) == len(self.tags) == len(self.confidence):
            raise ValueError(
                f"tokens need as many offsets ({len(self.offsets)}) as tags ({len(self.tags)}) "
                f"and confidences ({len(self.confidence)})"
            )
        for start, end in self.offsets:
            if not 0 <= start <= end:
                raise ValueError(f"({start}, {end}) is not a token: 0 <= start <= end")
        if not all(self.tags):
            raise ValueError("a token needs a tag")
        for confidence in self.confidence:
            _check_confidence(confidence)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The spans found in one document, in order: disjoint where the model is one of ours."""

    document: str
    spans: tuple[Span, ...] = ()
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        spans = tuple(sorted(self.spans, key=lambda span: (span.start, span.end, span.type)))
        object.__setattr__(self, "spans", spans)
        if self.tokens is None and any(span.tokens for span in spans):
            raise ValueError("a span has tokens, and the document has none")
        last = len(self.tokens.offsets) if self.tokens else 0
        if outside := [at for span in spans for at in span.tokens if not 0 <= at < last]:
            raise ValueError(f"a span has token {outside[0]}, and there are {last}")

    @property
    def end(self) -> int:
        """Where the last span or token ends: the least length the document's text must have."""
        ends = [span.end for span in self.spans]
        if self.tokens:
            ends += [end for _, end in self.tokens.offsets]
        return max(ends, default=0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a document has no prediction."""

    document: str
    reason: str


def _check_confidence(value: float) -> None:
    if not 0 <= value <= 1:  # not a number fails too
        raise ValueError(f"a confidence lies in [0, 1], not {value}")
