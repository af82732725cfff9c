"""The label map that scores best on some documents, found from what was predicted on them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, cycle

from medner.documents import Document
from medner.errors import UserError
from medner.predictions import Prediction
from medner.scoring.label_map import LabelMap
from medner.scoring.map_counts import MapCounts, remapped, with_join, without_join

MIN_JOIN = 3  # true positives that a join must add: fewer may be chance


def best_map(
    documents: Iterable[Document],
    predictions: Iterable[Prediction],
    model_types: Collection[str],
    corpus_types: Collection[str],
    part: str,
) -> LabelMap:
    """The map with the highest strict micro F1, from predictions in the model's types.

    Its name is ``best_on_PART``. Choose it on documents that it is not scored on.

    First each type is mapped or left out as is best given the others, until none changes. That is
    the best of the maps that join nothing where predictions are disjoint: true positives and spans
    then add up over the model's types, and 2 TP / (gold + spans) is highest where every type is
    mapped that has 2 TP / spans above it, and no type below (Dinkelbach, "On nonlinear fractional
    programming", Management Science 13, 1967). Where a system's spans overlap, two types may find
    the same entity, and it is only a map that no single change improves.

    Then joins are made too, the best change first, to a map that again no single change improves. A
    join that does not bring ``MIN_JOIN`` true positives more than it costs is not made. A type that
    never helps is left out; if no span has the characters of a gold entity, all are.

    Raises UserError on a predicted type that is none of the model's, or where documents and
    predictions do not fit each other.
    """
    evidence = MapCounts.gather(documents, predictions, corpus_types)
    if unknown := sorted(set(evidence.predicted) - set(model_types)):
        raise UserError(
            f"predicted, but not types of the model: {', '.join(map(repr, unknown))}; give the "
            "types of the model that predicted"
        )
    nothing = LabelMap(f"best_on_{part}", {}, tuple(sorted(set(model_types))))
    kinds = _kinds(evidence)
    heads = sorted({head for head, _, _ in kinds})
    best = _without_joins(nothing, heads, evidence)
    while better := _best(
        best,
        chain(_mapped_otherwise(best, heads, evidence.types), _joined_otherwise(best, kinds)),
        evidence,
    ):
        best = better
    return best


def _without_joins(label_map: LabelMap, heads: list[str], evidence: MapCounts) -> LabelMap:
    """Each type in turn is mapped to what is best given the others, until none changes."""
    unchanged = 0
    for head in cycle(heads):
        changed = _mapped_otherwise(label_map, [head], evidence.types)
        better = _best(label_map, changed, evidence)
        label_map, unchanged = (better, 0) if better else (label_map, unchanged + 1)
        if unchanged == len(heads):
            break
    return label_map


def _best(label_map: LabelMap, changed: Iterable[LabelMap], evidence: MapCounts) -> LabelMap | None:
    """The best of the changed maps, less the joins that bring too little, if it is better."""
    f1 = evidence.of(label_map).f1
    better = None
    for candidate in changed:
        if evidence.of(candidate).f1 > f1:
            candidate = _without_weak_joins(candidate, evidence)
            if (its := evidence.of(candidate).f1) > f1:
                f1, better = its, candidate
    return better


def _kinds(evidence: MapCounts) -> Counter[tuple[str, tuple[str, ...], str]]:
    """How often a span of the first type, and those of the second that it is joined with, have the
    characters of gold of the third."""
    kinds: Counter[tuple[str, tuple[str, ...], str]] = Counter()
    for (gold, claims), times in evidence.matches.items():
        for claim in claims:
            joined = tuple(sorted(set(claim.joined)))
            targets = [type_ for type_, _ in gold if type_ in evidence.types]
            kinds.update({(claim.head, joined, target): times for target in targets})
    return kinds


def _mapped_otherwise(
    label_map: LabelMap, heads: Iterable[str], targets: Iterable[str]
) -> Iterator[LabelMap]:
    for head in heads:
        for target in targets:
            if head not in label_map.types.get(target, ()):
                yield remapped(label_map, head, target)
        if head not in label_map.left_out:
            yield remapped(label_map, head, None)


def _joined_otherwise(
    label_map: LabelMap, kinds: Mapping[tuple[str, tuple[str, ...], str], int]
) -> Iterator[LabelMap]:
    """With one more join, or with all that it takes to get one kind of joined span right, such as
    those of a Severity, a Structure and a Disorder."""
    joinable = {name for _, joined, _ in kinds for name in joined}
    for name in sorted(joinable & set(label_map.left_out)):
        for target in label_map.types:
            if name not in label_map.join_preceding.get(target, ()):
                yield with_join(label_map, target, name)
    for (head, joined, target), times in sorted(kinds.items()):
        if joined and head not in joined and times >= MIN_JOIN:
            yield _getting_right(label_map, head, joined, target)


def _getting_right(
    label_map: LabelMap, head: str, joined: tuple[str, ...], target: str
) -> LabelMap:
    if head not in label_map.types.get(target, ()):
        label_map = remapped(label_map, head, target)
    for name in joined:
        if name not in label_map.left_out:
            label_map = remapped(label_map, name, None)
        if name not in label_map.join_preceding.get(target, ()):
            label_map = with_join(label_map, target, name)
    return label_map


def _without_weak_joins(label_map: LabelMap, evidence: MapCounts) -> LabelMap:
    """The map less the joins that bring too little, the least first."""
    while True:
        correct = evidence.of(label_map).correct
        bring = {
            (target, name): correct - evidence.of(without_join(label_map, target, name)).correct
            for target, names in label_map.join_preceding.items()
            for name in names
        }
        weakest = min(bring, key=lambda join: bring[join], default=None)
        if weakest is None or bring[weakest] >= MIN_JOIN:
            return label_map
        label_map = without_join(label_map, *weakest)
