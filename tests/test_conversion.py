"""What the hub's conversion keeps: the rule by hand, against a loop, and on the real files."""

from collections import Counter
from pathlib import Path

import pytest
from handmade import real
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import CORPORA, needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.corpora.conversion import kept, twice
from medner.corpora.raw import Annotation
from medner.documents import Document, Entity


def annotations(*fragments: tuple[tuple[int, int], ...]) -> list[Annotation]:
    return [Annotation(at, Entity(each, "Sign"), "") for at, each in enumerate(fragments, 1)]


def lines(*fragments: tuple[tuple[int, int], ...]) -> list[int]:
    """The numbers, from 1, of the lines that are kept."""
    return [annotation.line for annotation in kept(annotations(*fragments))]


def test_a_line_is_kept_that_starts_where_the_last_kept_one_ends_or_later() -> None:
    assert lines(((0, 4),), ((4, 9),), ((8, 12),), ((9, 10),)) == [1, 2, 4]


def test_the_order_of_the_file_decides_and_not_that_of_the_text() -> None:
    assert lines(((50, 60),), ((0, 4),), ((10, 14),), ((60, 61),)) == [1, 4]
    assert lines(((0, 4),), ((10, 14),), ((50, 60),), ((60, 61),)) == [1, 2, 3, 4]


def test_a_discontinuous_one_is_left_out_and_stands_in_nobody_s_way() -> None:
    assert lines(((0, 4), (20, 24)), ((2, 6),), ((8, 9),)) == [2, 3]


spans = st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda at: ((at[0], sum(at)),))


@settings(deadline=None)
@given(st.lists(spans, max_size=30))
def test_it_is_the_plain_loop(fragments: list[tuple[tuple[int, int], ...]]) -> None:
    last_end, wanted = 0, []
    for number, ((start, end),) in enumerate(fragments, 1):
        if start >= last_end:
            wanted.append(number)
            last_end = end
    assert lines(*fragments) == wanted


def test_a_corpus_is_converted_in_the_order_of_its_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Gout and fever since Monday.")
    (tmp_path / "a.ann").write_text(
        "T1\tSign 9 14\tfever\n"
        "T2\tDisease 0 4\tGout\n"  # before it in the text, behind it in the file
        "T3\tDate 21 27\tMonday\n"
    )
    source = CorpusSource("a", "brat", str(tmp_path))
    full, converted = read_corpus(source), read_corpus(source, converted=True)
    assert [entity.type for entity in full.documents[0].entities] == ["Disease", "Sign", "Date"]
    assert [entity.type for entity in converted.documents[0].entities] == ["Sign", "Date"]
    assert converted.documents[0].text == full.documents[0].text


def test_twins_are_alike_but_for_their_ids() -> None:
    document = Document("7", "Gout.", (Entity(((0, 4),), "Disease"),))
    first, second = twice([document])
    assert (first.id, second.id) == ("7.2018", "7.2020")
    assert (first.text, first.entities) == (second.text, second.entities)
    assert first.entities == document.entities


@pytest.fixture(scope="module")
def converted() -> tuple[Document, ...]:
    source = CorpusSource(
        "m", "brat", str(Path(CORPORA, "maccrobat2020")), {}, "maccrobat2020"
    )  # fmt: skip
    return read_corpus(source, converted=True).documents


@needs_corpora
def test_half_of_maccrobat_is_left(converted: tuple[Document, ...]) -> None:
    """13,414 of 25,189 in all 200 reports, as counted in the hub's file: .533."""
    full = real("maccrobat").documents
    entities = sum(len(document.entities) for document in full)
    left = sum(len(document.entities) for document in converted)
    assert (entities, left) == (20_360, 10_944)
    assert left / entities == pytest.approx(13_414 / 25_189, abs=0.01)
    for before, after in zip(full, converted, strict=True):
        assert (before.id, before.text) == (after.id, after.text)
        assert set(after.entities) <= set(before.entities)
    # in the order of the text it would be nearly all of them
    reordered = [
        kept([Annotation(None, entity, "") for entity in document.entities]) for document in full
    ]
    assert sum(map(len, reordered)) > 20_000


@needs_corpora
def test_the_real_files_by_a_plain_loop_over_their_lines(converted: tuple[Document, ...]) -> None:
    for document in converted:
        last_end, wanted = 0, []
        file = Path(CORPORA, "maccrobat2020", f"{document.id}.ann")
        for line in file.read_text(encoding="utf-8").split("\n"):
            if line.startswith("T") and ";" not in line.split("\t")[1]:
                type_, start, end = line.split("\t")[1].split()
                if int(start) >= last_end:
                    wanted.append((int(start), int(end), type_))
                    last_end = int(end)
        assert [(e.start, e.end, e.type) for e in document.entities] == wanted


@needs_corpora
def test_no_kept_sex_has_two_words(converted: tuple[Document, ...]) -> None:
    """The hub's file has 82 labels: B and I of 41 types and O, but no I-Sex."""
    mentions = [
        (entity.type, len(document.mention(entity).split()))
        for document in converted
        for entity in document.entities
    ]
    assert max(words for type_, words in mentions if type_ == "Sex") == 1
    assert len({type_ for type_, _ in mentions}) == 41


@needs_corpora
def test_two_types_are_kept_in_one_report_each(converted: tuple[Document, ...]) -> None:
    """Where every report is there twice, two parts have them only if its twins are divided."""
    reports = Counter(
        type_ for document in converted for type_ in {entity.type for entity in document.entities}
    )
    assert {type_ for type_, of in reports.items() if of == 1} == {"Biological_attribute", "Mass"}
