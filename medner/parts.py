"""The documents of a run by part: newly split, or as an earlier run had them."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medner.corpora import Corpus
from medner.data_report import (
    corpus_lines,
    describe_corpus,
    describe_shared,
    describe_split,
    fingerprint,
    mention_lines,
)  # fmt: skip
from medner.documents import Parts
from medner.duplicates import find_groups
from medner.errors import UserError
from medner.factors import (
    as_trained,
    describe_training,
    groups_of_copies,
    lost_to_conversion,
    training_lines,
)  # fmt: skip
from medner.files import read_json
from medner.id_files import check_known, read_groups, read_ids
from medner.leaks import WORTHLESS, Leak, find_leaks, leak_line, leaks_of
from medner.runs import DATA_REPORT, SPLIT
from medner.sources import open_corpus
from medner.split import Split, make_split
from medner.split_options import TEST

log = logging.getLogger(__name__)


def read_and_split(config: DictConfig) -> tuple[Parts, Split, dict[str, Any]]:
    """The documents of each part as they are trained on and scored, the split, and the data report
    so far; all of it is logged.

    Raises:
        UserError: if the split leaks (see :func:`judge`) or cannot be had; as of ``open_corpus``
            and ``as_trained``.
    """
    corpus = open_corpus(config.data, config.corpora_dir)
    by_id = {document.id: document for document in corpus.documents}
    found = find_groups(corpus.documents)
    file = config.data.split.groups
    given = read_groups(file) if file else []
    check_known((id for group in given for id in group), by_id, file)
    groups = [*found.groups, *given]
    official = uses_official_split(config)
    split = divide(corpus, groups, config.data, official)
    as_split = {part: [by_id[id] for id in ids] for part, ids in split.parts.items() if ids}
    parts = as_trained(as_split, config.data)
    ids = {part: [document.id for document in documents] for part, documents in parts.items()}
    leaks = find_leaks(ids, [*groups, *groups_of_copies(parts)])
    report = describe_corpus(corpus)
    report["split"] = describe_split(split, corpus.documents, found, len(given), official)
    report["split"] |= describe_shared(parts, leaks)
    report["training_part"] = describe_training(as_split, parts, config.data)
    report["lost_to_conversion"] = lost_to_conversion(as_split, parts, config.data)
    for line in (*corpus_lines(report), *training_lines(report["training_part"])):
        log.info("%s", line)
    judge(leaks, config, official)
    for line in mention_lines(report):
        log.info("%s", line)
    return parts, split, report


def uses_official_split(config: DictConfig) -> bool:
    """Whether to take the corpus's own parts: if it has some, and nothing else is asked for."""
    split = config.data.split
    if split.official is not None:
        return split.official
    return bool(config.data.parts) and not (split.test or split.folds or split.test_ids)


def divide(
    corpus: Corpus, groups: Iterable[Sequence[str]], data: DictConfig, official: bool
) -> Split:
    """The split that ``data.split`` asks for.

    Args:
        groups: ids that belong together.
        official: take the corpus's own.
    """
    wanted = data.split
    test_ids = read_ids(wanted.test_ids) if wanted.test_ids else ()
    check_known(test_ids, {document.id for document in corpus.documents}, wanted.test_ids)
    if official and not corpus.parts:
        patterns = ", ".join(f"{part}: {pattern}" for part, pattern in data.parts.items())
        raise UserError(
            f"{data.path}: no file is of a part of the corpus's own split ({patterns}); "
            "correct data.parts, or divide anew with data.split.official=false"
        )
    asked_for = 0 if official or wanted.folds or test_ids else wanted.test
    return make_split(
        corpus.documents,
        seed=wanted.seed,
        validation=wanted.validation,
        test=TEST if asked_for is None else asked_for,
        folds=wanted.folds,
        fold=wanted.fold,
        test_ids=test_ids,
        official=corpus.parts if official else None,
        groups=groups if wanted.grouped else (),
    )


def judge(leaks: Sequence[Leak], config: DictConfig, official: bool) -> None:
    """Say whether a split leaks, and refuse it if so, unless it may.

    Args:
        official: the split is the corpus's own.

    Raises:
        UserError: if it leaks, but for ``known_twins``, ``allow_leak`` and a dry run.
    """
    wanted = config.data.split
    if not any(leak.twins for leak in leaks):
        log.info("%s", leak_line(leaks))
        return
    if wanted.allow_leak or _known(leaks, wanted):
        warn_of_leaks(leaks, wanted)
        return
    remedies = [] if wanted.grouped else ["keep twins together (data.split.grouped=true)"]
    if official:
        remedies.append("divide anew (data.split.official=false)")
    elif wanted.test_ids:
        remedies.append(f"put the twins of what is in {wanted.test_ids} there, too, or neither")
    remedy = f"{', '.join(remedies)}, or let it leak (data.split.allow_leak=true)"
    if not config.dry_run:
        raise UserError(f"the split leaks: {leak_line(leaks)}; {remedy}")
    log.warning("THE SPLIT LEAKS, and would be refused: %s; to train, %s", leak_line(leaks), remedy)


def warn_of_leaks(leaks: Sequence[Leak], split: DictConfig) -> None:
    """Of a split (``data.split``) that may leak, and does."""
    if not any(leak.twins for leak in leaks):
        return
    if _known(leaks, split):
        log.warning("the split leaks, as is known of this corpus: %s", leak_line(leaks))
        return
    log.warning("THE SPLIT LEAKS (data.split.allow_leak=true): %s; %s", leak_line(leaks), WORTHLESS)


def _known(leaks: Sequence[Leak], split: DictConfig) -> bool:
    pairs = {frozenset(pair) for leak in leaks for pair in leak.twins.items()}
    return pairs <= set(map(frozenset, split.known_twins))


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


def own_leaks(run: Path) -> tuple[Leak, ...]:
    """Those of a run's split; none where it does not tell."""
    path = run / DATA_REPORT
    return (leaks_of(read_json(path)) or ()) if path.is_file() else ()
