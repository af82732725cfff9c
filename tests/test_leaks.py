"""Twins across parts, and between an evaluation and training: by definition, and in real text."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora
from test_config import composed
from test_duplicates import corpus, notes, words

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.documents import Document
from medner.duplicates import find_groups, merge_groups
from medner.leaks import (
    Leak,
    find_leaks,
    leak_caveat,
    leak_line,
    leaks_of,
    shared_line,
    shared_with_training,
    united,
)  # fmt: skip
from medner.split import make_split

PARTS = {"train": ["a", "b", "c"], "validation": ["v", "w"], "test": ["t", "u"]}
TWIN = "a twin (nearly the same text, or the same group)"


@given(st.lists(st.lists(st.sampled_from("abcvwtu"), max_size=3), max_size=6))
def test_twins_are_what_shares_a_group(groups: list[list[str]]) -> None:
    merged = merge_groups(groups)
    found = {(leak.part, leak.source): leak for leak in find_leaks(PARTS, groups)}
    assert list(found) == [("validation", "train"), ("test", "train"), ("test", "validation")]
    for (part, source), leak in found.items():
        twins = {
            id: {other for group in merged if id in group for other in group} & set(PARTS[source])
            for id in PARTS[part]
        }
        assert set(leak.twins) == {id for id in twins if twins[id]}
        assert all(twin in twins[id] for id, twin in leak.twins.items())
        assert list(leak.twins) == sorted(leak.twins)
        assert leak.share == len(leak.twins) / 2
        assert Leak.from_dict(json.loads(json.dumps(leak.to_dict()))) == leak


def test_parts_without_documents_share_nothing() -> None:
    parts = PARTS | {"test": []}
    assert [(leak.part, leak.source) for leak in find_leaks(parts, [])] == [("validation", "train")]


def test_what_is_said_of_leaks() -> None:
    assert leak_line(find_leaks(PARTS, [["a", "b"], ["v", "w"]])) == (
        "no leak: no validation or test document has a twin in another part"
    )
    assert leak_line(find_leaks(PARTS | {"test": []}, [])) == (
        "no leak: no validation document has a twin in train"
    )
    assert leak_line(find_leaks(PARTS, [["b", "v", "w"], ["t", "w"]])) == (
        f"2 of 2 validation documents (100.0%) have {TWIN} in train, "
        "1 of 2 test documents (50.0%) has a twin in train, "
        "1 of 2 test documents (50.0%) has a twin in validation: "
        "v (validation) and b (train), w (validation) and b (train), t (test) and b (train), "
        "t (test) and v (validation)"
    )
    many = {"train": [f"t{n}" for n in range(9)], "validation": [f"v{n}" for n in range(9)]}
    line = leak_line(find_leaks(many, [[f"t{n}", f"v{n}"] for n in range(9)]))
    assert line.count(" (validation) and ") == 5 and line.endswith(
        "v4 (validation) and t4 (train) and 4 more"
    )


def test_what_stands_beside_scores_names_no_document() -> None:
    leaks = find_leaks(PARTS, [["b", "t", "u"], ["v", "w"]])
    assert leak_caveat(leaks) == (
        f"The split leaks: 2 of 2 test documents (100.0%) have {TWIN} in train; a score on a "
        "twin says nothing about new documents."
    )
    assert leak_caveat(leak for leak in leaks if leak.part == "validation") == ""
    assert leak_caveat([]) == ""


def test_a_data_report_tells_unless_it_is_of_an_older_program() -> None:
    leaks = find_leaks(PARTS, [["b", "t"]])
    assert leaks_of({"split": {"leaks": [leak.to_dict() for leak in leaks]}}) == leaks
    assert leaks_of({"split": {"leaks": []}}) == ()
    assert leaks_of({"split": {}}) is None


def test_leaks_of_folds_add_up() -> None:
    first = find_leaks(PARTS, [["b", "u"]])
    second = find_leaks(PARTS | {"test": ["x", "y", "z"]}, [["a", "x"], ["v", "y"]])
    assert united([*first, *second]) == (
        Leak("validation", "train", 4, {}),
        Leak("test", "train", 5, {"u": "b", "x": "a"}),
        Leak("test", "validation", 5, {"y": "v"}),
    )
    assert united(first) == first


def test_an_evaluation_shares_texts_with_training_whatever_ids_and_groups() -> None:
    training = notes(*(words(seed, 40) for seed in range(5)))
    documents = [
        Document("0", words(0, 40)),  # the same, also in id
        Document("x", f"{words(1, 40)} more"),
        Document("2", words(99, 40)),  # only the id
        Document("y", words(98, 40), group="p"),  # only the group
        Document("3", words(4, 40)),  # the id of one, the text of another
    ]
    training[4] = replace(training[4], group="p")
    found = shared_with_training("there", documents, training)
    assert found == Leak("there", "train", 5, {"0": "0", "3": "4", "x": "1"})
    assert shared_line(found) == (
        "3 of 5 documents (60.0%) are in training, too (nearly the same text): 0, 3 (there 4), "
        "x (there 1); a score on a twin says nothing about new documents"
    )
    none = shared_with_training("there", documents[2:4], training)
    assert shared_line(none) == "no document of there is in training (nearly the same text)"
    twice = [Document("a", words(1, 40)), Document("b", words(1, 40))]
    assert shared_with_training("there", twice[1:], twice).twins == {"b": "b"}


# Real corpora


def official(name: str, folder: str, patterns: dict[str, str]) -> Corpus:
    path = str(Path(CORPORA, folder))
    errata = "ncbi_disease" if name == "ncbi" else None
    return read_corpus(CorpusSource(name, "pubtator", path, patterns, errata))


@needs_corpora
@pytest.mark.parametrize(
    ("name", "folder", "leaking"),
    [
        ("ncbi", "ncbi_disease", {}),
        # a paragraph on heparin published again
        ("bc5cdr", "bc5cdr", {("test", "validation"): {"16034922": "19370593"}}),
    ],
)
def test_what_the_official_splits_leak(name: str, folder: str, leaking: dict) -> None:
    data = composed("train", f"data={name}").data
    corpus = official(name, folder, dict(data.parts))
    found = find_leaks(corpus.parts, find_groups(corpus.documents).groups)
    assert {(leak.part, leak.source): leak.twins for leak in found if leak.twins} == leaking
    assert {leak.documents for leak in found} == {100 if name == "ncbi" else 500}
    # or its users would be asked each time; and nothing but that is let be
    pairs = [pair for twins in leaking.values() for pair in twins.items()]
    assert [tuple(pair) for pair in data.split.known_twins] == pairs


@needs_corpora
def test_the_corpora_share_no_document() -> None:
    for name in ("ncbi", "bc5cdr"):
        assert not shared_with_training(name, corpus(name), corpus("maccrobat")).twins
    assert not shared_with_training("ncbi", corpus("ncbi"), corpus("bc5cdr")).twins


@needs_corpora
def test_most_of_an_ungrouped_split_of_doubled_reports_leaks_and_nothing_of_a_grouped_one() -> None:
    reports = [replace(d, entities=d.entities[:1]) for d in corpus("maccrobat")]
    doubled = [replace(d, id=f"{d.id}.{year}") for d in reports for year in (2018, 2020)]
    groups = find_groups(doubled).groups
    shares = []
    for seed in range(10):
        options = {"seed": seed, "validation": 40, "test": 40}
        (*found,) = find_leaks(make_split(doubled, **options).parts, groups)
        shares.append(found[0].share)
        for leak in found:
            assert {id[:8] for id in leak.twins} == {twin[:8] for twin in leak.twins.values()}
        grouped = make_split(doubled, groups=groups, **options)
        assert not any(leak.twins for leak in find_leaks(grouped.parts, groups))
    # of a document's 319 fellows 240 are in training
    assert sum(shares) / len(shares) == pytest.approx(240 / 319, abs=0.08)
