"""Column files, as of the CoNLL tasks: a token a line, its tag in the last column.

Columns are separated by tabs, or by white space where a line has no tab. A blank line ends a
sentence, a line that starts with ``-DOCSTART-`` starts a document (Tjong Kim Sang and De Meulder,
CoNLL-2003). The text is rebuilt: a space between tokens, a newline between sentences.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from medner.corpora.files import SourceFile
from medner.corpora.raw import Annotation, Problems, RawDocument
from medner.corpora.tags import assemble, parse_tag
from medner.errors import DataError

PATTERNS = ("*.conll", "*.tsv", "*.txt", "*.bio", "*.iob", "*.iob2")
DOCUMENT_START = "-DOCSTART-"
SENTENCES = (
    "a sentence is a document of its own where a file has no -DOCSTART- line, and the sentences of "
    "one report may come to different parts"
)

Line = tuple[int, str]  # its number, and what it holds


def read_conll(files: Sequence[SourceFile], problems: Problems) -> list[RawDocument]:
    """The documents, in the order of the files, called by the file's name and a number from 1.

    In a file without ``-DOCSTART-`` each sentence is a document, which is noted: a split may then
    part what belongs together. Raises DataError for a line without a tag, and for
    an unknown tag.
    """
    documents: list[RawDocument] = []
    for file in files:
        lines = list(enumerate(file.lines(), start=1))
        marked = any(_starts_document(line) for _, line in lines)
        if marked:
            found = list(_documents(lines))
        else:
            found = [(sentence[0][0], [sentence]) for sentence in _sentences(lines)]
        for number, (start, sentences) in enumerate(found, start=1):
            with problems.document():
                note = None if marked else SENTENCES
                documents.append(_document(file, number, start, sentences, note))
    return documents


def _starts_document(line: str) -> bool:
    return line.startswith(DOCUMENT_START)


def _documents(lines: list[Line]) -> Iterator[tuple[int, list[list[Line]]]]:
    """The line where each document starts, and its sentences: none where two starts follow."""
    starts = [at for at, (_, line) in enumerate(lines) if _starts_document(line)]
    if before := list(_sentences(lines[: starts[0]])):
        yield before[0][0][0], before
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start][0], list(_sentences(lines[start + 1 : end]))


def _sentences(lines: list[Line]) -> Iterator[list[Line]]:
    """The runs of lines between blank ones."""
    sentence: list[Line] = []
    for number, line in [*lines, (0, "")]:
        if line.strip():
            sentence.append((number, line))
        elif sentence:
            yield sentence
            sentence = []


def _document(
    file: SourceFile, number: int, start: int, sentences: list[list[Line]], note: str | None
) -> RawDocument:
    tokens: list[str] = []
    tags: list[tuple[str, str]] = []
    for sentence in sentences:
        if tokens:
            tokens.append("\n")
            tags.append(("O", ""))
        for at, line in sentence:
            token, tag = _columns(file.place, at, line)
            tokens.append(token)
            tags.append(tag)
    tagged = assemble(tokens, tags)
    return RawDocument(
        id=f"{PurePath(file.name).stem}-{number}",
        names=(file.name,),
        place=file.place,
        line=start,
        texts=(tagged.text,),
        annotations=tuple(
            Annotation(start, entity, tagged.text[entity.start : entity.end])
            for entity in tagged.entities
        ),
        note=note,
    )


def _columns(place: str, number: int, line: str) -> tuple[str, tuple[str, str]]:
    """The token, and its tag as prefix and type."""
    columns = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
    columns = [column.strip(" ") for column in columns]
    if len(columns) < 2 or not columns[0]:
        raise DataError(
            place,
            number,
            f"{line[:60]!r} is no token with a tag",
            "write the token in the first column and its tag in the last, separated by a tab or "
            f"spaces, and {DOCUMENT_START} where a document starts",
        )
    try:
        return columns[0], parse_tag(columns[-1])
    except ValueError as error:
        raise DataError(place, number, str(error)) from None
