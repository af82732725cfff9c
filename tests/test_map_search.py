import itertools
import time

import pytest
from hypothesis import given, settings
from map_cases import CORPUS, MODEL, MODEL_41, abstracts, cases, marked, scored

from medner.documents import Document, Entity
from medner.errors import UserError
from medner.predictions import Prediction, Span
from medner.scoring.label_map import LabelMap
from medner.scoring.map_counts import without_join
from medner.scoring.map_effects import compare_maps, gains_and_losses
from medner.scoring.map_search import MIN_JOIN, best_map
from medner.scoring.type_matrix import type_against_gold


def every_map(corpus_types=CORPUS):
    """All 27 that join nothing."""
    for chosen in itertools.product((*corpus_types, None), repeat=len(MODEL)):
        of = dict(zip(MODEL, chosen, strict=True))
        types = {to: tuple(n for n in MODEL if of[n] == to) for to in corpus_types}
        left_out = tuple(name for name in MODEL if of[name] is None)
        yield LabelMap("m", {to: names for to, names in types.items() if names}, left_out)


def every_join(label_map):
    pairs = list(itertools.product(label_map.types, label_map.left_out))
    for chosen in itertools.product((False, True), repeat=len(pairs)):
        joins = {to: [] for to in label_map.types}
        for (to, name), joined in zip(pairs, chosen, strict=True):
            joins[to] += [name] * joined
        names = {to: tuple(found) for to, found in joins.items()}
        yield LabelMap("m", label_map.types, label_map.left_out, names)


def f1(label_map, case):
    return scored(label_map, *case).f1


@settings(max_examples=100, deadline=None)
@given(cases(separators=(", ",), disjoint=True))
def test_no_map_is_better_where_nothing_can_be_joined(case):
    found = best_map(*case, MODEL, CORPUS, "validation")
    found.check(MODEL)
    assert found.join_preceding == {}
    assert f1(found, case) == max(f1(label_map, case) for label_map in every_map())


@settings(max_examples=60, deadline=None)
@given(cases(separators=(" ",), disjoint=True))
def test_joins_never_make_it_worse_and_bring_enough(case):
    documents, predictions = case
    many = [Document(f"{n}{d.id}", d.text, d.entities) for n in range(2) for d in documents]
    case = many, [Prediction(f"{n}{p.document}", p.spans) for n in range(2) for p in predictions]
    found = best_map(*case, MODEL, CORPUS, "validation")
    found.check(MODEL)
    counts = scored(found, *case)
    assert counts.f1 >= max(f1(label_map, case) for label_map in every_map())
    for target, names in found.join_preceding.items():
        for name in names:
            without = scored(without_join(found, target, name), *case)
            assert counts.correct - without.correct >= MIN_JOIN


@settings(max_examples=60, deadline=None)
@given(cases())
def test_overlapping_spans_still_give_a_valid_map(case):
    """None that one change of a mapped type would improve, as true positives may not add up."""
    found = best_map(*case, MODEL, CORPUS, "validation")
    found.check(MODEL)
    if not found.join_preceding:
        of = {name: to for to, names in found.types.items() for name in names}
        for other in every_map():
            its = {name: to for to, names in other.types.items() for name in names}
            if sum(of.get(name) != its.get(name) for name in MODEL) <= 1:
                assert f1(other, case) <= f1(found, case)


def test_types_are_mapped_to_what_they_find_and_the_rest_is_left_out():
    case = marked("[a/A], {b/B}, c/C", "[a/A], a/A, [x/B], {b/B}, c/C", "{b/B}, [c/C], c/C, c/C")
    found = best_map(*case, ("A", "B", "C", "D"), CORPUS, "validation")
    assert found == LabelMap(
        "best_on_validation", {"Disease": ("A",), "Chemical": ("B",)}, ("C", "D")
    )


def test_a_type_that_is_right_more_than_half_as_often_as_the_f1_pays():
    """2 TP / (gold + spans): one of four beside F1 0.4 pays (.43), one of six does not."""
    good = ["[a/A]", "[x]", "[x]", "[x]"]
    one_of_four = ["[b/B]", "b/B", "b/B", "b/B"]
    assert best_map(*marked(*good, *one_of_four), MODEL, CORPUS, "dev").types == {
        "Disease": ("A", "B")
    }
    one_of_six = [*one_of_four, "b/B", "b/B", "b/B", "b/B"]
    assert best_map(*marked(*good, *one_of_six), MODEL, CORPUS, "dev").types == {"Disease": ("A",)}


@pytest.mark.parametrize(("times", "joined"), [(2, {}), (3, {"Disease": ("B",)})])
def test_a_join_must_bring_three_entities(times, joined):
    case = marked("[a/A]", *["[b/B a/A]"] * times)
    found = best_map(*case, MODEL, CORPUS, "validation")
    assert (found.types, found.join_preceding) == ({"Disease": ("A",)}, joined)


