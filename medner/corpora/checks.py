"""What holds for every document, whatever its format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from medner.corpora.errata import Erratum, RepeatedDocument, WrongMention, offsets
from medner.corpora.raw import Problems, RawDocument
from medner.documents import Document
from medner.errors import DataError


@dataclass(slots=True)
class Checked:
    """The documents that stood the checks, by id, each with where it came from; and the errata that
    were applied to them."""

    documents: dict[str, tuple[RawDocument, Document]] = field(default_factory=dict)
    errata: list[Erratum] = field(default_factory=list)


def check(
    raw_documents: Iterable[RawDocument], errata: Sequence[Erratum], problems: Problems
) -> Checked:
    """Every text can be written and is not blank, every mention is what its file prints but for the
    errata, and every id occurs once. Raises DataError, or keeps it in ``problems``."""
    checked = Checked()
    for raw in raw_documents:
        with problems.document():
            _check_text(raw)
            document, wrong_mentions = check_mentions(raw, errata)
            _add(checked, raw, document, errata)
            checked.errata += wrong_mentions
    return checked


def _check_text(raw: RawDocument) -> None:
    types = sorted({annotation.entity.type for annotation in raw.annotations})
    named = [("id", raw.id), *(("type", type_) for type_ in types)]
    if raw.group is not None:
        named.append(("group", raw.group))
    for what, value in [*named, ("text", raw.texts[0])]:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                raw.place,
                raw.line,
                f"the {what} of document {raw.id!r} has half of a surrogate pair, "
                f"{value[error.start]!r}, at character {error.start}",
                "write whole characters: UTF-8 cannot hold half of one",
            ) from None
    if not raw.texts[0].strip():
        raise DataError(
            raw.place,
            raw.line,
            f"document {raw.id} is empty" + (" but for white space" if raw.texts[0] else ""),
            "give it its text, or leave it out",
        )


def _add(checked: Checked, raw: RawDocument, document: Document, errata: Sequence[Erratum]) -> None:
    """Raises DataError where the id is taken, but for a repeat among the errata."""
    if document.id in checked.documents:
        first_raw, first = checked.documents[document.id]
        repeat = next(
            (e for e in errata if isinstance(e, RepeatedDocument) and e.document == document.id),
            None,
        )
        if repeat is None or repeat.second_id in checked.documents or first.text != document.text:
            remedy = "give each document an id of its own"
            if ("!" in raw.place) != ("!" in first_raw.place):
                remedy += ", or take away the zip if it stands beside its own files"
            raise DataError(
                raw.place,
                raw.line,
                f"document id {document.id} occurs again (first at {first_raw.where})",
                remedy,
            )
        checked.errata.append(repeat)
        checked.documents[first.id] = first_raw, replace(first, group=first.id)
        document = replace(document, id=repeat.second_id, group=first.id)
    checked.documents[document.id] = raw, document


def check_mentions(
    raw: RawDocument, errata: Sequence[Erratum]
) -> tuple[Document, list[WrongMention]]:
    """The document in the reading of its text that its mentions match, and the errata applied.

    A mention matches when its fragments, joined by a space, are what its file prints; newlines may
    be printed as spaces, and a carriage return at its end may be gone, as from the end of a line.
    Where several readings match, the first is taken. Raises DataError, on the reading with the
    fewest faults.
    """
    attempts = [(text, *_faults(raw, text, errata)) for text in raw.texts]
    text, faults, applied = min(attempts, key=lambda attempt: len(attempt[1]))
    if faults:
        line, problem = faults[0]
        if len(faults) > 1:
            problem += f" (the first of {len(faults)} in this document)"
        raise DataError(
            raw.place,
            line,
            problem,
            "correct the line, or restore the text that was annotated (offsets count characters)",
        )
    entities = tuple(annotation.entity for annotation in raw.annotations)
    return Document(raw.id, text, entities, raw.group), applied


def _faults(
    raw: RawDocument, text: str, errata: Sequence[Erratum]
) -> tuple[list[tuple[int | None, str]], list[WrongMention]]:
    """The faults of the mentions in one reading as (line, problem), and the errata applied."""
    faults, applied = [], []
    for annotation in raw.annotations:
        entity, mention = annotation.entity, annotation.mention
        what = f"{entity.type} at {offsets(entity.fragments)}"
        found = " ".join(text[start:end] for start, end in entity.fragments)
        if entity.end > len(text):
            problem = f"{what} ends outside the text of {len(text)} characters"
            faults.append((annotation.line, problem))
        elif mention not in _printed(found):
            wrong = WrongMention(raw.id, entity.type, entity.fragments, mention, found, reason="")
            if wrong in errata:
                applied.append(errata[errata.index(wrong)])
                continue
            problem = f"{what} is annotated as {_short(mention)}, the text has {_short(found)}"
            faults.append((annotation.line, problem))
    return faults, applied


def _printed(mention: str) -> set[str]:
    """The ways in which a file may print a mention: as it is, or on one line as brat does."""
    one_line = {text.replace("\n", " ") for text in (mention, mention.replace("\r\n", "\n"))}
    return {mention} | one_line | {line.removesuffix("\r") for line in one_line}


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:40]} ... {text[-35:]}")
