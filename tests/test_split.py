"""Splits: what is promised on the real case reports, and properties on random groups and types."""

import json
import random
import re
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document, Entity, entity_types
from medner.duplicates import find_groups
from medner.errors import ConfigError, UserError
from medner.id_files import check_known, read_ids
from medner.split import Split, make_split
from medner.split_options import check_options


@cache
def reports() -> tuple[Document, ...]:
    path = str(Path(CORPORA, "maccrobat2020"))
    documents = read_corpus(CorpusSource("m", "brat", path, {}, "maccrobat2020")).documents
    return tuple(  # one entity of each type is all that a split looks at
        replace(d, entities=tuple({entity.type: entity for entity in d.entities}.values()))
        for d in documents
    )


def document(id: str, types: str = "") -> Document:
    return Document(id, "x", tuple(Entity(((0, 1),), type_) for type_ in types))


def numbered(count: int, types: str = "A") -> list[Document]:
    return [document(f"{number:03}", types) for number in range(count)]


def sizes(split: Split) -> tuple[int, ...]:
    return tuple(len(split.parts[part]) for part in ("train", "validation", "test"))


def types_of(documents, ids) -> set[str]:
    ids = set(ids)
    return set(entity_types(d for d in documents if d.id in ids))


def rare(documents, fewer_than: int) -> set[str]:
    return {
        type_
        for type_ in entity_types(documents)
        if sum(any(e.type == type_ for e in d.entities) for d in documents) < fewer_than
    }


def assert_partition(split: Split, documents) -> None:
    ids = [id for part in split.parts.values() for id in part]
    assert sorted(ids) == sorted(d.id for d in documents)
    assert all(list(part) == sorted(part) for part in split.parts.values())


def assert_groups_whole(split: Split, groups) -> None:
    part_of = {id: name for name, ids in split.parts.items() for id in ids}
    for group in groups:
        assert len({part_of[id] for id in group}) == 1


# The case reports


@needs_corpora
def test_reports_100_seeds_train_validation():
    seen = set()
    for seed in range(100):
        split = make_split(reports(), seed=seed, validation=20)
        assert_partition(split, reports())
        assert sizes(split) == (140, 20, 0) and split.notes == ()
        for part in ("train", "validation"):
            assert types_of(reports(), split.parts[part]) == set(entity_types(reports()))
        seen.add(split.parts["validation"])
    assert len(seen) > 90  # the seed matters


@needs_corpora
@pytest.mark.parametrize(("share", "count"), [(20, 20), (0.05, 8)])
def test_reports_100_seeds_three_parts(share, count):
    assert rare(reports(), 3) == {"Mass", "Weight"}
    for seed in range(100):
        split = make_split(reports(), seed=seed, validation=share, test=share)
        assert_partition(split, reports())
        assert sizes(split) == (160 - 2 * count, count, count)
        for part, missing in (
            ("train", set()),
            ("test", set()),
            ("validation", rare(reports(), 3)),
        ):
            there = types_of(reports(), split.parts[part])
            assert there == set(entity_types(reports())) - missing
        assert split.notes == tuple(
            f"{type_} occurs in 2 groups of documents and is missing from validation."
            for type_ in ("Mass", "Weight")
        )


@needs_corpora
def test_reports_keep_the_published_test_part():
    path = Path(CORPORA, "maccrobat2020.test_pmids.txt")
    test_ids = read_ids(path)
    check_known(test_ids, [d.id for d in reports()], path)
    rest = [d for d in reports() if d.id not in test_ids]
    feasible = set(entity_types(rest)) - rare(rest, 2)
    for seed in range(100):
        split = make_split(reports(), seed=seed, validation=0.1, test_ids=test_ids)
        assert_partition(split, reports())
        assert split.parts["test"] == tuple(sorted(test_ids)) and sizes(split) == (126, 14, 20)
        assert feasible <= types_of(reports(), split.parts["train"])
        assert feasible <= types_of(reports(), split.parts["validation"])


@needs_corpora
def test_reports_five_folds():
    every = set(entity_types(reports()))
    for seed in range(10):
        tests = []
        for fold in range(1, 6):
            split = make_split(reports(), seed=seed, validation=16, folds=5, fold=fold)
            assert_partition(split, reports())
            assert sizes(split) == (112, 16, 32)
            assert types_of(reports(), split.parts["test"]) >= every - rare(reports(), 5)
            assert types_of(reports(), split.parts["train"]) == every
            tests += split.parts["test"]
            rest = [d for d in reports() if d.id not in split.parts["test"]]
            validated = types_of(reports(), split.parts["validation"])
            assert validated == set(entity_types(rest)) - rare(rest, 2)
        assert sorted(tests) == [d.id for d in reports()]


