"""The data report: counts that can be checked by hand or by brute force."""

import json
from itertools import combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.data_report import (
    corpus_details,
    describe_corpus,
    describe_shared,
    describe_split,
    fingerprint,
    mention_lines,
    overlapping,
)
from medner.documents import Document, Entity
from medner.duplicates import DocumentGroups, find_groups
from medner.leaks import find_leaks
from medner.split import Split, make_split

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
    by_part = {
        part: [document for document in corpus.documents if document.id in ids]
        for part, ids in split.parts.items()
    }
    described = describe_split(split, corpus.documents, groups) | describe_shared(by_part, ())
    described = json.loads(json.dumps(described))
    parts = described["parts"]
    assert [part["documents"] for part in parts.values()] == [140, 20, 0]
    assert sum(part["entities"] for part in parts.values()) == 20360
    # mention overlap, counted in the plainest way
    mentions = {
        part: [
            (" ".join(document.mention(entity).lower().split()), entity.type)
            for document in by_part[part]
            for entity in document.entities
        ]
        for part in ("train", "validation")
    }
    typed, known = set(mentions["train"]), {mention for mention, _ in mentions["train"]}
    seen = sum(pair in typed for pair in mentions["validation"])
    other = sum(pair not in typed and pair[0] in known for pair in mentions["validation"])
    entities = parts["validation"]["entities"]
    assert described["mentions"] == {
        "validation": {
            "entities": entities,
            "seen": seen,
            "seen with another type only": other,
            "unseen": entities - seen - other,
        }
    }
    assert 0 < other < seen < entities
    assert mention_lines({"split": described}) == [
        f"mentions: {seen} of {entities} validation entities ({seen / entities:.1%}) occur in "
        f"train with their type, {other} with another only"
    ]


def test_groups_are_shown_with_the_parts_they_are_in() -> None:
    documents = [Document(f"{n:02}", TEXT, (Entity(((0, 1),), "A"),)) for n in range(20)]
    groups = DocumentGroups(
        tuple((f"{n:02}", f"{n + 10:02}") for n in range(7)),
        dict.fromkeys(("patient", "equal", "similar", "contained"), 0),
    )
    parts = {"train": [d.id for d in documents[:15]], "validation": [d.id for d in documents[15:]]}
    split = Split({part: tuple(ids) for part, ids in parts.items()} | {"test": ()}, seed=0)
    leaks = find_leaks(split.parts, groups.groups)
    assert describe_shared({"train": documents[:15]}, leaks)["leaks"] == [
        {"part": "validation", "source": "train", "documents": 5, "share": 0.4,
         "twins": {"15": "05", "16": "06"}}
    ]  # fmt: skip
    described = describe_split(split, documents, groups)
    corpus = Corpus("c", "there", tuple(documents), {}, (), {"relations": 3})
    said = corpus_details(describe_corpus(corpus) | {"split": described}, split).splitlines()
    assert said[:9] == [
        "overlapping: 0 entities; discontinuous: 0",
        "passed over: 3 relations",
        "documents that belong together:",
        *(f"  {n:02} (train), {n + 10:02} (train)" for n in range(5)),
        "  and 2 groups more",
    ]
    assert said[9:] == [  # no column for a part without documents
        "",
        "entities   all  train  validation",
        "A           20     15           5",
        "all types   20     15           5",
        "documents   20     15           5",
    ]
