"""The types that a model predicts against the gold of another corpus, before any label map."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medner.documents import Document, Entity
from medner.predictions import Prediction, Span
from medner.scoring.matching import score
from medner.tables import aligned

_ROWS = 12  # predicted types with a line of their own
_COLUMNS = 4  # gold types with a column of their own


@dataclass(frozen=True, slots=True)
class TypeRow:
    """The spans of one predicted type, each counted once.

    ``exact``: those with the very fragments of a gold entity, by its type; ``overlapping``: those
    that only share characters with one; ``elsewhere``: those that share none.
    """

    exact: Mapping[str, int]
    overlapping: Mapping[str, int]
    elsewhere: int

    @property
    def touching(self) -> int:
        return sum(self.exact.values()) + sum(self.overlapping.values())

    @property
    def spans(self) -> int:
        return self.touching + self.elsewhere

    def __add__(self, other: "TypeRow") -> "TypeRow":
        return TypeRow(
            Counter(self.exact) + Counter(other.exact),
            Counter(self.overlapping) + Counter(other.overlapping),
            self.elsewhere + other.elsewhere,
        )


@dataclass(frozen=True, slots=True)
class TypeMatrix:
    """``rows`` by predicted type, those that touch gold most often first; ``gold``: its entities by
    type, and ``untouched``: those of them that no span overlaps."""

    rows: Mapping[str, TypeRow]
    gold: Mapping[str, int]
    untouched: Mapping[str, int]

    def to_dict(self) -> dict:
        """For JSON: counts by predicted type, then by gold type."""
        return {
            "predicted": {
                name: {
                    "spans": row.spans,
                    "exact": dict(row.exact),
                    "overlapping": dict(row.overlapping),
                    "elsewhere": row.elsewhere,
                }
                for name, row in self.rows.items()
            },
            "gold": dict(self.gold),
            "untouched": dict(self.untouched),
        }

    def lines(self) -> list[str]:
        """As aligned text, with a column for each of the most frequent gold types."""
        by_number = sorted(self.gold, key=lambda name: (-self.gold[name], name))
        shown, others = by_number[:_COLUMNS], by_number[_COLUMNS:]
        columns = [*shown, f"{len(others)} others"] if others else shown
        head = ("predicted", "spans", *(f"={name}" for name in columns))
        table = [(*head, *(f"~{name}" for name in columns), "no gold")]
        names = list(self.rows)
        rows = [(name, self.rows[name]) for name in names[:_ROWS]]
        if rest := names[_ROWS:]:
            total = sum((self.rows[name] for name in rest), TypeRow({}, {}, 0))
            rows.append((f"{len(rest)} others", total))
        for name, row in rows:
            cells = [
                sum(part.get(each, 0) for each in group)
                for part in (row.exact, row.overlapping)
                for group in [*([each] for each in shown), *([others] if others else [])]
            ]
            table.append((name, *map(str, (row.spans, *cells, row.elsewhere))))
        missed = ", ".join(
            f"{name} {self.untouched.get(name, 0)} of {self.gold[name]}" for name in by_number
        )
        return [
            "spans by predicted type: = with the characters of a gold entity, ~ that only overlap",
            *aligned(table).splitlines(),
            f"gold that no span overlaps: {missed or 'none, for there is no gold'}",
        ]


def type_against_gold(
    documents: Iterable[Document], predictions: Iterable[Prediction]
) -> TypeMatrix:
    """Which gold each predicted type finds, whatever the two are called.

    Where gold of several types has a span's very fragments, it counts under its own name, else
    under the first; a span that only overlaps counts under the entity with which it shares the most
    characters, the first in the text of several. Raises UserError where documents and predictions
    do not fit each other.
    """
    documents, predictions = list(documents), list(predictions)
    gold = {name: c.gold for name, c in score(documents, predictions).by_type.items() if c.gold}
    spans = {prediction.document: prediction.spans for prediction in predictions}
    exact: defaultdict[str, Counter[str]] = defaultdict(Counter)
    overlapping: defaultdict[str, Counter[str]] = defaultdict(Counter)
    elsewhere: Counter[str] = Counter()
    untouched: Counter[str] = Counter()
    for document in documents:
        touched: set[int] = set()
        for span, shared in _overlaps(document.entities, spans[document.id]):
            touched.update(shared)
            found = [document.entities[at] for at in shared]
            if same := [entity.type for entity in found if entity.fragments == span.fragments]:
                exact[span.type][span.type if span.type in same else same[0]] += 1
            elif found:
                most = max(shared, key=lambda at: shared[at])  # the first of several
                overlapping[span.type][document.entities[most].type] += 1
            else:
                elsewhere[span.type] += 1
        untouched.update(e.type for at, e in enumerate(document.entities) if at not in touched)
    rows = {
        name: TypeRow(dict(exact[name]), dict(overlapping[name]), elsewhere[name])
        for name in {*exact, *overlapping, *elsewhere}
    }
    order = sorted(rows, key=lambda name: (-rows[name].touching, -rows[name].spans, name))
    return TypeMatrix({name: rows[name] for name in order}, gold, dict(untouched))


def _overlaps(
    entities: tuple[Entity, ...], spans: tuple[Span, ...]
) -> Iterable[tuple[Span, dict[int, int]]]:
    """Each span, with the indices of the entities it overlaps and the characters they share."""
    starts = [entity.start for entity in entities]
    longest = max((entity.end - entity.start for entity in entities), default=0)
    for span in spans:
        first = bisect_left(starts, span.start - longest)
        shared = {}
        for at in range(first, bisect_left(starts, span.end)):
            common = sum(
                max(0, min(end, other_end) - max(start, other_start))
                for start, end in span.fragments
                for other_start, other_end in entities[at].fragments
            )
            if common:
                shared[at] = common
        yield span, shared
