"""PubTator, as NCBI Disease and BC5CDR are released.

A document is a block of lines: ``id|t|title``, ``id|a|abstract``, then, separated by tabs,
mentions (id, start, end, mention, type, concept, parts of a composite) and relations. Blank lines
separate documents. Offsets count characters of title, one separator and abstract.

Sources: Doğan, Leaman and Lu (2014), NCBI disease corpus; Li and others (2016), BioCreative V CDR
task corpus.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from medner.corpora.errata import Annotation, RawDocument
from medner.corpora.files import SourceFile
from medner.documents import Entity
from medner.errors import DataError

PATTERNS = ("*.txt", "*.pubtator")

_SECTION = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
_RELATION = re.compile(r"[^\t]+\t[A-Za-z_]+\t[^\t]+\t[^\t]+(\t[^\t]*)?")
_MENTION = re.compile(r"[^\t]+\t(\d+)\t(\d+)\t([^\t]+)\t([^\t]+)(\t[^\t]*){0,2}")


def read_pubtator(files: Sequence[SourceFile]) -> tuple[list[RawDocument], Counter[str]]:
    """The documents, in the order of the files, and how many relations were passed over.

    Raises DataError for a document without title or abstract, a mention of another document, and
    a line that is neither mention nor relation.
    """
    documents: list[RawDocument] = []
    passed_over: Counter[str] = Counter()
    for file in files:
        for block in _blocks(file.lines()):
            documents.append(_document(file, block, passed_over))
    return documents, passed_over


def _blocks(lines: list[str]) -> Iterator[list[tuple[int, str]]]:
    """The runs of lines between blank ones, each line with its number."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []


def _document(
    file: SourceFile, block: list[tuple[int, str]], passed_over: Counter[str]
) -> RawDocument:
    first = block[0][0]
    sections = [_SECTION.fullmatch(line) for _, line in block[:2]]
    if sections[0] is None or sections[0][2] != "t":
        raise DataError(
            file.place,
            first,
            f"{block[0][1][:60]!r} is no title",
            "a document starts with id|t|title; blank lines stand only between documents",
        )
    document_id = sections[0][1]
    if len(sections) < 2 or sections[1] is None or sections[1].group(1, 2) != (document_id, "a"):
        raise DataError(
            file.place,
            block[:2][-1][0],
            f"the title of {document_id} is not followed by its abstract",
            f"write {document_id}|a|abstract on the line after the title",
        )
    annotations = []
    for number, line in block[2:]:
        annotation = _annotation(file.place, number, line, document_id)
        if annotation is None:
            passed_over["relations"] += 1
        else:
            annotations.append(annotation)
    text = f"{sections[0][3]} {sections[1][3]}"
    return RawDocument(document_id, (file.name,), file.place, first, (text,), tuple(annotations))


def _annotation(place: str, number: int, line: str, document_id: str) -> Annotation | None:
    """The mention of a line, None where it is a relation."""
    if _SECTION.fullmatch(line):
        raise DataError(
            place,
            number,
            f"{line[:60]!r} stands among the mentions of document {document_id}",
            "put a blank line before each document",
        )
    mention = _MENTION.fullmatch(line)
    if mention is None and not _RELATION.fullmatch(line):
        raise DataError(
            place,
            number,
            f"{line[:60]!r} is neither a mention nor a relation",
            "write id, start, end, mention, type and concept, separated by tabs",
        )
    owner = line.split("\t", 1)[0]
    if owner != document_id:
        raise DataError(
            place,
            number,
            f"a line of document {owner} under document {document_id}",
            "move it to its document, or correct its id",
        )
    if mention is None:
        return None
    try:
        entity = Entity(((int(mention[1]), int(mention[2])),), mention[4])
    except ValueError as error:
        raise DataError(place, number, str(error), "correct the offsets") from None
    return Annotation(number, entity, mention[3])