@needs_corpora
@pytest.mark.parametrize("options", [{"test": 40}, {"folds": 5, "fold": 2}])
def test_doubled_reports_have_no_twin_across_parts(options):
    twins = [replace(d, id=f"{d.id}-2", text=f"{d.text} He was well.") for d in reports()]
    found = find_groups([*reports(), *twins])
    assert len(found.groups) == 160 and len(found.largest) == 2
    for seed in range(20):
        split = make_split(
            [*reports(), *twins], seed=seed, validation=40, groups=found.groups, **options
        )
        assert_groups_whole(split, found.groups)
        assert_partition(split, [*reports(), *twins])
        assert sizes(split)[1] == 40
        assert all("groups are kept whole" not in note for note in split.notes)
        for note in split.notes:
            assert note.split()[0] in rare(reports(), 5)


# Sizes


def test_one_type_is_split_as_well_as_many():
    for types in ("", "A", "AB"):
        split = make_split(numbered(10, types), seed=0, validation=3, test=2)
        assert sizes(split) == (5, 3, 2) and split.notes == ()


@pytest.mark.parametrize(
    ("asked", "size"), [(0.25, 25), (0.005, 1), (0.015, 2), (3, 3), (3.0, 3), (1, 1), (0.995, None)]
)
def test_shares_and_numbers(asked, size):
    if size is None:
        with pytest.raises(
            UserError, match=r"validation=0.995: nothing is left to train on of 100"
        ):
            make_split(numbered(100), seed=0, validation=asked)
    else:
        assert sizes(make_split(numbered(100), seed=0, validation=asked)) == (100 - size, size, 0)


def test_sizes_that_only_one_choice_of_groups_meets():
    """5 + 3 in validation and 7 in test, of groups of 7, 6, 5, 4, 4 and 3 documents."""
    documents = numbered(29)
    ids = iter(d.id for d in documents)
    groups = [[next(ids) for _ in range(size)] for size in (7, 6, 5, 4, 4, 3)]
    for seed in range(20):
        split = make_split(documents, seed=seed, validation=9, test=13, groups=groups)
        assert sizes(split) == (7, 9, 13) and split.notes == ()
        assert_groups_whole(split, groups)
    split = make_split(documents, seed=0, validation=1, test=2, groups=groups)
    assert sorted(sizes(split)[1:]) == [3, 4]
    assert split.notes == (
        f"Validation has {sizes(split)[1]} documents where 1 was asked for, "
        "because groups are kept whole.",
        f"Test has {sizes(split)[2]} documents where 2 were asked for, because groups are kept "
        "whole.",
    )


def test_too_few_groups_for_the_parts():
    with pytest.raises(UserError, match="9 documents to divide are 1 group"):
        make_split(numbered(9), seed=0, validation=2, groups=[[f"{n:03}" for n in range(9)]])
    with pytest.raises(UserError, match="folds=3: the documents are only 2 groups"):
        groups = [[f"{n:03}" for n in range(8)]]
        make_split(numbered(9), seed=0, validation=2, folds=3, fold=1, groups=groups)
    with pytest.raises(UserError, match="no documents"):
        make_split([], seed=0, validation=2)


def test_a_rare_type_goes_to_train_then_test_then_validation():
    documents = [*numbered(27, "X"), document("a", "A"), document("b", "B"), document("c", "B")]
    for seed in range(10):
        split = make_split(documents, seed=seed, validation=6, test=6)
        held = {part: types_of(documents, ids) for part, ids in split.parts.items()}
        assert held == {"train": set("ABX"), "test": set("BX"), "validation": {"X"}}
        assert split.notes == (
            "A occurs in 1 group of documents and is missing from validation and test.",
            "B occurs in 2 groups of documents and is missing from validation.",
        )


def test_a_rare_type_in_large_groups_is_exchanged_for_small_ones():
    """Each holder of A has three documents; all else is single."""
    documents = [*numbered(30, "X"), *(document(f"a{n}", "A") for n in range(9))]
    groups = [[f"a{n}" for n in range(start, start + 3)] for start in (0, 3, 6)]
    for seed in range(20):
        split = make_split(documents, seed=seed, validation=5, test=5, groups=groups)
        assert sizes(split) == (29, 5, 5) and split.notes == ()
        assert_groups_whole(split, groups)


# Random groups and types


