"""What a model found in each document, and the ``predictions.jsonl`` that holds it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from medner.documents import Document
from medner.errors import DataError, UserError
from medner.files import written_whole

_DIGITS = 6  # of a token's confidence in the file; spans keep theirs in full


@dataclass(frozen=True, slots=True)
class Span:
    """A predicted mention: half-open character offsets into the document's text, and a confidence
    in [0, 1]. Raises ValueError on anything else."""

    start: int
    end: int
    type: str
    confidence: float

    def __post_init__(self) -> None:
        if not self.type:
            raise ValueError("a span needs a type")
        if not 0 <= self.start < self.end:
            raise ValueError(f"({self.start}, {self.end}) is not a span: 0 <= start < end")
        _check_confidence(self.confidence)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the model said of each token by itself, before constrained decoding.

    ``offsets`` (n, 2), half-open characters of the document; ``tags`` (n), the likeliest tag, such
    as ``B-Medication``; ``confidence`` (n), that tag's probability. A character that a tokenizer
    cuts into bytes gives tokens with the same offsets. Raises ValueError.
    """

    offsets: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    confidence: tuple[float, ...]

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
    """The disjoint spans found in one document, in order. Raises ValueError where two overlap."""

    document: str
    spans: tuple[Span, ...] = ()
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        spans = tuple(sorted(self.spans, key=lambda span: (span.start, span.end)))
        object.__setattr__(self, "spans", spans)
        for left, right in pairwise(spans):
            if right.start < left.end:
                raise ValueError(
                    f"{left.type} at {left.start}-{left.end} and {right.type} at "
                    f"{right.start}-{right.end} overlap"
                )

    @property
    def end(self) -> int:
        """Where the last span or token ends: the least length the document's text must have."""
        ends = [span.end for span in self.spans]
        if self.tokens:
            ends += [end for _, end in self.tokens.offsets]
        return max(ends, default=0)


def write_predictions(
    path: str | Path, predictions: Iterable[Prediction], documents: Iterable[Document]
) -> None:
    """Write one JSON object a line, with each span's text; the file appears whole or not at all.

    Raises ValueError if a document is not among ``documents``, comes twice, or is too short.
    """
    texts = {document.id: document.text for document in documents}
    written: set[str] = set()
    with written_whole(path) as file:
        for prediction in predictions:
            if prediction.document in written:
                raise ValueError(f"document {prediction.document} is predicted twice")
            written.add(prediction.document)
            record = _to_record(prediction, texts)
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_predictions(
    path: str | Path, documents: Iterable[Document] | None = None
) -> list[Prediction]:
    """Read what ``write_predictions`` wrote, in the file's order.

    Every line is checked by itself and, where ``documents`` are given, against its document's text.
    Raises DataError with file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of predictions")
    texts = None if documents is None else {document.id: document.text for document in documents}
    lines: dict[str, int] = {}
    predictions = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                prediction = _from_record(json.loads(line.decode("utf-8")), texts)
            except ValueError as error:  # JSON and UTF-8 errors are ValueErrors too
                raise DataError(path, number, str(error), "write the predictions anew") from error
            first = lines.setdefault(prediction.document, number)
            if first != number:
                problem = f"document {prediction.document} is also on line {first}"
                raise DataError(path, number, problem, "keep one of the two")
            predictions.append(prediction)
    return predictions


def _check_confidence(value: float) -> None:
    if not 0 <= value <= 1:  # not a number fails too
        raise ValueError(f"a confidence lies in [0, 1], not {value}")


def _document_text(document: str, texts: dict[str, str], end: int) -> str:
    if document not in texts:
        raise ValueError(f"document {document} is not among those it is to be compared with")
    if end > len(text := texts[document]):
        raise ValueError(
            f"offset {end} is outside the text of document {document}, {len(text)} characters"
        )
    return text


def _to_record(prediction: Prediction, texts: dict[str, str]) -> dict:
    text = _document_text(prediction.document, texts, prediction.end)
    spans = [
        {
            "start": int(span.start),  # int and float: numpy's own do not go into JSON
            "end": int(span.end),
            "type": span.type,
            "text": text[span.start : span.end],
            "confidence": float(span.confidence),
        }
        for span in prediction.spans
    ]
    record = {"document": prediction.document, "spans": spans}
    if tokens := prediction.tokens:
        record["tokens"] = {
            "start": [int(start) for start, _ in tokens.offsets],
            "end": [int(end) for _, end in tokens.offsets],
            "tag": list(tokens.tags),
            "confidence": [round(float(value), _DIGITS) for value in tokens.confidence],
        }
    return record


def _from_record(record: object, texts: dict[str, str] | None) -> Prediction:
    """Raises ValueError saying what is wrong with the line."""
    fields = _fields(record, "a prediction", ("document", "spans"), optional=("tokens",))
    document = _typed(fields["document"], str, "document")
    if not document:
        raise ValueError("document is empty")
    mentions, spans = [], []
    for span in _typed(fields["spans"], list, "spans"):
        entry = _fields(span, "a span", ("start", "end", "type", "text", "confidence"))
        mentions.append(_typed(entry["text"], str, "text"))
        spans.append(
            Span(
                _typed(entry["start"], int, "start"),
                _typed(entry["end"], int, "end"),
                _typed(entry["type"], str, "type"),
                _typed(entry["confidence"], float, "confidence"),
            )
        )
    prediction = Prediction(document, tuple(spans), _read_tokens(fields.get("tokens")))
    text = None if texts is None else _document_text(document, texts, prediction.end)
    for span, mention in zip(spans, mentions, strict=True):
        if len(mention) != span.end - span.start:
            raise ValueError(f"text {mention!r} is not as long as {span.start}-{span.end}")
        if text is not None and mention != text[span.start : span.end]:
            raise ValueError(
                f"text {mention!r} at {span.start}-{span.end} is "
                f"{text[span.start : span.end]!r} in document {document}"
            )
    return prediction


def _read_tokens(record: object) -> Tokens | None:
    if record is None:
        return None
    fields = _fields(record, "tokens", ("start", "end", "tag", "confidence"))
    kinds = {"start": int, "end": int, "tag": str, "confidence": float}
    columns = {
        name: tuple(_typed(value, kind, name) for value in _typed(fields[name], list, name))
        for name, kind in kinds.items()
    }
    if len(columns["start"]) != len(columns["end"]):
        raise ValueError("tokens need as many starts as ends")
    offsets = tuple(zip(columns["start"], columns["end"], strict=True))
    return Tokens(offsets, columns["tag"], columns["confidence"])


def _fields(
    value: object, what: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is a JSON object, not {_short(value)}")
    if missing := [name for name in required if name not in value]:
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    if unknown := sorted(set(value) - set(required) - set(optional)):
        raise ValueError(f"{what} has no field {', '.join(unknown)}")
    return value


def _typed(value: object, kind: type, name: str) -> Any:
    if kind is float and type(value) is int and value in (0, 1):
        return float(value)  # other programs write 1.0 as 1
    if type(value) is not kind:  # exactly: True is an int to isinstance
        raise ValueError(f"{name} is of type {kind.__name__}, not {_short(value)}")
    return value


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
