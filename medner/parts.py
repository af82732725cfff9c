"""The documents of a run by part: newly split, or as an earlier run had them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner.config import uses_official_split
from medner.corpora import Corpus
from medner.data_report import corpus_lines, describe_corpus, describe_split, fingerprint
from medner.documents import Document
from medner.duplicates import find_groups
from medner.errors import UserError
from medner.files import read_json
from medner.id_files import check_known, read_groups, read_ids
from medner.runs import DATA_REPORT, SPLIT
from medner.sources import open_corpus
from medner.split import Split, make_split

log = logging.getLogger(__name__)
Parts = Mapping[str, Sequence[Document]]


def read_and_split(config: DictConfig) -> tuple[Parts, Split, dict[str, Any]]:
    """The documents of each part, the split, and the data report so far."""
    corpus = open_corpus(config.data, config.corpora_dir)
    by_id = {document.id: document for document in corpus.documents}
    wanted = config.data.split
    groups = find_groups(corpus.documents)
    given_groups = read_groups(wanted.groups) if wanted.groups else []
    check_known((id for group in given_groups for id in group), by_id, wanted.groups)
    test_ids = read_ids(wanted.test_ids) if wanted.test_ids else ()
    check_known(test_ids, by_id, wanted.test_ids)
    official = uses_official_split(config)
    if official and not corpus.parts:
        patterns = ", ".join(f"{part}: {pattern}" for part, pattern in config.data.parts.items())
        raise UserError(
            f"{config.data.path}: no file is of a part of the corpus's own split ({patterns}); "
            "correct data.parts, or divide anew with data.split.official=false"
        )
    split = make_split(
        corpus.documents,
        seed=wanted.seed,
        validation=wanted.validation,
        test=wanted.test,
        folds=wanted.folds,
        fold=wanted.fold,
        test_ids=test_ids,
        official=corpus.parts if official else None,
        groups=[*groups.groups, *given_groups],
    )
    report = describe_corpus(corpus)
    report["split"] = describe_split(split, corpus.documents, groups, len(given_groups), official)
    for line in corpus_lines(report):
        log.info("%s", line)
    parts = {part: [by_id[id] for id in ids] for part, ids in split.parts.items() if ids}
    return parts, split, report


def own_parts(run: Path, source: DictConfig, corpora_dir: str) -> tuple[Corpus, Parts]:
    """The corpus that a run was trained on, and its documents by part, as the run divided them.

    Args:
        source: the run's ``data``; its path may be another one now.

    Raises:
        UserError: if these are not the documents; DataError as of ``open_corpus``.
    """
    corpus = open_corpus(source, corpora_dir)
    if fingerprint(corpus.documents) != read_json(run / DATA_REPORT)["fingerprint"]:
        raise UserError(f"{source.path}: not the documents that {run} was trained on")
    by_id = {document.id: document for document in corpus.documents}
    split = read_json(run / SPLIT)["parts"]
    return corpus, {part: [by_id[id] for id in ids] for part, ids in split.items() if ids}