@st.composite
def tables(draw):
    rng = random.Random(draw(st.integers(0, 10**6)))
    types = "ABCDEF"[: draw(st.integers(0, 6))]
    density = rng.choice([0.05, 0.2, 0.6])
    kinds = rng.choice([(1, 1, 1, 2, 3, 5), (2, 2, 3, 9), (1, 4, 12)])
    group_sizes = [rng.choice(kinds) for _ in range(draw(st.integers(6, 20)))]
    names = [f"d{n}" for n in range(sum(group_sizes))]
    rng.shuffle(names)
    documents = [document(n, "".join(t for t in types if rng.random() < density)) for n in names]
    groups, start = [], 0
    for size in group_sizes:
        groups.append(names[start : start + size])
        start += size
    return documents, groups


def reachable(group_sizes, parts: int) -> set[tuple[int, ...]]:
    """Sizes of validation (and test) that some choice of whole groups has; train not empty."""
    cells = {(0,) * (parts + 1)}
    for size in group_sizes:
        cells = {
            tuple(n + size * (at == part) for at, n in enumerate(cell))
            for cell, part in product(cells, range(parts + 1))
        }
    return {cell[1:] for cell in cells if all(cell)}


def assert_notes_name_what_is_missing(split: Split, documents) -> None:
    expected = {}
    for type_ in entity_types(documents):
        without = {
            p for p, ids in split.parts.items() if ids and type_ not in types_of(documents, ids)
        }
        if without:
            expected[type_] = without
    said = {}
    for note in split.notes:
        if "missing from" in note:
            said[note.split()[0]] = set(
                re.split(r"[.,]", note.split("missing from ")[1])[0].split(" and ")
            )
    assert said == expected


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 9))
def test_division_properties(table, seed, validation, test):
    documents, groups = table
    if validation + test >= len(documents):
        return
    options = {"seed": seed, "validation": validation, "test": test}
    split = make_split(documents, groups=groups, **options)
    assert_partition(split, documents)
    assert_groups_whole(split, groups)
    assert_notes_name_what_is_missing(split, documents)
    asked = (validation, test) if test else (validation,)
    had = sizes(split)[1 : 1 + len(asked)]
    distances = {
        cell: sum(abs(a - b) for a, b in zip(cell, asked, strict=True))
        for cell in reachable([len(group) for group in groups], len(asked))
    }
    assert distances[had] == min(distances.values())  # exact wherever that is possible
    said = [note for note in split.notes if "kept whole" in note]
    assert len(said) == sum(a != b for a, b in zip(had, asked, strict=True))

    shuffled = random.Random(seed).sample(documents, len(documents))
    again = make_split(shuffled, groups=[group[::-1] for group in groups[::-1]], **options)
    assert again == split


