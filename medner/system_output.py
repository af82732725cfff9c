"""Predictions of any system: MedNER's own file, brat, PubTator, or a corpus as JSON lines."""

import json
import re
from collections.abc import Iterable, Sequence
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
    path: str | Path, documents: Sequence[Document], allow_missing: bool = False
) -> tuple[list[Prediction], list[str]]:
    """Read what a system predicted for these documents; spans may overlap and have gaps.

    The format is told by the content. brat needs no texts (``.txt``) beside its ``.ann``. What was
    predicted on another text is refused, but for a text that differs where no mention is.

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
        found, notes = read_predictions(path, documents, allow_others=True), []
    else:
        found, notes = _from_corpus(format_, files, documents)
    by_id = {prediction.document: prediction for prediction in found}
    known = {document.id for document in documents}
    if not by_id.keys() & known:
        raise UserError(
            f"predictions={path}: none of its documents ({some(list(by_id)) or 'there are none'}) "
            f"is among those to be scored ({some([document.id for document in documents])})"
        )
    if others := [id for id in by_id if id not in known]:
        notes.append(f"not scored, for they are not asked for: {count(len(others), 'document')}")
    missing = [document.id for document in documents if document.id not in by_id]
    if missing and not allow_missing:
        raise UserError(
            f"predictions={path}: {len(missing)} of {len(documents)} documents are not there "
            f"({some(missing)}); if nothing was found in them, say allow_missing=true: their "
            "entities then count as missed"
        )
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
) -> tuple[list[Prediction], list[str]]:
    gold = {document.id: document for document in documents}
    if format_ == "brat":
        files = _with_texts(files, gold)
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
    return predictions, notes


def _with_texts(files: list[SourceFile], gold: dict[str, Document]) -> list[SourceFile]:
    """The files, and the gold's text for each ``.ann`` that has none beside it."""
    there = {file.place[: -len(".txt")] for file in files if _suffix(file) == ".txt"}
    texts = []
    for file in files:
        stem = file.place[: -len(".ann")]
        name = PurePosixPath(file.name).stem
        if _suffix(file) == ".ann" and stem not in there and name in gold:
            text = gold[name].text.encode()
            texts.append(SourceFile(f"{stem}.txt", f"{name}.txt", text))
    return sorted([*files, *texts], key=lambda file: file.place)


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


def _suffix(file: SourceFile) -> str:
    return PurePosixPath(file.name).suffix.lower()
