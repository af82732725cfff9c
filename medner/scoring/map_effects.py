"""Label maps explained: what each type adds to the score, and how the maps compare."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from medner.documents import Document
from medner.errors import ConfigError
from medner.predictions import Prediction
from medner.scoring.label_map import LabelMap
from medner.scoring.map_counts import MapCounts, remapped, without_join
from medner.scoring.matching import Counts
from medner.tables import aligned

_ROWS = 5  # left-out types with a line of their own


@dataclass(frozen=True, slots=True)
class MappedType:
    """``correct`` and ``wrong``: the true and false positives that go if the type is left out."""

    name: str
    target: str
    correct: int
    wrong: int
    f1_without: float


@dataclass(frozen=True, slots=True)
class LeftOutType:
    """``f1_change``: what mapping the type to ``target``, its best, would add (below 0: cost), with
    all its ``spans``; if it is joined, it no longer is then."""

    name: str
    target: str
    spans: int
    f1_change: float


@dataclass(frozen=True, slots=True)
class JoinedType:
    """``correct``: the true positives that joining the type to ``target`` adds, less those it
    costs."""

    name: str
    target: str
    correct: int
    f1_without: float


@dataclass(frozen=True, slots=True)
class MapEffects:
    """The strict micro ``counts`` of a map, and the effect of changing it in one type.

    ``mapped`` has the types that are mapped to one of the corpus, ``left_out`` all that are left
    out, ``joined`` each pair of join_preceding; the most rewarding first, and those that are never
    predicted last.
    """

    label_map: str
    counts: Counts
    mapped: tuple[MappedType, ...]
    left_out: tuple[LeftOutType, ...]
    joined: tuple[JoinedType, ...]

    def to_dict(self) -> dict:
        """For JSON: counts, and figures in full."""
        return {
            "label_map": self.label_map,
            "overall": self.counts.to_dict(),
            "mapped": {
                each.name: {
                    "target": each.target,
                    "correct": each.correct,
                    "wrong": each.wrong,
                    "f1_without": each.f1_without,
                }
                for each in self.mapped
            },
            "left_out": {
                each.name: {
                    "target": each.target,
                    "spans": each.spans,
                    "f1_change": each.f1_change,
                }
                for each in self.left_out
            },
            "joined": [
                {
                    "type": each.name,
                    "target": each.target,
                    "correct": each.correct,
                    "f1_without": each.f1_without,
                }
                for each in self.joined
            ],
        }

    def lines(self) -> list[str]:
        """As aligned text, with the most rewarding of the left-out types."""
        counts = self.counts
        lines = [
            f"label map {self.label_map}: F1 {counts.f1:.3f}, {counts.correct} correct of "
            f"{counts.predicted} predicted and {counts.gold} in the gold"
        ]
        if self.mapped:
            rows = [("mapped", "to", "correct", "wrong", "F1 without it")]
            for each in self.mapped:
                figures = (str(each.correct), str(each.wrong), f"{each.f1_without:.3f}")
                rows.append((each.name, each.target, *figures))
            lines += aligned(rows).splitlines()
        if self.joined:
            rows = [("joined", "to", "correct", "F1 without it")]
            for each in self.joined:
                figures = (f"{each.correct:+}", f"{each.f1_without:.3f}")
                rows.append((each.name, each.target, *figures))
            lines += aligned(rows).splitlines()
        if predicted := [each for each in self.left_out if each.spans]:
            rows = [("left out", "best mapped to", "F1 change")]
            shown, rest = predicted[:_ROWS], predicted[_ROWS:]
            rows += [(each.name, each.target, f"{each.f1_change:+.4f}") for each in shown]
            if rest:
                rows.append((f"{len(rest)} others", "", f"{rest[0].f1_change:+.4f} at best"))
            lines += aligned(rows).splitlines()
        return lines


@dataclass(frozen=True, slots=True)
class MapComparison:
    """Strict micro counts by the name of each map, in the order given; ``identity``: no map."""

    rows: tuple[tuple[str, Counts], ...]

    def to_dict(self) -> list[dict]:
        """For JSON: counts, and figures in full."""
        return [{"label_map": name, **counts.to_dict()} for name, counts in self.rows]

    def lines(self) -> list[str]:
        """As aligned text."""
        rows = [("label map", "gold", "predicted", "correct", "precision", "recall", "F1")]
        for name, counts in self.rows:
            whole = (str(counts.gold), str(counts.predicted), str(counts.correct))
            figures = (f"{value:.3f}" for value in (counts.precision, counts.recall, counts.f1))
            rows.append((name, *whole, *figures))
        return aligned(rows).splitlines()


def gains_and_losses(
    documents: Iterable[Document],
    predictions: Iterable[Prediction],
    label_map: LabelMap,
    corpus_types: Collection[str],
) -> MapEffects:
    """What the map's score owes to each type, from predictions in the model's types.

    Types that it maps to what the corpus does not have are dropped, as by ``map_predictions``.
    Raises ConfigError on a predicted type that the map does not name, UserError where documents and
    predictions do not fit each other.
    """
    evidence = MapCounts.gather(documents, predictions, corpus_types)
    counts = evidence.of(label_map)
    mapped = [
        _mapped(evidence, label_map, name, target)
        for target, names in label_map.types.items()
        if target in corpus_types
        for name in names
    ]
    joined = [
        _joined(evidence, label_map, name, target)
        for target, names in label_map.join_preceding.items()
        if target in corpus_types
        for name in names
    ]
    left_out = [_left_out(evidence, label_map, name) for name in label_map.left_out]
    return MapEffects(
        label_map.name,
        counts,
        tuple(sorted(mapped, key=lambda each: (-each.correct, each.name))),
        tuple(sorted(left_out, key=lambda each: (not each.spans, -each.f1_change, each.name))),
        tuple(sorted(joined, key=lambda each: (-each.correct, each.name, each.target))),
    )


def compare_maps(
    maps: Iterable[LabelMap],
    documents: Iterable[Document],
    predictions: Iterable[Prediction],
    model_types: Collection[str],
    corpus_types: Collection[str],
) -> MapComparison:
    """Every map that could be used here, on the same predictions in the model's types.

    Maps that do not name all of the model's types, or lead to none of the corpus's, are passed
    over. First comes no map at all, if model and corpus have a type in common. Raises UserError
    where documents and predictions do not fit each other.
    """
    evidence = MapCounts.gather(documents, predictions, corpus_types)
    rows = [("identity", evidence.identity)] if set(model_types) & set(corpus_types) else []
    rows += [
        (each.name, evidence.of(each)) for each in maps if _fits(each, model_types, corpus_types)
    ]
    return MapComparison(tuple(rows))


def _mapped(evidence: MapCounts, label_map: LabelMap, name: str, target: str) -> MappedType:
    without = evidence.of(remapped(label_map, name, None))
    correct = evidence.of(label_map).correct - without.correct
    wrong = evidence.predicted.get(name, 0) - correct
    return MappedType(name, target, correct, wrong, without.f1)


def _left_out(evidence: MapCounts, label_map: LabelMap, name: str) -> LeftOutType:
    f1 = {to: evidence.of(remapped(label_map, name, to)).f1 for to in evidence.types}
    target = max(f1, key=lambda to: f1[to])
    spans = evidence.predicted.get(name, 0)
    return LeftOutType(name, target, spans, f1[target] - evidence.of(label_map).f1)


def _joined(evidence: MapCounts, label_map: LabelMap, name: str, target: str) -> JoinedType:
    without = evidence.of(without_join(label_map, target, name))
    correct = evidence.of(label_map).correct - without.correct
    return JoinedType(name, target, correct, without.f1)


def _fits(label_map: LabelMap, model_types: Collection[str], corpus_types: Collection[str]) -> bool:
    try:
        label_map.check(model_types, complete=False)
    except ConfigError:
        return False
    return not label_map.types or bool(set(label_map.types) & set(corpus_types))
