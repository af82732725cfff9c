"""Each mistake once: kinds by hand, sums by hypothesis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_scoring import entity, predict
from test_semeval import corpora, made

from medner.documents import Document, Entity
from medner.predictions import Prediction, Span
from medner.scoring.errors import KINDS, find_errors
from medner.scoring.matching import score

TEXT = "x" * 60


def kinds(gold: list, predicted: list) -> tuple[list[str], list[str]]:
    """Of the false negatives and of the false positives, in order."""
    found = find_errors([Document("d", TEXT, tuple(gold))], [predict("d", *predicted)])
    return tuple(
        [m.kind for m in found.mistakes if m.false_positive == side] for side in (False, True)
    )


# gold, predicted, kinds of the false negatives and of the false positives
CASES = {
    "wrong type": ([entity("A", (0, 5))], [(0, 5, "B")], ["wrong type"], ["wrong type"]),
    "longer": ([entity("A", (5, 9))], [(2, 9, "A")], ["longer"], ["longer"]),
    "shorter": ([entity("A", (0, 9))], [(2, 9, "A")], ["shorter"], ["shorter"]),
    "shifted": ([entity("A", (0, 9))], [(4, 15, "A")], ["shifted"], ["shifted"]),
    "split": ([entity("A", (0, 9))], [(0, 4, "A"), (5, 9, "A")], ["split"], ["split", "split"]),
    "merged": (
        [entity("A", (0, 4)), entity("A", (5, 9))], [(0, 9, "A")], ["merged", "merged"], ["merged"],
    ),
    "both": (
        [entity("A", (0, 9))], [(0, 4, "B")],
        ["wrong type and boundary"], ["wrong type and boundary"],
    ),
    "missed": ([entity("A", (0, 9))], [], ["missed"], []),
    "spurious": ([], [(0, 4, "B")], [], ["spurious"]),
    "its own type first, then the larger part": (
        [entity("A", (0, 2)), entity("B", (3, 12)), entity("B", (14, 16))],
        [(0, 15, "A")],
        ["longer", "wrong type and boundary", "wrong type and boundary"],
        ["longer"],
    ),
    "what is correct is no error of others": (
        [entity("A", (0, 9))], [(0, 9, "A"), (2, 4, "A")], [], ["spurious"],
    ),
    "the inner of two entities": (
        [entity("A", (0, 9)), entity("B", (2, 4))], [(0, 9, "A")], ["missed"], [],
    ),
    "a gap": ([entity("A", (0, 3), (6, 9))], [(3, 6, "A")], ["missed"], ["spurious"]),
    "over a gap": ([entity("A", (0, 3), (6, 9))], [(0, 9, "A")], ["longer"], ["longer"]),
    "twice": ([entity("A", (0, 3))], [(0, 3, "A"), (0, 3, "A")], [], ["spurious"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_kinds(case: str) -> None:
    gold, predicted, negatives, positives = CASES[case]
    assert kinds(gold, predicted) == (negatives, positives)


@given(corpora(), st.booleans())
def test_they_add_up(corpus: list, flat: bool) -> None:
    documents, predictions = made(corpus)
    if not flat:  # every span once more, a little longer: all of them overlap
        predictions = [
            Prediction(p.document, (*p.spans, *(Span(s.start, s.end + 2, s.type) for s in p.spans)))
            for p in predictions
        ]
    scores = score(documents, predictions)
    found = find_errors(documents, predictions)
    overall = scores.overall
    assert sum(found.counts(True).values()) == overall.predicted - overall.correct
    assert sum(found.counts(False).values()) == overall.gold - overall.correct
    assert list(found.counts(True)) == list(KINDS)
    for type_, counts in scores.by_type.items():
        row = [n for (gold, _), n in found.confusion.items() if gold == type_]
        assert sum(row) == counts.gold
        spurious = found.confusion.get((None, type_), 0)
        assert spurious <= counts.predicted - counts.correct


def test_confusion() -> None:
    document = Document(
        "d", TEXT, (entity("A", (0, 5)), entity("A", (6, 9)), entity("B", (10, 19)))
    )
    prediction = predict("d", (0, 5, "A"), (6, 9, "B"), (12, 19, "B"), (30, 31, "A"))
    found = find_errors([document], [prediction])
    assert found.confusion == {("A", "A"): 1, ("A", "B"): 1, ("B", "B"): 1, (None, "A"): 1}
    empty = find_errors([document], [Prediction("d")])
    assert empty.confusion == {("A", None): 2, ("B", None): 1}
    assert found.to_dict()["confusion"][0]["count"] == 1


def test_what_the_model_cannot_express_is_told_apart() -> None:
    document = Document(
        "d", TEXT, (entity("A", (0, 9)), entity("B", (2, 4)), entity("B", (20, 24)))
    )

    def reachable(where: Document, entity: Entity) -> bool:
        assert where is document
        return entity.start != 2

    found = find_errors([document], [predict("d", (0, 5, "A"))], reachable)
    assert [m.kind for m in found.mistakes] == ["shorter", "shorter", "unreachable", "missed"]
    assert [m.false_positive for m in found.mistakes] == [True, False, False, False]


def test_the_table_adds_up() -> None:
    document = Document("d", TEXT, (entity("A", (0, 5)), entity("A", (6, 9))))
    found = find_errors([document], [predict("d", (0, 5, "B"), (30, 31, "A"))])
    assert found.table().splitlines()[1:] == [
        "wrong type                                  1         1",
        "missed                                      0         1",
        "spurious                                    1         0",
        "false positives, false negatives            2         2",
    ]
