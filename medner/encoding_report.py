"""What tokens, windows and flat tags lose of the gold: the second half of a run's data report."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from medner.documents import Document
from medner.id_files import count
from medner.predictions import Prediction
from medner.reach import BEYOND, DISCONTINUOUS, INSIDE_TOKEN, OVERLAPPING, lost_entities
from medner.scoring.matching import score
from medner.tables import aligned
from medner.windows import TokenizedDocument, Window

_LOST_TO = {
    BEYOND: "lost to the window",
    INSIDE_TOKEN: "lost to the tokenizer",
    OVERLAPPING: "lost to flat tags: overlapping",
    DISCONTINUOUS: "lost to flat tags: discontinuous",
}
_SHOWN = 3  # examples of each kind


def describe_encoding(
    rule: str,
    parts: Mapping[str, Sequence[Document]],
    windows: Mapping[str, Sequence[Window]],
    whole: Mapping[str, int],
    reachable: Sequence[Prediction],
) -> dict[str, Any]:
    """Tokens and windows by part, and which of the gold's entities are lost where.

    Args:
        rule: how overlapping entities are flattened.
        parts: the documents.
        windows: theirs.
        whole: how many tokens they have, those included that are cut off.
        reachable: their gold, encoded and decoded again.
    """
    documents = list(chain.from_iterable(parts.values()))
    scores = score(documents, reachable)
    tokens = {
        part: sum(window.own_end - window.own_start for window in of_part)
        for part, of_part in windows.items()
    }
    read_to = _read_to(chain.from_iterable(windows.values()))
    return {
        "flatten": rule,
        "documents": len(documents),
        "entities": {
            part: sum(len(d.entities) for d in of_part) for part, of_part in parts.items()
        },
        "tokens": tokens,
        "tokens_cut": {part: whole[part] - tokens[part] for part in parts},
        "windows": {part: len(of_part) for part, of_part in windows.items()},
        "read_to_the_end": sum(read_to[d.id] >= _end(d.text) for d in documents),
        "across_windows": sum(map(_across, windows.values())),
        "reachable": scores.overall.to_dict(),
        "lost": scores.overall.gold - scores.overall.correct,
        "lost_by_type": {
            type_: counts.gold - counts.correct
            for type_, counts in scores.by_type.items()
            if counts.gold > counts.correct
        },
        "lost_entities": [
            {"part": part} | loss
            for part, of_part in parts.items()
            for loss in lost_entities(of_part, reachable, rule, read_to)
        ],
    }


def _read_to(windows: Iterable[Window]) -> dict[str, int]:
    """For each document the end of the last token that is a window's own."""
    read_to: dict[str, int] = {}
    for window in windows:
        own = window.tokens.ends[window.own_start : window.own_end]
        id = window.tokens.document.id
        read_to[id] = max(read_to.get(id, 0), int(own[-1]) if len(own) else 0)
    return read_to


def _end(text: str) -> int:
    """Behind the last letter or digit."""
    return next((at for at in range(len(text), 0, -1) if text[at - 1].isalnum()), 0)


def _across(windows: Sequence[Window]) -> int:
    """How many entities lie on both sides of a seam between two windows, one counted at each."""
    seams: dict[TokenizedDocument, list[int]] = {}
    for window in windows:
        if window.own_start:
            at = int(window.tokens.starts[window.own_start])
            seams.setdefault(window.tokens, []).append(at)
    across = 0
    for tokens, places in seams.items():
        starts = sorted(entity.start for entity in tokens.document.entities)
        ends = sorted(entity.end for entity in tokens.document.entities)
        across += sum(bisect_left(starts, at) - bisect_right(ends, at) for at in places)
    return across


def encoding_lines(report: Mapping[str, Any]) -> list[str]:
    """What the encoding loses, for the log of a run."""
    encoding = report["encoding"]
    return [
        f"tokens: {sum(encoding['tokens'].values())} in {sum(encoding['windows'].values())} "
        f"windows; with flat tags they reach {encoding['reachable']['recall']:.3f} of the gold",
        *_cut_lines(encoding),
    ]


