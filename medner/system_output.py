"""Predictions of any system: MedNER's own file, brat, PubTator, or a corpus as JSON lines."""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from medner.corpora import FORMATS
from medner.corpora.checks import check
from medner.corpora.files import SourceFile, find_files
from medner.corpora.raw import Problems
from medner.documents import Document
from medner.errors import DataError, UserError
from medner.id_files import count, some
from medner.prediction_files import read_predictions
from medner.predictions import Prediction, Span

_PUBTATOR = re.compile(r"[^|\t\n]+\|t\|")
_REMEDY = (
    "give a .jsonl (a document a line, see README), a folder or zip of brat's .ann, or PubTator"
)


def read_output(
    path: str | Path,
    part: str,
    documents: Sequence[Document],
    asked_for: Collection[str] = (),
    allow_missing: bool = False,
) -> tuple[list[Prediction], list[str]]:
    """Read what a system predicted for these documents; spans may overlap and have gaps.

    The format is told by the content. brat needs no texts (``.txt``) beside its ``.ann``. What was
    predicted on another text is refused, but for a text that differs where no mention is.

    Args:
        part: what messages call the documents.
        asked_for: ids of documents that are scored too, if not here.
        allow_missing: documents that are not there were predicted empty.

    Returns:
        The predictions in the documents' order, and what should be known of the reading.

    Raises:
        DataError: for what is wrong in the file.
        UserError: if documents are missing, or none is there.
    """
    if not Path(path).expanduser().exists():
        raise UserError(f"predictions={path}: there is no such file or folder")
    files = _files(path)
    format_ = _format(path, files)
    if format_ == "predictions":
        found, notes, others = read_predictions(path, documents, allow_others=True), [], set()
    else:
        found, notes, others = _from_corpus(format_, files, documents)
    by_id = {prediction.document: prediction for prediction in found}
    known = {document.id for document in documents}
    if not by_id.keys() & known:
        raise UserError(
            f"predictions={path}: none of its documents ({some(list(by_id)) or 'there are none'}) "
            f"is one of {part} ({some([document.id for document in documents])})"
        )
    others = (others | set(by_id)) - known - set(asked_for)
    if others:
        notes.append(f"not scored, for they are not asked for: {count(len(others), 'document')}")
    missing = [document.id for document in documents if document.id not in by_id]
    if missing and not allow_missing:
        raise UserError(
            f"predictions={path}: {len(missing)} of {len(documents)} documents of {part} are not "
            f"there ({some(missing)}); if nothing was found in them, say allow_missing=true: their "
            "entities then count as missed"
        )
    if twice := sum(len(one.spans) - len(set(map(_place, one.spans))) for one in by_id.values()):
        notes.append(f"{count(twice, 'span')} more than once, which count as wrong")
    if missing:
        notes.append(f"not there, so taken as predicted empty: {count(len(missing), 'document')}")
    return [by_id.get(document.id, Prediction(document.id)) for document in documents], notes


def _files(path: str | Path) -> list[SourceFile]:
    patterns = ("*.ann", "*.jsonl", "*.json", "*.pubtator", "*.txt")
    files, _ = find_files(str(path), patterns)
    if any(_suffix(file) == ".ann" for file in files):
        return [file for file in files if _suffix(file) in (".ann", ".txt")]
    return files


def _format(path: str | Path, files: Sequence[SourceFile]) -> str:
    if _suffix(files[0]) == ".ann" or _suffix(files[-1]) == ".ann":
        return "brat"
    head = files[0].text().lstrip("\ufeff \t\r\n")
    if _PUBTATOR.match(head):
        return "pubtator"
    if not head.startswith("{"):
        raise DataError(files[0].place, 1, "predictions in no format that is known here", _REMEDY)
    first = head.splitlines()[0]
    try:
        names = set(json.loads(first))
    except ValueError as error:
        raise DataError(files[0].place, 1, str(error), _REMEDY) from None
    if "document" in names:
        if Path(path).expanduser().is_dir() or len(files) > 1 or "!" in files[0].place:
            raise DataError(path, None, "is not one file of predictions", "give the .jsonl itself")
        return "predictions"
    if "id" in names:
        return "jsonl"
    raise DataError(files[0].place, 1, "has neither 'document' nor 'id'", _REMEDY)


def _from_corpus(
    format_: str, files: list[SourceFile], documents: Sequence[Document]
) -> tuple[list[Prediction], list[str], set[str]]:
    """The predictions, what should be known of them, and ids of which there is no text."""
    gold = {document.id: document for document in documents}
    others: set[str] = set()
    if format_ == "brat":
        files, others = _with_texts(files, gold)
    read, _ = FORMATS[format_]
    checked = check(read(files, Problems()), (), Problems())
    predictions, differing = [], []
    for raw, document in checked.documents.values():
        own = gold.get(document.id)
        if own and own.text != document.text:
            _check_place(raw.place, document, own)
            differing.append(document.id)
        predictions.append(_prediction(document))
    notes = []
    if differing:
        notes.append(
            "text differs from the gold's, but not where a mention is: "
            f"{count(len(differing), 'document')} ({some(differing)})"
        )
    return predictions, notes, others


def _with_texts(
    files: list[SourceFile], gold: dict[str, Document]
) -> tuple[list[SourceFile], set[str]]:
    """The files, with the gold's text for each ``.ann`` that has none beside it, and the ids of
    those, left out, that are not in the gold."""
    there = {file.place[: -len(".txt")] for file in files if _suffix(file) == ".txt"}
    kept, others = [], set()
    for file in files:
        stem, name = file.place[: -len(".ann")], PurePosixPath(file.name).stem
        if _suffix(file) == ".ann" and stem not in there:
            if name not in gold:
                others.add(name)
                continue
            text = gold[name].text.encode()
            kept.append(SourceFile(f"{stem}.txt", f"{name}.txt", text))
        kept.append(file)
    return sorted(kept, key=lambda file: file.place), others


def _check_place(place: str, document: Document, gold: Document) -> None:
    """DataError unless every mention is in the gold's text where it is in the system's."""
    for entity in document.entities:
        mention = document.mention(entity)
        there = " ".join(gold.text[start:end] for start, end in entity.fragments)
        if mention != there:
            raise DataError(
                place,
                None,
                f"document {document.id} was predicted on another text: {mention!r} at "
                f"{entity.start}-{entity.end} is {there!r} in the gold's",
                "predict on the gold's text, or give the gold of this text",
            )


def _prediction(document: Document) -> Prediction:
    spans: Iterable[Span] = (
        Span(
            entity.start,
            entity.end,
            entity.type,
            gaps=tuple(
                (left[1], right[0])
                for left, right in zip(entity.fragments, entity.fragments[1:], strict=False)
            ),
        )
        for entity in document.entities
    )
    return Prediction(document.id, tuple(spans))


def _place(span: Span) -> tuple:
    return span.fragments, span.type


def _suffix(file: SourceFile) -> str:
    return PurePosixPath(file.name).suffix.lower()
