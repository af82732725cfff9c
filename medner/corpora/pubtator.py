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
from itertools import pairwise

from medner.corpora.files import SourceFile
from medner.corpora.raw import Annotation, Problems, RawDocument
from medner.documents import Entity
from medner.errors import DataError

PATTERNS = ("*.txt", "*.pubtator")

_SECTION = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
_STARTS = re.compile(r"[^|\t]*\|[^|\t]*\|")
_RELATION = re.compile(r"[^\t]+\t[A-Za-z_]+\t[^\t]+\t[^\t]+(\t[^\t]*)?")
_MENTION = re.compile(r"[^\t]+\t(\d+)\t(\d+)\t([^\t]+)\t([^\t]+)(\t[^\t]*){0,2}")


def read_pubtator(files: Sequence[SourceFile], problems: Problems) -> list[RawDocument]:
    """The documents, in the order of the files; relations are passed over.

    Raises DataError for a document without title or abstract, a mention of another document, and
    a line that is neither mention nor relation.
    """
    documents: list[RawDocument] = []
    for file in files:
        for block in _blocks(file.lines()):
            with problems.document():
                documents.append(_document(file, block))
    return documents


def _blocks(lines: list[str]) -> Iterator[list[tuple[int, str]]]:
    """The runs of lines between blank ones, each line with its number.

    A line after a blank one that is no title, not even a misspelt one, stays with the document
    before it, which is in error: left alone it would be a document without some of its text or
    mentions.
    """
    block: list[tuple[int, str]] = []
    after_blank = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            after_blank = True
            continue
        if after_blank and block and _STARTS.match(line):
            yield block
            block = []
        block.append((number, line))
        after_blank = False
    if block:
        yield block


def _document(file: SourceFile, block: list[tuple[int, str]]) -> RawDocument:
    first = block[0][0]
    sections = [_SECTION.fullmatch(line) for _, line in block[:2]]
    if sections[0] is None or sections[0][2] != "t":
        raise _no_title(file.place, *block[0])
    document_id = sections[0][1]
    if len(sections) < 2 or sections[1] is None or sections[1].group(1, 2) != (document_id, "a"):
        raise DataError(
            file.place,
            block[:2][-1][0],
            f"the title of {document_id} is not followed by its abstract",
            f"write {document_id}|a|abstract on the line after the title",
        )
    annotations, passed_over = [], Counter()
    for (previous, _), (number, line) in pairwise(block[1:]):
        if number != previous + 1:
            raise _no_title(file.place, number, line)
        annotation = _annotation(file.place, number, line, document_id)
        if annotation is None:
            passed_over["relations"] += 1
        else:
            annotations.append(annotation)
    text = f"{sections[0][3]} {sections[1][3]}"
    return RawDocument(
        document_id,
        (file.name,),
        file.place,
        first,
        (text,),
        tuple(annotations),
        passed_over=passed_over,
    )


def _no_title(place: str, number: int, line: str) -> DataError:
    return DataError(
        place,
        number,
        f"{line[:60]!r} is no title",
        "a document starts with id|t|title; blank lines stand only between documents",
    )


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
