"""Labels: the tags of a real corpus, the two rules of flattening, and tokens that are tagged."""

from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.decoding import decode, reachable
from medner.documents import Document, Entity
from medner.errors import UserError
from medner.labels import FLATTEN, Labels, flatten, longest_first, most_kept
from medner.windows import TokenizedDocument

LENGTH = 24  # characters of the made-up documents
TYPES = ("Age", "Sex", "Sign")
LABELS = Labels(TYPES)


def entity(start: int, end: int, type_: str = "Sign") -> Entity:
    return Entity(((start, end),), type_)


def encode(entities, offsets) -> list[str]:
    starts, ends = np.array(offsets, dtype=np.int32).reshape(-1, 2).T
    return [LABELS.tags[tag] for tag in LABELS.encode(entities, starts, ends)]


def overlap(left: Entity, right: Entity) -> bool:
    return left.start < right.end and right.start < left.end


@st.composite
def entities_of_all_kinds(draw) -> list[Entity]:
    """A few: overlapping, nested, alike, touching, discontinuous."""
    entities = []
    for _ in range(draw(st.integers(0, 8))):
        number = draw(st.sampled_from([2, 2, 2, 2, 4]))
        places = st.lists(
            st.integers(0, LENGTH), min_size=number, max_size=number, unique=True
        ).map(sorted)
        bounds = draw(places)
        fragments = tuple(zip(bounds[::2], bounds[1::2], strict=True))
        entities.append(Entity(fragments, draw(st.sampled_from(TYPES))))
    return entities


@st.composite
def tokens_of_all_kinds(draw) -> list[tuple[int, int]]:
    """In order, none empty: with gaps and without, some twice (the bytes of one character)."""
    bounds = sorted(draw(st.sets(st.integers(0, LENGTH))))
    offsets = []
    for start, end in pairwise(bounds):
        offsets += [(start, end)] * draw(st.sampled_from([0, 1, 1, 1, 2]))
    return offsets


@cache
def reports() -> tuple[Document, ...]:
    path = str(Path(CORPORA, "maccrobat2020"))
    return read_corpus(CorpusSource("m", "brat", path, {}, "maccrobat2020")).documents


@needs_corpora
def test_case_reports_have_83_tags():
    labels = Labels.of(reports())
    assert len(labels.types) == 41
    assert len(labels.tags) == len(set(labels.tags)) == 83
    assert labels.tags[:4] == ("O", "B-Activity", "I-Activity", "B-Administration")
    assert labels.tags[-2:] == (f"B-{labels.types[-1]}", f"I-{labels.types[-1]}")


def test_types_are_those_that_occur_sorted():
    documents = [
        Document("a", "x" * 9, (entity(0, 1, "Sign"), entity(2, 3, "Age"))),
        Document("b", "x" * 9, (entity(4, 5, "Sign"), Entity(((0, 1), (2, 3)), "Lab_value"))),
    ]
    labels = Labels.of(documents)
    assert labels.types == ("Age", "Lab_value", "Sign")
    assert labels.tags == (
        *("O", "B-Age", "I-Age", "B-Lab_value", "I-Lab_value", "B-Sign", "I-Sign"),
    )


def test_documents_without_entities_cannot_be_learnt():
    with pytest.raises(UserError, match="no document has an entity"):
        Labels.of([Document("a", "Nothing to see.")])


@settings(deadline=None)
@given(entities_of_all_kinds(), st.sampled_from(sorted(FLATTEN)))
def test_flattening_keeps_disjoint_entities_of_one_fragment(entities, rule):
    kept = flatten(entities, rule)
    assert not Counter(kept) - Counter(entities)
    assert not any(entity.discontinuous for entity in kept)
    assert all(left.end <= right.start for left, right in pairwise(kept))  # and in order
    # each that is left out is discontinuous or overlaps one that is kept
    for lost in (Counter(entities) - Counter(kept)).elements():
        assert lost.discontinuous or any(overlap(lost, other) for other in kept)


@settings(deadline=None)
@given(entities_of_all_kinds())
def test_most_kept_keeps_the_most(entities):
    flat = [entity for entity in entities if not entity.discontinuous]
    most = max(
        number
        for number in range(len(flat) + 1)
        for subset in combinations(flat, number)
        if not any(overlap(left, right) for left, right in combinations(subset, 2))
    )
    assert len(flatten(entities, "most_kept")) == most


@settings(deadline=None)
@given(entities_of_all_kinds())
def test_longest_first_takes_the_longest_that_is_free(entities):
    free = [entity for entity in entities if not entity.discontinuous]
    taken = []
    while free:
        longest = max(entity.end - entity.start for entity in free)
        first = min(e.start for e in free if e.end - e.start == longest)
        taken.append((first, first + longest))
        free = [e for e in free if e.end <= first or first + longest <= e.start]
    kept = flatten(entities, "longest_first")
    assert [(entity.start, entity.end) for entity in kept] == sorted(taken)


