"""What was read and how it was split: the first half of a run's ``data_report.json``."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medner.corpora import Corpus
from medner.documents import Document, Parts
from medner.duplicates import DocumentGroups
from medner.id_files import count, some
from medner.leaks import Leak
from medner.scoring.mentions import OTHER_TYPE, SEEN, UNSEEN, TrainingMentions
from medner.split import Split
from medner.tables import aligned

_SHOWN = 5  # groups


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
        "skipped": list(corpus.skipped),
        "notes": list(corpus.notes),
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
    split: Split,
    documents: Sequence[Document],
    groups: DocumentGroups,
    given_groups: int = 0,
    official: bool = False,
) -> dict[str, Any]:
    """Sizes of the parts, groups (those found, and how many were given), and what could not be had.

    Args:
        official: the split is the corpus's own.
    """
    by_id = {document.id: document for document in documents}
    parts = {}
    for part, ids in split.parts.items():
        types = Counter(entity.type for id in ids for entity in by_id[id].entities)
        parts[part] = {
            "documents": len(ids),
            "entities": types.total(),
            "types": dict(types.most_common()),
        }
    return {
        "seed": split.seed,
        "official": official,
        "parts": parts,
        "groups": {
            "summary": groups.summary(),
            "count": len(groups.groups),
            "given": given_groups,
            "pairs": dict(groups.pairs),
            "largest": list(groups.largest),
            "members": [list(group) for group in groups.groups],
        },
        "notes": list(split.notes),
    }


def describe_shared(parts: Parts, leaks: Sequence[Leak]) -> dict[str, Any]:
    """What is scored shares with what is trained on: documents, and mentions.

    Args:
        parts: as they are trained on.
        leaks: theirs, of :func:`medner.leaks.find_leaks`.
    """
    known = TrainingMentions(parts["train"], None)
    mentions = {}
    for part in ("validation", "test"):
        novelty = Counter(
            known.novelty(document.mention(entity), entity.type)
            for document in parts.get(part, ())
            for entity in document.entities
        )
        if novelty:
            mentions[part] = {"entities": novelty.total()} | {
                kind: novelty[kind] for kind in (SEEN, OTHER_TYPE, UNSEEN)
            }
    return {"leaks": [leak.to_dict() for leak in leaks], "mentions": mentions}


def reading_lines(report: Mapping[str, Any]) -> list[str]:
    """What should be known of how a corpus was read: mended, noted, left out."""
    lines = [f"  {line}" for line in (*report["errata"], *report["notes"])]
    if report["skipped"]:
        skipped = count(len(report["skipped"]), "document")
        lines.append(f"  skipped (on_error=skip): {skipped}, for what is wrong with them:")
        lines += [f"    {problem}" for problem in report["skipped"]]
    return lines


def corpus_lines(report: Mapping[str, Any]) -> list[str]:
    """What was read and how it was split, for the log of a run."""
    lines = [
        f"{report['corpus']}: {count(report['documents'], 'document')}, {report['entities']} "
        f"entities of {count(len(report['types']), 'type')}"
    ]
    lines += reading_lines(report)
    split = report["split"]
    given = split["groups"]["given"]
    lines.append(f"groups: {split['groups']['summary']}" + (f" and {given} given" if given else ""))
    parts = {part: described["documents"] for part, described in split["parts"].items()}
    sizes = ", ".join(f"{number} {part}" for part, number in parts.items() if number)
    how = "the corpus's own" if split["official"] else f"seed {split['seed']}"
    lines.append(f"split: {sizes} ({how})")
    return lines + [f"  {note}" for note in split["notes"]]


def mention_lines(report: Mapping[str, Any]) -> list[str]:
    """How much of what is scored can be known by heart."""
    return [
        f"mentions: {novelty[SEEN]} of {novelty['entities']} {part} entities "
        f"({novelty[SEEN] / novelty['entities']:.1%}) occur in train with their type, "
        f"{novelty[OTHER_TYPE]} with another only"
        for part, novelty in report["split"]["mentions"].items()
    ]


def corpus_details(report: Mapping[str, Any], split: Split) -> str:
    """What stands in the report before a model is known, and not in :func:`corpus_lines`."""
    passed_over = [f"{number} {kind}" for kind, number in report["passed_over"].items()]
    lines = [
        f"overlapping: {report['overlapping']} entities; discontinuous: {report['discontinuous']}",
        f"passed over: {', '.join(passed_over) or 'nothing'}",
        *_group_lines(report["split"]["groups"]["members"], split),
    ]
    parts = {part: found for part, found in report["split"]["parts"].items() if found["documents"]}
    rows = [("entities", "all", *parts)]
    for type_, number in report["types"].items():
        of_parts = [part["types"].get(type_, 0) for part in parts.values()]
        rows.append((type_, *map(str, (number, *of_parts))))
    for what, name in (("all types", "entities"), ("documents", "documents")):
        rows.append((what, *map(str, (report[name], *(part[name] for part in parts.values())))))
    return "\n".join([*lines, "", aligned(rows)])


def _group_lines(groups: Sequence[Sequence[str]], split: Split) -> list[str]:
    """Some groups, and where each of their documents is."""
    if not groups:
        return []
    part_of = {id: part for part, ids in split.parts.items() for id in ids}
    lines = ["  " + some([f"{id} ({part_of[id]})" for id in group]) for group in groups[:_SHOWN]]
    more = len(groups) - len(lines)
    return [
        "documents that belong together:",
        *lines,
        *([f"  and {more} groups more"] * bool(more)),
    ]