def test_a_join_must_bring_more_than_it_costs():
    helps, harms = ["[b/B a/A]"] * 4, ["b/B [a/A]"]
    found = best_map(*marked("[a/A]", *helps, *harms), MODEL, CORPUS, "validation")
    assert found.join_preceding == {"Disease": ("B",)}
    found = best_map(*marked("[a/A]", *helps, *harms * 2), MODEL, CORPUS, "validation")
    assert found.join_preceding == {}


def test_joins_of_several_types_to_each_type_of_the_corpus():
    lines = ["[b/B a/A]", "[c/C a/A]", "[c/C b/B a/A]", "{c/C d/D}", "b/B {d/D}"]
    found = best_map(*marked(*lines * 4), "ABCD", CORPUS, "validation")
    assert found.types == {"Disease": ("A",), "Chemical": ("D",)}
    assert {to: sorted(names) for to, names in found.join_preceding.items()} == {
        "Disease": ["B", "C"],
        "Chemical": ["C"],
    }
    assert f1(found, marked(*lines * 4)) == 1


def test_what_a_join_brings_to_several_types_counts_together():
    case = marked(*["[b/B a/A]", "[a/A]", "[b/B c/C]", "[c/C]"] * 2)
    found = best_map(*case, MODEL, CORPUS, "validation")
    assert (found.types, found.join_preceding) == ({"Disease": ("A", "C")}, {"Disease": ("B",)})


def test_types_that_help_only_together_are_found():
    """Neither is C anything alone, nor does a join of A or B alone get anything right."""
    case = marked(*["[a/A b/B c/C]"] * 3)
    found = best_map(*case, MODEL, CORPUS, "validation")
    assert (found.types, found.join_preceding) == ({"Disease": ("C",)}, {"Disease": ("A", "B")})


def test_a_mapped_type_is_left_out_again_where_joining_it_is_better():
    """Without joins B pays, for A alone finds little."""
    case = marked(*["[b/B a/A]"] * 6, *["[b/B]"] * 2, "[a/A]")
    assert f1(LabelMap("m", {"Disease": ("A", "B")}, ("C",)), case) == max(
        f1(label_map, case) for label_map in every_map()
    )
    found = best_map(*case, MODEL, CORPUS, "validation")
    assert found.join_preceding == {"Disease": ("B",)}
    assert f1(found, case) == max(f1(j, case) for m in every_map() for j in every_join(m))


def test_a_type_that_no_longer_pays_once_others_are_joined_is_left_out_again():
    """C is right once in four times: more than half of F1 0.2, less than half of F1 0.8."""
    case = marked(*["[b/B a/A]"] * 6, "[a/A]", "[c/C]", *["c/C"] * 3)
    plain = max(every_map(), key=lambda label_map: f1(label_map, case))
    assert "C" in plain.types["Disease"]
    found = best_map(*case, MODEL, CORPUS, "validation")
    assert (found.types, found.join_preceding) == ({"Disease": ("A",)}, {"Disease": ("B",)})


@pytest.mark.parametrize("lines", [("cough [fever]",), ("cough/A",), ("cough",), ("[a b/B]",)])
def test_where_nothing_is_found_everything_is_left_out(lines):
    case = marked(*lines)
    found = best_map(*case, MODEL, CORPUS, "validation")
    assert found == LabelMap("best_on_validation", {}, MODEL)
    effects = gains_and_losses(*case, found, CORPUS)
    assert effects.counts.f1 == 0
    assert [name for name, _ in compare_maps([found], *case, MODEL, CORPUS).rows] == [found.name]


def test_two_types_that_find_the_same_entity_are_not_both_mapped():
    text = "gout"
    documents = [Document(str(n), text, (Entity(((0, 4),), "Disease"),)) for n in range(3)]
    both = (Span(0, 4, "A"), Span(0, 4, "B"))
    predictions = [Prediction(str(n), both) for n in range(3)]
    found = best_map(documents, predictions, MODEL, CORPUS, "validation")
    assert len(found.types["Disease"]) == 1


def test_a_type_that_is_none_of_the_models_is_refused():
    with pytest.raises(UserError, match="predicted, but not types of the model: 'Lab'; give"):
        best_map(*marked("[a/A], b/Lab"), MODEL, CORPUS, "validation")


def test_a_corpus_of_the_usual_size_takes_little_time():
    """500 documents, 10,000 spans of 41 types, many of them in chains."""
    case = abstracts(500, 20)
    began = time.process_time()
    found = best_map(*case, MODEL_41, CORPUS, "validation")
    type_against_gold(*case).lines()
    gains_and_losses(*case, found, CORPUS).lines()
    compare_maps([found], *case, MODEL_41, CORPUS).lines()
    assert time.process_time() - began < 3
    assert found.types == {"Chemical": ("T00",), "Disease": ("T01", "T02")}
    assert found.join_preceding == {"Chemical": ("T03",), "Disease": ("T03",)}
