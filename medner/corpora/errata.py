"""Every mention is checked against its text; the releases' known errors are listed in the open."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from medner.documents import Document, Entity
from medner.errors import DataError


@dataclass(frozen=True, slots=True)
class Annotation:
    """An entity with the mention its file prints beside the offsets, and its line (from 1)."""

    line: int
    entity: Entity
    mention: str


@dataclass(frozen=True, slots=True)
class RawDocument:
    """What a reader found, not checked yet.

    ``names`` are the base names of its files; ``place`` and ``line`` say where its annotations
    start. ``texts`` are the readings that the offsets may count in: one, or two where the text's
    lines end in CRLF.
    """

    id: str
    names: tuple[str, ...]
    place: str
    line: int | None
    texts: tuple[str, ...]
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True)
class WrongMention:
    """A mention that the release prints otherwise than its text; the offsets are kept."""

    document: str
    type: str
    fragments: tuple[tuple[int, int], ...]
    annotated: str
    text: str
    reason: str = field(compare=False)

    def __str__(self) -> str:
        return (
            f"{self.document}: {self.type} at {_offsets(self.fragments)} is annotated as "
            f"{self.annotated!r}, the text has {self.text!r}: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class RepeatedDocument:
    """A document that the release holds twice; the second is kept under a new id, and both in one
    group, so that no split parts them."""

    document: str
    second_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.document}: the second becomes {self.second_id}: {self.reason}"


Erratum = WrongMention | RepeatedDocument

ERRATA: dict[str, tuple[Erratum, ...]] = {
    "maccrobat2020": (
        WrongMention(
            document="25661749",
            type="Dosage",
            fragments=((2837, 2841),),
            annotated="8\u2005mg\t\u2005",
            text="8\u2005mg",
            reason="the mention column goes on with a tab and a space that the offsets leave out",
        ),
    ),
    "ncbi_disease": (
        WrongMention(
            document="10923035",
            type="SpecificDisease",
            fragments=((711, 761),),
            annotated='generalized epilepsy and febrile seizures " plus "  ',
            text='generalized epilepsy and febrile seizures " plus "',
            reason="the mention column ends in stray spaces that the offsets leave out",
        ),
        RepeatedDocument(
            document="8528200",
            second_id="8528200#2",
            reason="the training part holds the same abstract with the same mentions twice, and "
            "published counts (593 documents, 5,145 mentions) hold both",
        ),
    ),
}


def check_mentions(
    raw: RawDocument, errata: Sequence[Erratum]
) -> tuple[Document, list[WrongMention]]:
    """The document in the reading of its text that its mentions match, and the errata applied.

    A mention matches when its fragments, joined by a space and with newlines as spaces, are what
    its file prints. Where several readings match, the first is taken. Raises DataError, on the
    reading with the fewest faults.
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
    return Document(raw.id, text, entities), applied


def _faults(
    raw: RawDocument, text: str, errata: Sequence[Erratum]
) -> tuple[list[tuple[int, str]], list[WrongMention]]:
    """The faults of the mentions in one reading as (line, problem), and the errata applied."""
    faults, applied = [], []
    for annotation in raw.annotations:
        entity, mention = annotation.entity, annotation.mention
        what = f"{entity.type} at {_offsets(entity.fragments)}"
        found = " ".join(text[start:end] for start, end in entity.fragments)
        if entity.end > len(text):
            problem = f"{what} ends outside the text of {len(text)} characters"
            faults.append((annotation.line, problem))
        elif mention not in (_one_line(found), _one_line(found.replace("\r\n", "\n"))):
            wrong = WrongMention(raw.id, entity.type, entity.fragments, mention, found, reason="")
            if wrong in errata:
                applied.append(errata[errata.index(wrong)])
                continue
            problem = f"{what} is annotated as {_short(mention)}, the text has {_short(found)}"
            faults.append((annotation.line, problem))
    return faults, applied


def _one_line(text: str) -> str:
    """As brat prints a mention."""
    return text.replace("\n", " ")


def _offsets(fragments: tuple[tuple[int, int], ...]) -> str:
    return ";".join(f"{start}-{end}" for start, end in fragments)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:40]} ... {text[-35:]}")
