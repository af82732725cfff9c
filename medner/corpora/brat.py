"""brat standoff: a text in ``ID.txt``, its annotations in ``ID.ann``.

Format: https://brat.nlplab.org/standoff.html
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from medner.corpora.files import SourceFile
from medner.corpora.raw import Annotation, Problems, RawDocument
from medner.documents import Entity
from medner.errors import DataError

PATTERNS = ("*.txt", "*.ann")

_KINDS = {
    "E": "events",
    "R": "relations",
    "A": "attributes",
    "M": "attributes",
    "N": "normalisations",
    "#": "notes",
    "*": "equivalences",
}
_LINE = re.compile(r"(?:([TERAMN])\d+|(#)\d*|(\*))\t")
_SPAN = re.compile(r"(\S+) (\d+ \d+(?:;\d+ \d+)*)")


def read_brat(files: Sequence[SourceFile], problems: Problems) -> list[RawDocument]:
    """The documents, in the order of the files; lines that are no text-bound annotations are
    passed over.

    Raises DataError for a text without annotations or the reverse (an ``.ann`` may be empty), and
    for a line that is no brat.
    """
    pairs: dict[str, list[SourceFile]] = {}
    for file in files:
        pairs.setdefault(file.place[: -len(".txt")], []).append(file)
    documents: list[RawDocument] = []
    for pair in pairs.values():
        with problems.document():
            documents.append(_document(pair))
    return documents


def _document(pair: list[SourceFile]) -> RawDocument:
    by_suffix = {Path(file.name).suffix.lower(): file for file in pair}
    if len(pair) != 2 or set(by_suffix) != {".txt", ".ann"}:
        raise DataError(
            pair[0].place,
            None,
            "a brat document is one .txt and one .ann, "
            f"given is only {' and '.join(file.name for file in pair)}",
            "give the folder or zip that holds both (an .ann may be empty)",
        )
    text, file = by_suffix[".txt"].text(), by_suffix[".ann"]
    annotations, passed_over = _annotations(file)
    return RawDocument(
        id=Path(file.name).stem,
        names=tuple(file.name for file in pair),
        place=file.place,
        line=None,
        # some tools count CRLF as one character: the mentions tell
        texts=tuple(dict.fromkeys((text, text.replace("\r\n", "\n")))),
        annotations=annotations,
        passed_over=passed_over,
    )


def _annotations(file: SourceFile) -> tuple[tuple[Annotation, ...], Counter[str]]:
    """The text-bound annotations, and how many other lines there are of each kind."""
    annotations: list[Annotation] = []
    passed_over: Counter[str] = Counter()
    for number, line in enumerate(file.lines(), start=1):
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            raise DataError(
                file.place,
                number,
                f"{line[:60]!r} is no line of a brat .ann",
                "a line starts with T, E, R, A, M or N and a number, with # or *, then a tab",
            )
        kind = match[match.lastindex]
        if kind == "T":
            annotations.append(_annotation(file.place, number, line))
        else:
            passed_over[_KINDS[kind]] += 1
    return tuple(annotations), passed_over


def _annotation(place: str, number: int, line: str) -> Annotation:
    """A line ``T1<tab>Type start end;start end<tab>mention``; the mention may hold tabs."""
    columns = line.split("\t", 2)
    span = _SPAN.fullmatch(columns[1])
    if len(columns) < 3 or span is None:
        raise DataError(
            place,
            number,
            f"{line[:60]!r} is no text-bound annotation",
            "write T1<tab>Type start end<tab>mention, fragments as start end;start end",
        )
    fragments = []
    try:
        for fragment in span[2].split(";"):
            start, end = fragment.split(" ")
            fragments.append((int(start), int(end)))
        return Annotation(number, Entity(tuple(fragments), span[1]), columns[2])
    except ValueError as error:  # also of more digits than Python takes
        raise DataError(place, number, str(error), "correct the offsets") from None
