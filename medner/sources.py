"""From options to a corpus: found or fetched, read and checked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.corpora.conversion import MACCROBAT, YEARS, twice
from medner.documents import Document
from medner.releases import Release, ReleaseFile, locate_corpus


def open_corpus(options: DictConfig, corpora_dir: str | Path) -> Corpus:
    """The corpus of ``data`` or ``eval_dataset``.

    ``options.path`` is set to where it was found, for the run to remember. Raises what
    :func:`locate_corpus` and :func:`read_corpus` raise.
    """
    values = OmegaConf.to_container(options, resolve=True)
    if values.get("rebuild_from"):
        options.path = str(Path(values["path"] or values["rebuild_from"]).expanduser())
        return _rebuilt(_source(values | {"path": options.path}))
    release = values["release"]
    if release:
        files = tuple(
            ReleaseFile(**file | {"urls": tuple(file["urls"])}) for file in release["files"]
        )
        release = Release(**release | {"files": files})
    options.path = str(locate_corpus(_source(values), release, corpora_dir))
    return read_corpus(_source(values | {"path": options.path}))


def open_annotations(options: DictConfig) -> tuple[list[Document], list[Document]] | None:
    """All documents of MACCROBAT, or of what was rebuilt from it, twice: with their full
    annotation, and with what the hub's conversion keeps. None of any other corpus.

    Args:
        options: of a corpus that is open; see :func:`open_corpus`.
    """
    values = OmegaConf.to_container(options, resolve=True)
    rebuilt = bool(values.get("rebuild_from"))
    if not rebuilt and (values["name"], values["format"]) != (MACCROBAT, "brat"):
        return None
    full, converted = (read_corpus(_source(values), converted=flag) for flag in (False, True))
    both = list(full.documents), list(converted.documents)
    return (twice(both[0]), twice(both[1])) if rebuilt else both


def _source(values: Mapping[str, Any]) -> CorpusSource:
    source = CorpusSource(**{name: values[name] for name in CorpusSource.__dataclass_fields__})
    if not values.get("rebuild_from"):
        return source
    return replace(source, format="brat", errata="maccrobat2020", homepage=None)


def _rebuilt(source: CorpusSource) -> Corpus:
    """The hub's documents, made anew from a release in brat."""
    corpus = read_corpus(source, converted=True)
    kept = sum(len(document.entities) for document in corpus.documents)
    lost = corpus.passed_over.get("entities", 0)
    note = (
        f"rebuilt from {len(corpus.documents)} reports by the rule of the hub's conversion, which "
        f"keeps {kept} of their {kept + lost} entities"
    )
    twins = (
        "every report is there twice, and the two are identical (those of 2018 and 2020 differ in "
        "their annotation): what leaks across a split of them is an upper bound"
    )
    return replace(
        corpus,
        documents=tuple(twice(corpus.documents)),
        passed_over={kind: len(YEARS) * number for kind, number in corpus.passed_over.items()},
        notes=(note, twins, *corpus.notes),
    )
