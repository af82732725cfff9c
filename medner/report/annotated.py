"""Pages that show texts with what was found in them; they need no network."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medner.files import GrowingFile, written_whole
from medner.input_rows import InputText
from medner.predictions import Prediction, Span
from medner.report.templates import environment

_DOCUMENTS = 64  # on a page
_NEXT = re.compile(r'<a href="[^"]*" rel="next">next</a>')
_LINKS = re.compile(r"<nav.*?</nav>\n", re.DOTALL)


class Pages:
    """Pages of a few documents each, with the entities marked; ``index.html`` leads to them, or is
    the only one.

    Args:
        part: has a line for each page that is written; its folder gets them.
        types: all that spans can have, for each to have its colour on every page.
    """

    def __init__(self, part: GrowingFile, types: Sequence[str]) -> None:
        self._part, self._types = part, types
        self._number = len(_written(part.path))
        self._kept: list[tuple[InputText, Prediction]] = []

    @staticmethod
    def check(types: Sequence[str]) -> None:
        """Nothing is wrong with any type."""

    def add(self, text: InputText, prediction: Prediction) -> str | None:
        """Nothing is wrong with any document."""
        self._kept.append((text, prediction))
        if len(self._kept) == _DOCUMENTS:
            self.pool_ends()
        return None

    def pool_ends(self) -> None:
        if not self._kept:
            return
        self._number += 1
        path = self._part.path.with_name(_name(self._number))
        counts = Counter(span.type for _, prediction in self._kept for span in prediction.spans)
        context = {
            "documents": [(text.id, pieces(text.text, found.spans)) for text, found in self._kept],
            "types": self._types,
            "counts": counts,
            "previous": _name(self._number - 1) if self._number > 1 else None,
            "following": _name(self._number + 1),
        }
        _render(path, "annotated.html", context)
        record = {
            "name": path.name,
            "first": self._kept[0][0].id,
            "last": self._kept[-1][0].id,
            "documents": len(self._kept),
            "entities": counts.total(),
        }
        self._part.write(json.dumps(record) + "\n")
        self._kept = []

    @staticmethod
    def finish(part: Path) -> None:
        """Write index.html; no page leads on from the last one."""
        written = _written(part)
        index = part.with_name("index.html")
        if written and (last := part.with_name(written[-1]["name"])).exists():
            unneeded = _LINKS if len(written) == 1 else _NEXT
            page = unneeded.sub("", last.read_bytes().decode(), count=1)
            with written_whole(last) as file:
                file.write(page)
            if len(written) == 1:
                last.replace(index)
        if len(written) != 1:
            _render(index, "annotated_contents.html", {"pages": written})
        part.unlink()


def pieces(text: str, spans: Sequence[Span]) -> list[tuple[str, Span | None]]:
    """The text in stretches, each with the span that it belongs to; of spans that overlap, the
    first."""
    found: list[tuple[str, Span | None]] = []
    at = 0
    for span in spans:
        if span.start < at:
            continue
        for start, end in span.fragments:
            found += [(text[at:start], None), (text[start:end], span)]
            at = end
    found.append((text[at:], None))
    return [(stretch, span) for stretch, span in found if stretch]


def _name(page: int) -> str:
    return f"page_{page:05d}.html"


def _written(part: Path) -> list[dict[str, Any]]:
    """What there is to know of each page."""
    with part.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _render(path: Path, template: str, context: Mapping[str, Any]) -> None:
    with written_whole(path) as file:
        file.write(environment().get_template(template).render(context))
