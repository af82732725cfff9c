import json
from collections import Counter

import pytest
from hypothesis import given, settings
from map_cases import CORPUS, MODEL_41, abstracts, cases, marked

from medner.documents import Document, Entity
from medner.errors import UserError
from medner.predictions import Prediction, Span
from medner.scoring.matching import score
from medner.scoring.type_matrix import TypeRow, type_against_gold

TEXT = marked(
    "[gout/Disorder], severe/Severity [cough/Sign], {aspirin/Drug}, [fever]",
    "[renal/Structure failure/Disorder], {acid/Drug}, [acid/Drug], 54/Age, now/Date",
    "{lead}, [lead poisoning/Disorder]",
)


def one(entities, *spans):
    """The matrix of one document."""
    document = Document(
        "d", "x" * 40, tuple(Entity(fragments, name) for fragments, name in entities)
    )
    return type_against_gold([document], [Prediction("d", spans)])


def characters(fragments):
    return {at for start, end in fragments for at in range(start, end)}


@settings(max_examples=200, deadline=None)
@given(cases())
def test_every_span_is_counted_where_its_characters_are(case):
    """Against sets of characters, one span at a time."""
    exact, overlapping, elsewhere, untouched = Counter(), Counter(), Counter(), Counter()
    for document, prediction in zip(*case, strict=True):
        for span in prediction.spans:
            shared = [
                len(characters(span.fragments) & characters(entity.fragments))
                for entity in document.entities
            ]
            same = [e.type for e in document.entities if e.fragments == span.fragments]
            if same:
                exact[span.type, same[0]] += 1
            elif any(shared):
                overlapping[span.type, document.entities[shared.index(max(shared))].type] += 1
            else:
                elsewhere[span.type] += 1
        found = set().union(*(characters(span.fragments) for span in prediction.spans))
        untouched.update(e.type for e in document.entities if not found & characters(e.fragments))
    matrix = type_against_gold(*case)
    rows = matrix.rows.items()
    assert {(n, to): c for n, row in rows for to, c in row.exact.items()} == exact
    assert {(n, to): c for n, row in rows for to, c in row.overlapping.items()} == overlapping
    assert {n: row.elsewhere for n, row in rows if row.elsewhere} == elsewhere
    assert matrix.untouched == untouched
    by_type = score(*case).by_type
    assert {n: row.spans for n, row in rows} == {
        n: counts.predicted for n, counts in by_type.items() if counts.predicted
    }
    assert matrix.gold == {n: counts.gold for n, counts in by_type.items() if counts.gold}


def test_the_matrix_of_a_small_text():
    matrix = type_against_gold(*TEXT)
    assert matrix.lines() == [
        "spans by predicted type: = with the characters of a gold entity, ~ that only overlap",
        "predicted  spans  =Disease  =Chemical  ~Disease  ~Chemical  no gold",
        "Disorder       3         1          0         2          0        0",
        "Drug           3         1          2         0          0        0",
        "Sign           1         1          0         0          0        0",
        "Structure      1         0          0         1          0        0",
        "Age            1         0          0         0          0        1",
        "Date           1         0          0         0          0        1",
        "Severity       1         0          0         0          0        1",
        "gold that no span overlaps: Disease 1 of 6, Chemical 1 of 3",
    ]
    assert json.loads(json.dumps(matrix.to_dict())) == {
        "predicted": {
            name: {
                "spans": row.spans,
                "exact": row.exact,
                "overlapping": row.overlapping,
                "elsewhere": row.elsewhere,
            }
            for name, row in matrix.rows.items()
        },
        "gold": {"Chemical": 3, "Disease": 6},
        "untouched": {"Chemical": 1, "Disease": 1},
    }


def test_the_largest_overlap_counts_and_the_first_of_equals():
    entities = [(((0, 4),), "First"), (((4, 8),), "Second"), (((8, 20),), "Third")]
    assert one(entities, Span(2, 6, "A")).rows["A"].overlapping == {"First": 1}
    assert one(entities, Span(3, 6, "A")).rows["A"].overlapping == {"Second": 1}
    assert one(entities, Span(0, 20, "A")).rows["A"].overlapping == {"Third": 1}
    touching = one(entities[:2], Span(8, 10, "A"))
    assert touching.rows["A"] == TypeRow({}, {}, 1)


def test_fragments_count_by_their_own_characters():
    entities = [(((0, 4), (10, 14)), "Split"), (((5, 9),), "Within")]
    matrix = one(entities, Span(0, 14, "A"), Span(0, 14, "B", gaps=((4, 10),)), Span(4, 10, "C"))
    assert matrix.rows["A"].overlapping == {"Split": 1}
    assert matrix.rows["B"].exact == {"Split": 1}
    assert matrix.rows["C"].overlapping == {"Within": 1}
    assert one(entities, Span(0, 14, "B", gaps=((4, 10),))).untouched == {"Within": 1}


def test_gold_of_two_types_counts_under_the_spans_own_name_else_the_first():
    entities = [(((0, 4),), "Chemical"), (((0, 4),), "Disease")]
    matrix = one(entities, Span(0, 4, "Disease"), Span(0, 4, "Drug"))
    assert matrix.rows["Disease"].exact == {"Disease": 1}
    assert matrix.rows["Drug"].exact == {"Chemical": 1}


def test_a_long_entity_is_overlapped_far_from_its_start():
    entities = [(((0, 30),), "Long"), *((((at, at + 1),), "Short") for at in range(5, 20))]
    matrix = one(entities, Span(25, 28, "A"))
    assert matrix.rows["A"].overlapping == {"Long": 1}
    assert matrix.untouched == {"Short": 15}


def test_what_seldom_touches_gold_shares_a_line():
    documents, predictions = abstracts(100, 20)
    matrix = type_against_gold(documents, predictions)
    lines = matrix.lines()
    assert set(matrix.rows) == set(MODEL_41)
    assert list(matrix.rows)[:2] == ["T00", "T01"]
    assert len(lines) == 1 + 1 + 12 + 1 + 1
    assert lines[-2].startswith("29 others")
    numbers = [list(map(int, line.split()[-6:])) for line in lines[2:-1]]
    assert sum(spans for spans, *_ in numbers) == 2000
    assert all(spans == sum(cells) for spans, *cells in numbers)
    assert set(matrix.gold) == set(CORPUS)


def test_of_many_gold_types_the_rarer_share_a_column():
    names = ["A", "B", "C", "D", "E", "F"]
    entities = [(((at, at + 1),), name) for at, name in enumerate([*names, *names[:4]])]
    spans = [Span(at, at + 1, "X") for at in range(10)]
    lines = one(entities, *spans, Span(20, 21, "X")).lines()
    columns = "=A =B =C =D =2 others ~A ~B ~C ~D ~2 others no gold"
    assert " ".join(lines[1].split()) == f"predicted spans {columns}"
    assert lines[2].split() == ["X", "11", "2", "2", "2", "2", "2", "0", "0", "0", "0", "0", "1"]


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (("cough [fever]",), "Disease 1 of 1"),
        (("cough/A",), "none, for there is no gold"),
        ((), "none, for there is no gold"),
    ],
)
def test_nothing_predicted_or_no_gold(lines, last):
    matrix = type_against_gold(*marked(*lines))
    assert matrix.lines()[-1] == f"gold that no span overlaps: {last}"
    assert sum(row.touching for row in matrix.rows.values()) == 0


def test_documents_without_a_prediction_are_refused():
    documents, predictions = TEXT
    with pytest.raises(UserError, match="1 of 3 documents have no prediction"):
        type_against_gold(documents, predictions[1:])
