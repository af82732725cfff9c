"""Corpora: from files in a release's format to checked documents."""

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medner.corpora import bigbio, brat, conll, jsonl, pubtator, rows, token_rows
from medner.corpora.checks import check
from medner.corpora.conversion import convert
from medner.corpora.errata import ERRATA
from medner.corpora.files import find_files, matches
from medner.corpora.raw import Problems, RawDocument
from medner.documents import Document, collapse_types, entity_types
from medner.errors import ConfigError, DataError

# a reader: the files and where problems go -> list of RawDocument; and the files it takes
FORMATS = {
    "bigbio": (bigbio.read_bigbio, rows.PATTERNS),
    "brat": (brat.read_brat, brat.PATTERNS),
    "conll": (conll.read_conll, conll.PATTERNS),
    "jsonl": (jsonl.read_jsonl, jsonl.PATTERNS),
    "pubtator": (pubtator.read_pubtator, pubtator.PATTERNS),
    "tokens": (token_rows.read_token_rows, rows.PATTERNS),
}
ON_ERROR = ("raise", "skip")


@dataclass(frozen=True)
class CorpusSource:
    """Where a corpus is and how to read it.

    ``path`` is a folder, a file or a zip. ``parts`` is the official split, from a part's name to
    a glob pattern on base names (whatever their case); empty where there is none. ``errata`` names
    one of ``ERRATA``. ``types`` replaces types of the corpus by those to be used. ``homepage`` is
    where the release is to be had. ``on_error``: a document in error is an error of the corpus
    (``raise``), or is left out whole and listed (``skip``).
    """

    name: str
    format: str
    path: str | None = None
    parts: dict[str, str] = field(default_factory=dict)
    errata: str | None = None
    types: dict[str, str] = field(default_factory=dict)
    homepage: str | None = None
    on_error: str = "raise"


@dataclass(frozen=True)
class Corpus:
    """Documents in order of file names, then as they stand in a file.

    ``path`` is where they were read; corpora that differ in it alone are equal. ``parts`` maps each
    part of the official split that is there to its document ids, in order. ``errata`` says what was
    mended on the way; ``passed_over`` counts what was not read: lines that are no mentions, by
    kind, and other files. ``skipped`` holds the error of each document that was left out;
    ``notes`` say what else one should know of the reading.
    """

    name: str
    path: str = field(compare=False)
    documents: tuple[Document, ...]
    parts: dict[str, tuple[str, ...]]
    errata: tuple[str, ...]
    passed_over: dict[str, int]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_corpus(source: CorpusSource, *, converted: bool = False) -> Corpus:
    """Read and check a corpus; ``converted`` is for what the hub's conversion keeps of it.

    Every text holds something, every mention equals its text, but for the errata of the release,
    every document id is unique, and some document has an entity. Raises ConfigError for a wrong
    option, DataError (file and line) for wrong data; with ``on_error="skip"`` a document's errors
    are kept instead, but not those of a file of several documents that cannot be read at all.
    """
    path = _path(source)
    for option, value, known in (
        ("format", source.format, FORMATS),
        ("errata", source.errata, [None, *ERRATA]),
        ("on_error", source.on_error, ON_ERROR),
    ):
        if value not in known:
            there = ", ".join(sorted(filter(None, known)))
            raise ConfigError(
                f"corpus {source.name}: {option}={value} is unknown; there is {there}"
            )
    read, patterns = FORMATS[source.format]
    if source.parts and source.format != "brat":
        # the releases ship other formats beside, some of them as .txt; brat's parts name one file
        # of each pair
        patterns = tuple(source.parts.values())
    files, others = find_files(path, patterns)
    problems = Problems(skip=source.on_error == "skip")
    raw_documents = read(files, problems)
    if not raw_documents and not problems.messages:
        raise DataError(path, None, "holds no document", "check path and format")
    if converted:
        raw_documents = map(convert, raw_documents)
    checked = check(raw_documents, ERRATA[source.errata] if source.errata else (), problems)
    documents = [document for _, document in checked.documents.values()]
    _check_whole(path, documents, problems.messages)
    passed_over = Counter({"files": len(others)})
    for raw, _ in checked.documents.values():
        passed_over.update(raw.passed_over)
    return Corpus(
        name=source.name,
        path=path,
        documents=tuple(collapse_types(documents, source.types)),
        parts=_parts(source, checked.documents.values()),
        errata=tuple(str(erratum) for erratum in checked.errata),
        passed_over={kind: count for kind, count in sorted(passed_over.items()) if count},
        skipped=tuple(problems.messages),
        notes=tuple(_notes(source, checked.documents.values())),
    )


def _notes(
    source: CorpusSource, documents: Iterable[tuple[RawDocument, Document]]
) -> Iterator[str]:
    documents = list(documents)
    for note, number in Counter(raw.note for raw, _ in documents if raw.note).items():
        yield f"{number} of {len(documents)} documents: {note}"
    types = entity_types(document for _, document in documents)
    for missing in [type_ for type_ in source.types if type_ not in types]:
        close = difflib.get_close_matches(missing, types, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        yield f"types: {missing} does not occur in the corpus{hint}"


def _path(source: CorpusSource) -> str:
    if source.path is None:
        raise ConfigError(
            f"corpus {source.name}: path is not set; give the folder, file or zip that holds it"
        )
    if not Path(source.path).expanduser().exists():
        release = f"get the release from {source.homepage} and put it there, or "
        remedy = f"{release if source.homepage else ''}give the folder, file or zip that holds it"
        raise DataError(source.path, None, f"corpus {source.name} is not there", remedy)
    return source.path


def _check_whole(path: str, documents: list[Document], skipped: list[str]) -> None:
    """What only the whole corpus tells."""
    if not documents:
        raise DataError(
            path,
            None,
            f"every document is in error ({len(skipped)}), the first: {skipped[0]}",
            "check path and format, or correct the documents",
        )
    if not any(document.entities for document in documents):
        more = f" (and {len(skipped)} are in error, the first: {skipped[0]})" if skipped else ""
        raise DataError(
            path,
            None,
            f"no document has an entity{more}",
            "give the release that holds the annotations, and check format",
        )


def _parts(
    source: CorpusSource, documents: Iterable[tuple[RawDocument, Document]]
) -> dict[str, tuple[str, ...]]:
    """The ids of each part that has any, in the order of ``source.parts``."""
    ids: dict[str, list[str]] = {part: [] for part in source.parts}
    for raw, document in documents:
        fitting = [
            part
            for part, pattern in source.parts.items()
            if any(matches(name, pattern) for name in raw.names)
        ]
        if len(fitting) > 1:
            raise ConfigError(
                f"corpus {source.name}: {raw.names[0]} fits the parts {' and '.join(fitting)}; "
                "make their patterns exclude each other"
            )
        for part in fitting:
            ids[part].append(document.id)
    return {part: tuple(part_ids) for part, part_ids in ids.items() if part_ids}
