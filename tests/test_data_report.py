"""The data report: counts that can be checked by hand or by brute force."""

import json
from itertools import combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.data_report import describe_corpus, describe_split, fingerprint, overlapping
from medner.documents import Document, Entity
from medner.duplicates import find_groups
from medner.split import make_split

TEXT = "x" * 30
fragments = st.lists(st.integers(0, 30), min_size=2, max_size=4, unique=True).map(
    lambda cuts: tuple(zip(*[iter(sorted(cuts))] * 2, strict=False))
)
entities = st.lists(st.builds(Entity, fragments, st.sampled_from(["A", "B"])), max_size=6).map(
    tuple
)


@given(entities)
def test_overlapping_counts_entities_that_share_a_character(entities: tuple[Entity, ...]) -> None:
    document = Document("d", TEXT, entities)
    covered = [
        {c for start, end in e.fragments for c in range(start, end)} for e in document.entities
    ]
    expected = {
        index
        for pair in combinations(range(len(covered)), 2)
        if covered[pair[0]] & covered[pair[1]]
        for index in pair
    }
    assert overlapping(document) == len(expected)


def test_the_fingerprint_sees_every_change_but_order() -> None:
    entity = Entity(((0, 2),), "A")
    documents = [Document("1", "text", (entity,)), Document("2", "more")]
    same = fingerprint(documents)
    assert fingerprint(documents[::-1]) == same
    for changed in (
        [Document("1", "Text", (entity,)), documents[1]],
        [Document("1", "text"), documents[1]],
        [Document("1", "text", (Entity(((0, 2),), "B"),)), documents[1]],
        [Document("1", "text", (Entity(((0, 3),), "A"),)), documents[1]],
        [Document("3", "text", (entity,)), documents[1]],
        documents[:1],
    ):
        assert fingerprint(changed) != same


@needs_corpora
def test_the_report_of_the_case_reports() -> None:
    path = str(Path(CORPORA, "maccrobat2020"))
    corpus = read_corpus(CorpusSource("m", "brat", path, {}, "maccrobat2020"))
    report = json.loads(json.dumps(describe_corpus(corpus)))
    assert report["documents"] == 160
    assert report["entities"] == sum(report["types"].values()) == 20360
    assert len(report["types"]) == 41
    assert report["discontinuous"] == 35
    assert len(report["errata"]) == 1
    assert report["passed_over"]["events"] > 0 and report["passed_over"]["relations"] > 0
    groups = find_groups(corpus.documents)
    split = make_split(corpus.documents, seed=0, validation=20, groups=groups.groups)
    parts = describe_split(split, corpus.documents, groups)["parts"]
    assert [part["documents"] for part in parts.values()] == [140, 20, 0]
    assert sum(part["entities"] for part in parts.values()) == 20360