def _cut_lines(encoding: Mapping[str, Any]) -> list[str]:
    """What truncation costs, if there is any."""
    cut = sum(encoding["tokens_cut"].values())
    if not cut:
        return []
    tokens, entities = (sum(encoding[name].values()) for name in ("tokens", "entities"))
    lost = sum(loss["why"] == BEYOND for loss in encoding["lost_entities"])
    return [
        f"truncated (window.truncate): {cut / (tokens + cut):.1%} of the tokens and "
        f"{lost / max(1, entities):.1%} of the entities ({lost} of {entities}) are cut off, and "
        "nothing is found there"
    ]


def encoding_details(report: Mapping[str, Any], documents: Iterable[Document]) -> str:
    """Tokens and windows by part, what is lost where, and examples of it."""
    encoding = report["encoding"]
    rows = [("", "tokens", "windows")]
    for part, tokens in encoding["tokens"].items():
        rows.append((part, str(tokens), str(encoding["windows"][part])))
    to_the_end = (
        f"{encoding['read_to_the_end']} of {count(encoding['documents'], 'document')} are read to "
        "the end"
    )
    if across := encoding["across_windows"]:
        to_the_end += f", and {across} entities across two windows are decoded in one piece"
    lines = [
        aligned(rows),
        to_the_end,
        *_cut_lines(encoding),
        "",
        _losses(report),
        f"(data.flatten={encoding['flatten']}; a run lists what is lost in its data_report.json)",
    ]
    return "\n".join(lines + _examples(encoding["lost_entities"], documents))


def _losses(report: Mapping[str, Any]) -> str:
    """Where entities are lost between the corpus's files and what can be predicted, by part."""
    encoding = report["encoding"]
    lost = Counter((loss["part"], loss["why"]) for loss in encoding["lost_entities"])
    columns = [
        [entities, *(lost[part, why] for why in _LOST_TO)]
        for part, entities in encoding["entities"].items()
    ]
    columns.insert(0, [sum(row) for row in zip(*columns, strict=True)])
    heads, recalls = ["read", *_LOST_TO.values()], []
    for column in columns:
        column.append(column[0] - sum(column[1:]))
        recalls.append(f"{column[-1] / max(1, column[0]):.4f}")
    body = zip(*columns, strict=True)
    return aligned(
        [
            ("entities", "all", *encoding["entities"]),
            *_conversion_rows(report),
            *(
                (head, *map(str, row))
                for head, row in zip([*heads, "within reach"], body, strict=True)
            ),
            ("best recall", *recalls),
        ]
    )


def _conversion_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What the files hold, and what the hub's conversion left there."""
    read, lost = report["encoding"]["entities"], report["lost_to_conversion"]
    files, conversion = "in the files", "lost to the conversion"
    documents = report["training_part"]["documents"]
    if documents["trained"] > documents["as_split"]:
        files += ", copies counted"
    if report["skipped"]:
        files += f", {count(len(report['skipped']), 'document')} aside"
    held = [number + lost.get(part, 0) for part, number in read.items()]
    rows = [(files, *map(str, (sum(held), *held)))]
    if not lost:
        return [*rows, (f"{conversion}: not known", *[""] * (1 + len(read)))]
    return [*rows, (conversion, *map(str, (sum(lost.values()), *(lost[part] for part in read))))]


def _examples(losses: Sequence[Mapping[str, Any]], documents: Iterable[Document]) -> list[str]:
    texts = {document.id: document.text for document in documents}
    lines = []
    for why, lost in Counter(loss["why"] for loss in losses).most_common():
        lines.append(f"  {lost} {why}, such as")
        for loss in [loss for loss in losses if loss["why"] == why][:_SHOWN]:
            spans, text = loss["fragments"], texts[loss["document"]]
            mention = " ... ".join(text[start:end] for start, end in spans).replace("\n", " ")
            place = ";".join(f"{start}-{end}" for start, end in spans)
            lines.append(f"    {loss['document']} {place} {loss['type']}: {mention}")
    return lines