def test_the_two_rules_differ():
    # 'renal cell carcinoma of the kidney' with 'renal cell carcinoma' and 'kidney' within
    whole, tumour, organ = entity(0, 34), entity(0, 20), entity(28, 34, "Age")
    assert longest_first([whole, tumour, organ]) == [whole]
    assert most_kept([whole, tumour, organ]) == [tumour, organ]
    # equally long: the first in the text; such that touch are disjoint
    left, middle, right = entity(0, 4), entity(2, 6), entity(4, 8)
    for rule in FLATTEN:
        assert flatten([middle, right, left], rule) == [left, right]


@needs_corpora
def test_what_flattening_keeps_of_the_case_reports():
    entities = [document.entities for document in reports()]
    assert sum(map(len, entities)) == 20_360
    assert sum(e.discontinuous for of_one in entities for e in of_one) == 35
    assert sum(len(flatten(of_one, "longest_first")) for of_one in entities) == 19_948
    assert sum(len(flatten(of_one, "most_kept")) for of_one in entities) == 20_111


def test_an_entity_covers_every_token_it_shares_a_character_with():
    offsets = [(0, 5), (6, 9), (9, 12), (13, 15)]
    assert encode([entity(6, 12)], offsets) == ["O", "B-Sign", "I-Sign", "O"]
    assert encode([entity(4, 10)], offsets) == ["B-Sign", "I-Sign", "I-Sign", "O"]
    assert encode([entity(10, 11, "Sex")], offsets) == ["O", "O", "B-Sex", "O"]
    # between the tokens, and behind them all: no token, no tag
    assert encode([entity(5, 6), entity(12, 13), entity(15, 18)], offsets) == ["O"] * 4
    assert encode([], []) == []


def test_a_shared_token_goes_to_the_first_entity():
    offsets = [(0, 3), (3, 6), (6, 8)]
    assert encode([entity(0, 4, "Age"), entity(4, 8)], offsets) == ["B-Age", "I-Age", "B-Sign"]
    # the second has this token alone: it is lost, the third is not
    entities = [entity(0, 4, "Age"), entity(4, 6), entity(6, 8, "Sex")]
    assert encode(entities, offsets) == ["B-Age", "I-Age", "B-Sex"]


def test_empty_tokens_of_white_space_are_tagged_inside_entities_only():
    offsets = [(0, 3), (4, 4), (4, 7), (7, 7), (8, 9)]
    assert encode([entity(0, 7)], offsets) == ["B-Sign", "I-Sign", "I-Sign", "O", "O"]
    assert encode([entity(0, 3), entity(4, 7)], offsets) == ["B-Sign", "O", "B-Sign", "O", "O"]


@settings(deadline=None)
@given(entities_of_all_kinds(), tokens_of_all_kinds())
def test_tags_by_characters(entities, offsets):
    entities = most_kept(entity for entity in entities if not entity.discontinuous)
    expected, tagged = [], set()
    for start, end in offsets:
        owner = next((e for e in entities if e.start < end and start < e.end), None)
        expected.append(f"{'I' if owner in tagged else 'B'}-{owner.type}" if owner else "O")
        tagged.add(owner)
    assert encode(entities, offsets) == expected


@settings(deadline=None)
@given(tokens_of_all_kinds().map(lambda offsets: sorted(set(offsets))), st.data())
def test_entities_come_back_where_token_boundaries_agree(offsets, data):
    entities, at = [], 0
    while at < len(offsets):
        after = data.draw(st.integers(at + 1, len(offsets)))
        type_ = data.draw(st.sampled_from([None, *TYPES]))
        if type_:
            entities.append(entity(offsets[at][0], offsets[after - 1][1], type_))
        at = after
    document = Document("d", "x" * LENGTH, tuple(entities))
    starts, ends = np.array(offsets, dtype=np.int32).reshape(-1, 2).T
    inside_word = np.zeros(len(offsets), dtype=bool)
    tokens = TokenizedDocument(document, np.zeros_like(starts), starts, ends, inside_word)
    for rule in FLATTEN:
        spans = reachable(tokens, LABELS, rule).spans
        assert [(s.start, s.end, s.type) for s in spans] == [
            (e.start, e.end, e.type) for e in entities
        ]
    tags = LABELS.encode(entities, starts, ends)
    segments = decode(np.log(np.eye(len(LABELS.tags))[tags] * 0.9 + 0.01))
    assert [entity(starts[a], ends[b - 1], TYPES[kind]) for kind, a, b in segments] == entities
