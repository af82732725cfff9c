"""What was read, how it was split, and what the encoding loses: a run's ``data_report.json``."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medner.corpora import Corpus
from medner.documents import Document, Entity
from medner.duplicates import DocumentGroups
from medner.id_files import count
from medner.labels import flatten
from medner.predictions import Prediction
from medner.scoring.matching import score
from medner.split import Split
from medner.tables import aligned

DISCONTINUOUS, OVERLAPPING, INSIDE_TOKEN = (
    "discontinuous", "overlaps another", "begins or ends inside a token",
)  # fmt: skip
_SHOWN = 3  # examples of each kind


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
    """Sizes of the parts, groups that stayed together (found, and how many were given), and what
    could not be had.

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
        },
        "notes": list(split.notes),
    }


def describe_encoding(
    rule: str,
    tokens: Mapping[str, int],
    windows: Mapping[str, int],
    documents: Sequence[Document],
    reachable: Sequence[Prediction],
) -> dict[str, Any]:
    """Tokens and windows by part, and what tokens and flat tags lose of the gold.

    Args:
        rule: how overlapping entities are flattened.
        tokens, windows: how many there are in each part.
        documents: all of them.
        reachable: their gold, encoded and decoded again.
    """
    scores = score(documents, reachable)
    return {
        "flatten": rule,
        "tokens": dict(tokens),
        "windows": dict(windows),
        "reachable": scores.overall.to_dict(),
        "lost": scores.overall.gold - scores.overall.correct,
        "lost_by_type": {
            type_: counts.gold - counts.correct
            for type_, counts in scores.by_type.items()
            if counts.gold > counts.correct
        },
        "lost_entities": lost_entities(documents, reachable, rule),
    }


def lost_entities(
    documents: Iterable[Document], reachable: Iterable[Prediction], rule: str
) -> list[dict[str, Any]]:
    """Each entity of the gold that cannot be predicted: where it is, and why."""
    found = {prediction.document: prediction for prediction in reachable}
    lost = []
    for document in documents:
        spans = Counter((s.start, s.end, s.type) for s in found[document.id].spans)
        kept = Counter(flatten(document.entities, rule))
        for entity in document.entities:
            key = (entity.start, entity.end, entity.type)
            kept_here, kept[entity] = kept[entity] > 0, kept[entity] - 1
            if not entity.discontinuous and kept_here and spans[key] > 0:
                spans[key] -= 1
                continue
            lost.append(
                {
                    "document": document.id,
                    "type": entity.type,
                    "fragments": [list(fragment) for fragment in entity.fragments],
                    "why": _why(entity, kept_here),
                }
            )
    return lost


def _why(entity: Entity, kept: bool) -> str:
    if entity.discontinuous:
        return DISCONTINUOUS
    return INSIDE_TOKEN if kept else OVERLAPPING


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
        f"{report['corpus']}: {report['documents']} documents, {report['entities']} entities of "
        f"{len(report['types'])} types"
    ]
    lines += reading_lines(report)
    split = report["split"]
    given = split["groups"]["given"]
    lines.append(f"groups: {split['groups']['summary']}" + (f" and {given} given" if given else ""))
    parts = {part: described["documents"] for part, described in split["parts"].items()}
    sizes = ", ".join(f"{count} {part}" for part, count in parts.items() if count)
    how = "the corpus's own" if split["official"] else f"seed {split['seed']}"
    lines.append(f"split: {sizes} ({how})")
    return lines + [f"  {note}" for note in split["notes"]]


def encoding_line(report: Mapping[str, Any]) -> str:
    """What the encoding loses, for the log of a run."""
    encoding = report["encoding"]
    return (
        f"tokens: {sum(encoding['tokens'].values())} in {sum(encoding['windows'].values())} "
        f"windows; with flat tags they reach {encoding['reachable']['recall']:.3f} of the gold"
    )


def corpus_details(report: Mapping[str, Any]) -> str:
    """What stands in the report before a model is known, and not in :func:`corpus_lines`."""
    passed_over = [f"{number} {kind}" for kind, number in report["passed_over"].items()]
    lines = [
        f"overlapping: {report['overlapping']} entities; discontinuous: {report['discontinuous']}",
        f"passed over: {', '.join(passed_over) or 'nothing'}",
        "",
    ]
    parts = report["split"]["parts"]
    rows = [("entities", "all", *parts)]
    for type_, number in report["types"].items():
        of_parts = [part["types"].get(type_, 0) for part in parts.values()]
        rows.append((type_, *map(str, (number, *of_parts))))
    for what, name in (("all types", "entities"), ("documents", "documents")):
        rows.append((what, *map(str, (report[name], *(part[name] for part in parts.values())))))
    return "\n".join(lines) + aligned(rows)


def encoding_details(report: Mapping[str, Any], documents: Iterable[Document]) -> str:
    """Tokens and windows by part, and what the encoding loses: why, and examples of where."""
    encoding = report["encoding"]
    rows = [("", "tokens", "windows")]
    for part, tokens in encoding["tokens"].items():
        rows.append((part, str(tokens), str(encoding["windows"][part])))
    texts = {document.id: document.text for document in documents}
    lines = [
        aligned(rows),
        "",
        f"out of reach: {encoding['lost']} of {report['entities']} entities "
        f"(data.flatten={encoding['flatten']}); the best recall is "
        f"{encoding['reachable']['recall']:.4f}; a run lists all of them in its data_report.json",
    ]
    for why, lost in Counter(loss["why"] for loss in encoding["lost_entities"]).most_common():
        lines.append(f"  {lost} {why}, such as")
        examples = [loss for loss in encoding["lost_entities"] if loss["why"] == why][:_SHOWN]
        for loss in examples:
            spans, text = loss["fragments"], texts[loss["document"]]
            mention = " ... ".join(text[start:end] for start, end in spans).replace("\n", " ")
            place = ";".join(f"{start}-{end}" for start, end in spans)
            lines.append(f"    {loss['document']} {place} {loss['type']}: {mention}")
    return "\n".join(lines)
