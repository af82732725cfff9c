"""Strict counts of many label maps over the same predictions, whose texts are read but once."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from medner.documents import Document
from medner.errors import ConfigError, UserError
from medner.predictions import Prediction, Span
from medner.scoring.label_map import LabelMap
from medner.scoring.matching import Counts, score


class Claim(NamedTuple):
    """A way for a map to arrive at the fragments of a gold entity.

    A span of type ``head`` becomes one with all those directly before it whose types are
    ``joined``, and not with the one before these, of type ``before`` (None: there is none).
    """

    head: str
    joined: tuple[str, ...]
    before: str | None


class Match(NamedTuple):
    """A stretch of text with gold: its types, each with the number of such entities, and all the
    ways to it: one where predictions are disjoint, several where spans overlap."""

    gold: tuple[tuple[str, int], ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class MapCounts:
    """What decides the strict score of any map on some documents.

    ``types``: the corpus's; ``gold``: the number of entities; ``predicted``: spans by the model's
    type (a map yields as many as it maps: what is joined is left out where it is alone);
    ``matches``: how often each kind of match occurs; ``identity``: the counts without a map.
    """

    types: tuple[str, ...]
    gold: int
    predicted: Mapping[str, int]
    matches: Mapping[Match, int]
    identity: Counts
    _table: "_ClaimTable"

    @classmethod
    def gather(
        cls,
        documents: Iterable[Document],
        predictions: Iterable[Prediction],
        corpus_types: Collection[str],
    ) -> "MapCounts":
        """From predictions in the model's types. Raises UserError where documents and
        predictions do not fit each other, or the corpus has no types."""
        if not corpus_types:
            raise UserError("the corpus has no types, and a label map needs some to lead to")
        documents, predictions = list(documents), list(predictions)
        scores = score(documents, predictions)  # which also holds the two against each other
        spans = {name: c.predicted for name, c in scores.by_type.items() if c.predicted}
        of_document = {prediction.document: prediction for prediction in predictions}
        matches: Counter[Match] = Counter()
        for document in documents:
            matches.update(_matches(document, of_document[document.id]))
        types = tuple(sorted(corpus_types))
        table = _ClaimTable(matches, types)
        return cls(types, scores.overall.gold, spans, matches, scores.overall, table)

    def of(self, label_map: LabelMap) -> Counts:
        """As ``score`` counts what ``map_predictions`` yields, exactly; a map to none of the
        corpus's types yields nothing. Raises ConfigError on a type that the map does not name."""
        if unknown := sorted(set(self.predicted) - set(label_map.named)):
            raise ConfigError(
                f"label map {label_map.name}: predicted, but neither mapped nor left out: "
                f"{', '.join(map(repr, unknown))}; check the map against the model's types"
            )
        targets = {
            name: target
            for target, names in label_map.types.items()
            if target in self.types
            for name in names
        }
        joins = {(to, name) for to, names in label_map.join_preceding.items() for name in names}
        predicted = sum(self.predicted.get(name, 0) for name in targets)
        return Counts(self.gold, predicted, self._table.correct(targets, joins))


def remapped(label_map: LabelMap, name: str, target: str | None) -> LabelMap:
    """The map with a type of the model mapped to ``target``, or left out; joined nowhere."""
    types = {to: tuple(n for n in names if n != name) for to, names in label_map.types.items()}
    left_out = tuple(each for each in label_map.left_out if each != name)
    if target is None:
        left_out = tuple(sorted((*left_out, name)))
    else:
        types[target] = (*types.get(target, ()), name)
    types = {to: names for to, names in types.items() if names}
    joins = {
        to: kept
        for to, names in label_map.join_preceding.items()
        if to in types and (kept := tuple(each for each in names if each != name))
    }
    return replace(label_map, types=types, left_out=left_out, join_preceding=joins)


def with_join(label_map: LabelMap, target: str, name: str) -> LabelMap:
    """The map with a left-out type joined to spans of ``target`` that it directly precedes."""
    joined = (*label_map.join_preceding.get(target, ()), name)
    return replace(label_map, join_preceding={**label_map.join_preceding, target: joined})