@settings(max_examples=40, deadline=None)
@given(tables(), st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_fold_properties(table, seed, folds):
    documents, groups = table
    if len(groups) < folds + 1:
        return
    test_parts = []
    for fold in range(1, folds + 1):
        options = {"seed": seed, "validation": 1, "folds": folds, "fold": fold}
        try:
            split = make_split(documents, groups=groups, **options)
        except UserError:  # all other folds together are one group
            assert folds == 2
            return
        assert_partition(split, documents)
        assert_groups_whole(split, groups)
        assert_notes_name_what_is_missing(split, documents)
        test_parts.append(split.parts["test"])
        shuffled = random.Random(seed).sample(documents, len(documents))
        assert make_split(shuffled, groups=groups[::-1], **options) == split
    assert sorted(id for part in test_parts for id in part) == sorted(d.id for d in documents)
    largest, smallest = max(test_parts, key=len), min(test_parts, key=len)
    in_largest = [len(group) for group in groups if group[0] in largest]
    assert len(largest) - len(smallest) <= min(in_largest)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_types_of_single_documents_are_on_every_side(seed):
    """Types in separate documents, all groups alike: then any type that can be had is."""
    rng = random.Random(seed)
    documents = [document(f"{n:03}", rng.choice("ABCDEFGH")) for n in range(60)]
    split = make_split(documents, seed=seed, validation=10, test=10)
    counts = {t: sum(d.entities[0].type == t for d in documents) for t in entity_types(documents)}
    missing = {note.split()[0] for note in split.notes}
    assert missing == {type_ for type_, count in counts.items() if count < 3}


def test_no_global_random_state_is_read_or_changed():
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    first = make_split(numbered(30, "AB"), seed=3, validation=5, test=5)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    np.random.seed(2)
    assert make_split(numbered(30, "AB"), seed=3, validation=5, test=5) == first
    assert make_split(numbered(30, "AB"), seed=4, validation=5, test=5) != first


# Given ids and official parts


def test_given_ids_that_cut_a_group():
    documents = numbered(20, "A")
    groups = [["000", "001", "002"], ["003", "004"]]
    for seed in range(10):
        split = make_split(
            documents, seed=seed, validation=8, test_ids=["000", "003", "004"], groups=groups
        )
        assert split.parts["test"] == ("000", "003", "004")
        assert {"001", "002"} < set(split.parts["train"]) and sizes(split) == (9, 8, 3)
        assert split.notes == ()  # medner.leaks says it
    # what has to stay in train leaves only four documents to validate on
    groups = [["000", *(f"{n:03}" for n in range(5, 20))]]
    split = make_split(documents, seed=0, validation=8, test_ids=["000"], groups=groups)
    assert sizes(split) == (15, 4, 1)
    assert split.notes[0].startswith("Validation has 4 documents where 8 were asked for")


def test_types_that_pinned_documents_bring_to_train():
    """A stands in two groups; the one whose rest stays in train leaves the other to validation."""
    documents = [*numbered(12, "X"), document("a", "X"), document("b", "A"), document("c", "A")]
    for seed in range(10):
        split = make_split(
            documents, seed=seed, validation=3, test_ids=["a", "000"], groups=[["a", "b"]]
        )
        assert "b" in split.parts["train"] and "c" in split.parts["validation"]


def test_official_parts_are_used_as_they_are():
    documents = numbered(20, "A")
    ids = [d.id for d in documents]
    official = {"train": ids[:12], "validation": ids[12:15], "test": ids[15:]}
    split = make_split(documents, seed=0, validation=9, official=official, groups=[["000", "019"]])
    assert split.parts == {part: tuple(of) for part, of in official.items()}
    assert split.notes == ()
    official = {"train": ids[:12], "test": ids[12:]}
    split = make_split(documents, seed=0, validation=0.25, official=official)
    assert sizes(split) == (9, 3, 8) and split.parts["test"] == tuple(ids[12:])
    for wrong in (
        {"train": ids[:12]},
        {"train": ids[:13], "test": ids[12:]},
        {"train": ids, "dev": []},
        {"train": [*ids, "x"]},
    ):
        with pytest.raises(UserError):
            make_split(documents, seed=0, validation=1, official=wrong)


def test_wrong_ids():
    with pytest.raises(
        UserError, match=r"test_ids: 7 ids not among the 9 documents: x0, .* 2 more"
    ):
        make_split(
            numbered(9), seed=0, validation=2, test_ids=["000", *(f"x{n}" for n in range(7))]
        )
    with pytest.raises(UserError, match="groups: 1 id not among the 9 documents: x;"):
        make_split(numbered(9), seed=0, validation=2, groups=[["000", "x"]])
    with pytest.raises(UserError, match="ids must be unique, but repeat: 000"):
        make_split([*numbered(9), document("000")], seed=0, validation=2)


# Options


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"folds": 5, "fold": 2, "test": 0.1}, "folds and test"),
        ({"folds": 5, "fold": 2, "test_ids": "ids.txt"}, "folds and test_ids"),
        ({"folds": 5, "fold": 2, "official": True}, "folds and official"),
        ({"test": 20, "test_ids": "ids.txt"}, "test and test_ids"),
        ({"test": 20, "official": True}, "test and official"),
        ({"test_ids": ["1"], "official": {"train": []}}, "test_ids and official"),
        ({"fold": 2}, "fold=2 without folds"),
        ({"folds": 5}, "fold=None of folds=5"),
        ({"folds": 5, "fold": 0}, "fold=0 of folds=5"),
        ({"folds": 5, "fold": 6}, "fold=6 of folds=5"),
        ({"folds": 1, "fold": 1}, "folds=1"),
        ({"validation": 0}, "validation=0"),
        ({"validation": -0.1}, "validation=-0.1"),
        ({"validation": 1.5}, "validation=1.5"),
        ({"validation": True}, "validation=True"),
        ({"validation": float("nan")}, "validation=nan"),
        ({"validation": float("inf")}, "validation=inf"),
        ({"test": -1}, "test=-1"),
        ({"test": "many"}, "test=many"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**32}, "seed=4294967296"),
    ],
)
def test_wrong_options(options, named):
    with pytest.raises(ConfigError, match=named) as raised:
        check_options(**({"seed": 0, "validation": 0.1} | options))
    assert "\n" not in str(raised.value)


def test_right_options():
    check_options(seed=0, validation=20)
    check_options(seed=2**32 - 1, validation=0.1, test=0.1)
    check_options(seed=0, validation=20.0, folds=5, fold=5)
    check_options(seed=0, validation=1, test_ids="ids.txt", official=False)
    check_options(seed=0, validation=1, test=0.0, test_ids=None, official={"train": ["1"]})


def test_plain_values():
    split = make_split(numbered(9, "AB"), seed=7, validation=2, test=2, groups=[["000", "001"]])
    assert Split.from_dict(json.loads(json.dumps(split.to_dict()))) == split
