"""What was read, how it was split, and what the encoding loses: a run's ``data_report.json``."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medner.corpora import Corpus
from medner.documents import Document
from medner.duplicates import DocumentGroups
from medner.scoring.matching import Scores
from medner.split import Split


def fingerprint(documents: Iterable[Document]) -> str:
    """A digest of ids, texts and entities, in whatever order the documents come."""
    digest = hashlib.sha256()
    for document in sorted(documents, key=lambda document: document.id):
        entities = [(entity.fragments, entity.type) for entity in document.entities]
        digest.update(repr((document.id, document.text, entities)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def describe_corpus(corpus: Corpus) -> dict[str, Any]:
    """Counts of what was read."""
    documents = corpus.documents
    entities = [entity for document in documents for entity in document.entities]
    return {
        "corpus": corpus.name,
        "fingerprint": fingerprint(documents),
        "documents": len(documents),
        "entities": len(entities),
        "types": dict(Counter(entity.type for entity in entities).most_common()),
        "discontinuous": sum(entity.discontinuous for entity in entities),
        "overlapping": sum(map(overlapping, documents)),
        "errata": list(corpus.errata),
        "passed_over": corpus.passed_over,
    }


def overlapping(document: Document) -> int:
    """How many entities share a character with another one."""
    fragments = sorted(
        (start, end, index)
        for index, entity in enumerate(document.entities)
        for start, end in entity.fragments
    )
    touched: set[int] = set()
    reach, owner = 0, -1
    for start, end, index in fragments:
        if start < reach:
            touched |= {index, owner}
        if end > reach:
            reach, owner = end, index
    return len(touched)


def describe_split(
    split: Split, documents: Sequence[Document], groups: DocumentGroups
) -> dict[str, Any]:
    """Sizes of the parts, groups that stayed together, and what could not be had."""
    by_id = {document.id: document for document in documents}
    return {
        "parts": {
            part: {
                "documents": len(ids),
                "entities": sum(len(by_id[id].entities) for id in ids),
            }
            for part, ids in split.parts.items()
        },
        "groups": {
            "count": len(groups.groups),
            "pairs": dict(groups.pairs),
            "largest": list(groups.largest),
        },
        "notes": list(split.notes),
    }


def describe_encoding(
    rule: str, tokens: Mapping[str, int], windows: Mapping[str, int], reachable: Scores
) -> dict[str, Any]:
    """Tokens and windows by part, and the best recall that tokens and flat tags allow.

    Args:
        rule: how overlapping entities were flattened.
        tokens, windows: how many there are in each part.
        reachable: score of the gold, encoded and decoded again.
    """
    overall = reachable.overall
    return {
        "flatten": rule,
        "tokens": dict(tokens),
        "windows": dict(windows),
        "reachable": overall.to_dict(),
        "lost": overall.gold - overall.correct,
        "lost_by_type": {
            type_: counts.gold - counts.correct
            for type_, counts in reachable.by_type.items()
            if counts.gold > counts.correct
        },
    }