def without_join(label_map: LabelMap, target: str, name: str) -> LabelMap:
    """The map with the type no longer joined to spans of ``target``, and left out as before."""
    joins = dict(label_map.join_preceding)
    joins[target] = tuple(each for each in joins[target] if each != name)
    return replace(label_map, join_preceding={to: names for to, names in joins.items() if names})


class _ClaimTable:
    """The matches as arrays with a row for each claim, and for each of the gold types it is made
    to: a map is counted in a fraction of a millisecond, however many kinds of matches there are."""

    def __init__(self, matches: Mapping[Match, int], types: Sequence[str]) -> None:
        claims = {claim for match in matches for claim in match.claims}
        names = {name for each in claims for name in (each.head, each.before or "", *each.joined)}
        self.types = {name: at for at, name in enumerate(types)}
        self.names = {name: at for at, name in enumerate(sorted(names - {""}))}
        always, never = len(self.names), len(self.names) + 1  # columns of what is joined or not
        depth = max((len(claim.joined) for claim in claims), default=0)
        goals = [
            (self.types[type_], number, times, match.claims)
            for match, times in matches.items()
            for type_, number in match.gold
            if type_ in self.types
        ]
        rows = [
            (
                *(goal, type_, self.names[head], self.names.get(before, never)),
                *(self.names[name] for name in joined),
                *[always] * (depth - len(joined)),
            )
            for goal, (type_, _, _, made) in enumerate(goals)
            for head, joined, before in made
        ]
        table = np.array(rows, dtype=int).reshape(len(rows), 4 + depth)
        self.goal, self.type, self.head, self.before = table[:, :4].T
        self.joined = table[:, 4:]
        self.number = np.array([number for _, number, _, _ in goals], dtype=int)
        self.times = np.array([times for _, _, times, _ in goals], dtype=int)

    def correct(self, targets: Mapping[str, str], joins: Collection[tuple[str, str]]) -> int:
        """How many entities a map finds that has these targets by the model's type, and joins in
        pairs of target and type."""
        target = np.full(len(self.names), -1)
        for name in targets.keys() & self.names.keys():
            target[self.names[name]] = self.types[targets[name]]
        is_joined = np.zeros((len(self.types), len(self.names) + 2), dtype=bool)
        is_joined[:, -2] = True
        for to, name in joins:
            if to in self.types and name in self.names:
                is_joined[self.types[to], self.names[name]] = True
        right = (target[self.head] == self.type) & ~is_joined[self.type, self.before]
        right &= is_joined[self.type[:, None], self.joined].all(axis=1)
        found = np.bincount(self.goal[right], minlength=len(self.number))
        return int(np.minimum(found, self.number) @ self.times)


def _matches(document: Document, prediction: Prediction) -> Iterator[Match]:
    """Every gold stretch that a span, or a chain of spans that could be joined, has exactly."""
    if prediction.end > len(document.text):
        raise UserError(
            f"document {document.id}: predictions end at {prediction.end}, outside the text of "
            f"{len(document.text)} characters; give the text that was predicted on"
        )
    gold: defaultdict[tuple, Counter[str]] = defaultdict(Counter)
    for entity in document.entities:
        gaps = tuple((left[1], right[0]) for left, right in pairwise(entity.fragments))
        gold[entity.start, entity.end, gaps][entity.type] += 1
    longest = max((end - start for start, end, _ in gold), default=0)
    claims: defaultdict[tuple, list[Claim]] = defaultdict(list)
    spans = prediction.spans
    follows = [False, *(_directly_before(*pair, document.text) for pair in pairwise(spans))]
    for last, span in enumerate(spans):
        first, gaps = last, span.gaps
        while span.end - spans[first].start <= longest:
            before = spans[first - 1] if follows[first] else None
            if (place := (spans[first].start, span.end, gaps)) in gold:
                joined = tuple(each.type for each in spans[first:last])
                claims[place].append(Claim(span.type, joined, before.type if before else None))
            if before is None:
                break
            first, gaps = first - 1, before.gaps + gaps
    for place, found in claims.items():
        yield Match(tuple(sorted(gold[place].items())), tuple(sorted(found, key=repr)))


def _directly_before(left: Span, right: Span, text: str) -> bool:
    return left.end <= right.start and not text[left.end : right.start].strip()
