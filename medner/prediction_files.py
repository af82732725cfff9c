"""``predictions.jsonl``: what a model found in each document.

A line is a document: ``{"document": "1", "spans": [{"start": 7, "end": 11, "type": "Disease",
"text": "gout", "confidence": 0.9, "tokens": [2], "log_probs": [[-0.1, -2.5, -5.1]]}], "tokens":
{"start": [0, 3, 7], "end": [2, 6, 11], "tag": ["O", "O", "B-Disease"], "confidence": [1, 1, 0.9],
"classes": 3}}``. A span needs start, end, type and text; a discontinuous one has ``fragments``, and
as ``text`` their texts joined by a space. Tokens that all have their word's tag say so, ``"copied":
true``.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from medner.documents import Document
from medner.errors import DataError, UserError
from medner.files import written_whole
from medner.predictions import Prediction, Span, Tokens

_DIGITS = 6  # of a token's confidence in the file; spans keep theirs in full
_LOG_DIGITS = 4  # of the log probabilities that spans keep


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
            text = _document_text(prediction.document, texts, prediction.end)
            file.write(prediction_line(prediction, text))


def prediction_line(prediction: Prediction, text: str) -> str:
    """The line of a document with this text, its end included."""
    record = _to_record(prediction, text)
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_predictions(
    path: str | Path, documents: Iterable[Document] | None = None, *, allow_others: bool = False
) -> list[Prediction]:
    """Read what ``write_predictions`` wrote, in the file's order.

    Every line is checked by itself and, where ``documents`` are given, against its document's text;
    with ``allow_others``, lines of other documents are not. Raises DataError with file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of predictions")
    texts = None if documents is None else {document.id: document.text for document in documents}
    lines: dict[str, int] = {}
    predictions = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                prediction = _from_record(record, texts, allow_others)
            except ValueError as error:  # JSON and UTF-8 errors are ValueErrors too
                raise DataError(path, number, str(error), "correct the line") from error
            first = lines.setdefault(prediction.document, number)
            if first != number:
                problem = f"document {prediction.document} is also on line {first}"
                raise DataError(path, number, problem, "keep one of the two")
            predictions.append(prediction)
    return predictions


def as_read(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans as they are in a file, from which evaluations take their confidences."""
    return tuple(replace(span, log_probs=tuple(map(tuple, _rounded(span)))) for span in spans)


def _rounded(span: Span) -> list[list[float]]:
    return [[round(float(value), _LOG_DIGITS) for value in row] for row in span.log_probs]


def _document_text(document: str, texts: dict[str, str], end: int) -> str:
    if document not in texts:
        raise ValueError(f"document {document} is not among those it is to be compared with")
    if end > len(text := texts[document]):
        raise ValueError(
            f"offset {end} is outside the text of document {document}, {len(text)} characters"
        )
    return text


def _to_record(prediction: Prediction, text: str) -> dict:
    spans = [_span_record(span, text) for span in prediction.spans]
    record = {"document": prediction.document, "spans": spans}
    if tokens := prediction.tokens:
        record["tokens"] = {
            "start": [int(start) for start, _ in tokens.offsets],
            "end": [int(end) for _, end in tokens.offsets],
            "tag": list(tokens.tags),
            "confidence": [round(float(value), _DIGITS) for value in tokens.confidence],
        }
        if tokens.classes:
            record["tokens"]["classes"] = tokens.classes
        if tokens.copied:
            record["tokens"]["copied"] = True
    return record


def _span_record(span: Span, text: str) -> dict:
    record: dict[str, Any] = {
        "start": int(span.start),  # int and float: numpy's own do not go into JSON
        "end": int(span.end),
        "type": span.type,
        "text": span.mention(text),
    }
    if span.gaps:
        record["fragments"] = [[int(start), int(end)] for start, end in span.fragments]
    if span.confidence is not None:
        record["confidence"] = float(span.confidence)
    if span.tokens:
        record["tokens"] = [int(at) for at in span.tokens]
        record["log_probs"] = _rounded(span)
    return record


def _from_record(record: object, texts: dict[str, str] | None, allow_others: bool) -> Prediction:
    """Raises ValueError saying what is wrong with the line."""
    fields = _fields(record, "a prediction", ("document", "spans"), optional=("tokens",))
    document = _typed(fields["document"], str, "document")
    if not document:
        raise ValueError("document is empty")
    mentions, spans = [], []
    for entry in _typed(fields["spans"], list, "spans"):
        spans.append(_read_span(entry))
        mentions.append(_typed(entry["text"], str, "text"))
    prediction = Prediction(document, tuple(spans), _read_tokens(fields.get("tokens")))
    unknown = texts is None or (allow_others and document not in texts)
    text = None if unknown else _document_text(document, texts, prediction.end)
    for span, mention in zip(spans, mentions, strict=True):
        length = sum(end - start for start, end in span.fragments) + len(span.gaps)
        if len(mention) != length:
            raise ValueError(f"text {mention!r} is not as long as {span.start}-{span.end}")
        if text is not None and mention != span.mention(text):
            raise ValueError(
                f"text {mention!r} at {span.start}-{span.end} is "
                f"{span.mention(text)!r} in document {document}"
            )
    return prediction


def _read_span(value: object) -> Span:
    optional = ("confidence", "fragments", "tokens", "log_probs")
    entry = _fields(value, "a span", ("start", "end", "type", "text"), optional)
    start, end = (_typed(entry[name], int, name) for name in ("start", "end"))
    gaps = ()
    if "fragments" in entry:
        fragments = [
            tuple(_typed(at, int, "an offset") for at in _typed(fragment, list, "a fragment"))
            for fragment in _typed(entry["fragments"], list, "fragments")
        ]
        ends = (fragments[0][:1], fragments[-1][-1:]) if fragments else ()
        if ends != ((start,), (end,)) or any(len(fragment) != 2 for fragment in fragments):
            raise ValueError(f"fragments {fragments} are not those of {start}-{end}")
        gaps = tuple((left[1], right[0]) for left, right in pairwise(fragments))
    confidence = entry.get("confidence")
    return Span(
        start,
        end,
        _typed(entry["type"], str, "type"),
        None if confidence is None else _typed(confidence, float, "confidence"),
        gaps,
        _values(entry.get("tokens", []), int, "tokens"),
        tuple(
            _values(row, float, "log_probs")
            for row in _typed(entry.get("log_probs", []), list, "log_probs")
        ),
    )


def _values(value: object, kind: type, name: str) -> tuple:
    return tuple(_typed(number, kind, name) for number in _typed(value, list, name))


def _read_tokens(record: object) -> Tokens | None:
    if record is None:
        return None
    optional = ("classes", "copied")
    fields = _fields(record, "tokens", ("start", "end", "tag", "confidence"), optional)
    kinds = {"start": int, "end": int, "tag": str, "confidence": float}
    columns = {name: _values(fields[name], kind, name) for name, kind in kinds.items()}
    if len(columns["start"]) != len(columns["end"]):
        raise ValueError("tokens need as many starts as ends")
    offsets = tuple(zip(columns["start"], columns["end"], strict=True))
    classes = fields.get("classes")
    classes = None if classes is None else _typed(classes, int, "classes")
    copied = _typed(fields.get("copied", False), bool, "copied")
    return Tokens(offsets, columns["tag"], columns["confidence"], classes, copied)


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
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)  # other programs write 1.0 as 1
    if type(value) is not kind:  # exactly: True is an int to isinstance
        raise ValueError(f"{name} is of type {kind.__name__}, not {_short(value)}")
    return value


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
