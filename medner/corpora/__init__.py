"""Corpora: from files in a release's format to checked documents."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from medner.corpora import brat, pubtator
from medner.corpora.errata import ERRATA, Erratum, RawDocument, RepeatedDocument, check_mentions
from medner.corpora.files import find_files, matches
from medner.documents import Document, collapse_types
from medner.errors import ConfigError, DataError

FORMATS = {
    "brat": (brat.read_brat, brat.PATTERNS),
    "pubtator": (pubtator.read_pubtator, pubtator.PATTERNS),
}


@dataclass(frozen=True)
class CorpusSource:
    """Where a corpus is and how to read it; ``conf/corpus/*.yaml`` mirrors it.

    ``path`` is a folder, a file or a zip. ``parts`` is the official split, from a part's name to
    a glob pattern on base names (whatever their case); empty where there is none. ``errata`` names
    one of ``ERRATA``. ``types`` replaces types of the corpus by those to be used. ``homepage`` is
    where the release is to be had.
    """

    name: str
    format: str
    path: str | None = None
    parts: dict[str, str] = field(default_factory=dict)
    errata: str | None = None
    types: dict[str, str] = field(default_factory=dict)
    homepage: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Documents in order of file names, then as they stand in a file.

    ``parts`` maps each part of the official split that is there to its document ids, in order.
    ``errata`` says what was mended on the way; ``passed_over`` counts what was not read: lines
    that are no mentions, by kind, and other files.
    """

    name: str
    documents: tuple[Document, ...]
    parts: dict[str, tuple[str, ...]]
    errata: tuple[str, ...]
    passed_over: dict[str, int]


def read_corpus(source: CorpusSource) -> Corpus:
    """Read and check a corpus.

    Every mention equals its text, but for the errata of the release, and every document id is
    unique. Raises ConfigError for a wrong option, DataError (file and line) for wrong data.
    """
    if source.path is None:
        raise ConfigError(
            f"corpus {source.name}: path is not set; give the folder, file or zip that holds it"
        )
    if not Path(source.path).expanduser().exists():
        release = f"get the release from {source.homepage} and put it there, or "
        remedy = f"{release if source.homepage else ''}give the folder, file or zip that holds it"
        raise DataError(source.path, None, f"corpus {source.name} is not there", remedy)
    if source.format not in FORMATS:
        raise _unknown(source, "format", source.format, FORMATS)
    if source.errata is not None and source.errata not in ERRATA:
        raise _unknown(source, "errata", source.errata, ERRATA)
    errata = ERRATA[source.errata] if source.errata else ()
    read, patterns = FORMATS[source.format]
    if source.format == "pubtator" and source.parts:
        # the releases ship other formats beside, some of them as .txt
        patterns = tuple(source.parts.values())
    files, others = find_files(source.path, patterns)
    raw_documents, passed_over = read(files)
    if not raw_documents:
        raise DataError(source.path, None, "holds no document", "check path and format")
    if others:
        passed_over["files"] = len(others)
    documents, applied = _check(raw_documents, errata)
    return Corpus(
        name=source.name,
        documents=tuple(collapse_types(documents, source.types)),
        parts=_parts(source, raw_documents, documents),
        errata=tuple(str(erratum) for erratum in applied),
        passed_over=dict(sorted(passed_over.items())),
    )


def _unknown(source: CorpusSource, option: str, value: str, known: dict) -> ConfigError:
    return ConfigError(
        f"corpus {source.name}: {option}={value} is unknown; there is {', '.join(sorted(known))}"
    )


def _check(
    raw_documents: list[RawDocument], errata: tuple[Erratum, ...]
) -> tuple[list[Document], list[Erratum]]:
    """The documents with checked mentions and unique ids, and the errata applied."""
    documents: dict[str, Document] = {}
    places: dict[str, str] = {}
    applied: list[Erratum] = []
    repeats = {e.document: e for e in errata if isinstance(e, RepeatedDocument)}
    for raw in raw_documents:
        document, wrong_mentions = check_mentions(raw, errata)
        applied += wrong_mentions
        first = documents.get(document.id)
        if first is not None:
            repeat = repeats.get(document.id)
            if repeat is None or repeat.second_id in documents or first.text != document.text:
                raise DataError(
                    raw.place,
                    raw.line,
                    f"document id {document.id} occurs again (first at {places[document.id]})",
                    "give each document an id of its own",
                )
            applied.append(repeat)
            documents[first.id] = replace(first, group=first.id)
            document = replace(document, id=repeat.second_id, group=first.id)
        documents[document.id] = document
        places[document.id] = f"{raw.place}:{raw.line}" if raw.line else raw.place
    return list(documents.values()), applied


def _parts(
    source: CorpusSource, raw_documents: list[RawDocument], documents: list[Document]
) -> dict[str, tuple[str, ...]]:
    """The ids of each part that has any, in the order of ``source.parts``."""
    ids: dict[str, list[str]] = {part: [] for part in source.parts}
    for raw, document in zip(raw_documents, documents, strict=True):
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
