import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_cases import CORPUS, MODEL, abstracts, cases, label_maps, marked, scored

from medner.documents import Document, Entity
from medner.errors import ConfigError, UserError
from medner.predictions import Prediction, Span
from medner.scoring.label_map import LabelMap
from medner.scoring.map_counts import MapCounts, remapped, with_join, without_join
from medner.scoring.matching import Counts, score

SMALL = LabelMap("small", {"Disease": ("A", "B")}, ("C",), {"Disease": ("C",)})


@settings(max_examples=300, deadline=None)
@given(cases(), label_maps())
def test_counts_are_those_of_the_mapped_predictions(case, label_map):
    """Overlapping and discontinuous spans, joins, and types that the corpus has not included."""
    assert MapCounts.gather(*case, CORPUS).of(label_map) == scored(label_map, *case)


@given(cases())
def test_identity_counts_what_is_predicted_as_it_is(case):
    assert MapCounts.gather(*case, CORPUS).identity == score(*case).overall


def test_counts_on_many_documents():
    documents, predictions = abstracts(60, 20)
    evidence = MapCounts.gather(documents, predictions, CORPUS)
    left_out = tuple(f"T{number:02}" for number in range(3, 41))
    for joins in ((), ("T03",), ("T03", "T04", "T05")):
        types = {"Chemical": ("T00",), "Disease": ("T01", "T02")}
        label_map = LabelMap("m", types, left_out, {"Disease": joins})
        counts = scored(label_map, documents, predictions)
        assert counts.correct > 100
        assert evidence.of(label_map) == counts


def test_alike_entities_and_alike_spans_are_matched_one_to_one():
    gold = Entity(((0, 4),), "Disease")
    for entities, found in ((1, 2), (2, 1), (2, 2), (2, 3)):
        documents = [Document("d", "gout", (gold,) * entities)]
        predictions = [Prediction("d", tuple(Span(0, 4, name) for name in "ABA"[:found]))]
        counts = MapCounts.gather(documents, predictions, CORPUS).of(SMALL)
        assert counts == Counts(entities, found, min(entities, found))


def test_the_same_matches_are_kept_once():
    one, many = (MapCounts.gather(*marked(*["[cough/A]"] * n), CORPUS) for n in (1, 1000))
    (match,) = one.matches
    assert many.matches == {match: 1000}


@given(label_maps(targets=CORPUS), st.sampled_from(MODEL), st.sampled_from((*CORPUS, None)))
def test_a_type_is_mapped_anew(label_map, name, target):
    changed = remapped(label_map, name, target)
    changed.check(MODEL)
    assert changed.name == label_map.name
    assert (name in changed.left_out) == (target is None)
    assert target is None or name in changed.types[target]
    assert not any(name in names for names in changed.join_preceding.values())
    others = {each: to for to, names in changed.types.items() for each in names if each != name}
    assert others == {
        each: to for to, names in label_map.types.items() for each in names if each != name
    }


def test_a_join_comes_and_goes():
    plain = LabelMap("m", {"Disease": ("A",), "Chemical": ("B",)}, ("C", "D"))
    joined = with_join(with_join(plain, "Disease", "C"), "Disease", "D")
    assert joined.join_preceding == {"Disease": ("C", "D")}
    assert without_join(joined, "Disease", "C").join_preceding == {"Disease": ("D",)}
    assert without_join(without_join(joined, "Disease", "C"), "Disease", "D") == plain
    assert remapped(joined, "A", None).join_preceding == {}  # nothing is left that D could join


def test_a_predicted_type_that_the_map_does_not_name_is_refused():
    evidence = MapCounts.gather(*marked("[cough/A], fever/Lab, 37/Age"), CORPUS)
    message = "label map small: predicted, but neither mapped nor left out: 'Age', 'Lab'; check"
    with pytest.raises(ConfigError, match=message):
        evidence.of(SMALL)


@pytest.mark.parametrize(
    ("documents", "predictions", "types", "message"),
    [
        ([Document("d", "gout")], [], CORPUS, "1 of 1 documents have no prediction (d)"),
        ([], [Prediction("d")], CORPUS, "1 of 1 predictions are for documents that the gold does"),
        (
            [Document("d", "gout")],
            [Prediction("d", (Span(0, 5, "A"),))],
            CORPUS,
            "document d: predictions end at 5, outside the text of 4 characters; give the text",
        ),
        ([Document("d", "gout")], [Prediction("d")], (), "the corpus has no types"),
    ],
)
def test_what_does_not_fit_is_refused(documents, predictions, types, message):
    with pytest.raises(UserError, match=re.escape(message)):
        MapCounts.gather(documents, predictions, types)
