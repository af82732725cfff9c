"""Planted misalignments are found, with taggers good and mediocre; weak taggers are called weak."""

import json
import random
import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise, permutations

import pytest
from handmade import real
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import needs_corpora

from medner.documents import Document, Entity, collapse_types
from medner.errors import UserError
from medner.predictions import Prediction, Span
from medner.scoring import mending
from medner.scoring.alignment import Alignment, check_alignment
from medner.scoring.matching import score

TYPES = ("Disease", "Chemical")
WORD = re.compile(r"\w+")
# shares of mentions that are missed, added, and given other boundaries
GOOD, MEDIOCRE, POOR, WEAK = (0.1, 0.1, 0.05), (0.3, 0.3, 0.2), (0.5, 0.4, 0.4), (0.7, 0.6, 0.65)


def generated(seed: int, count: int) -> list[Document]:
    """Titles and abstracts of made-up words of 3 to 9 letters; a name may come several times."""
    rng = random.Random(seed)

    def word() -> str:
        return "".join(rng.choices("abcdefghiklmnoprstu", k=rng.randint(3, 9)))

    documents = []
    for number in range(count):
        names = [(word() if rng.random() < 0.7 else f"{word()} {word()}") for _ in range(8)]
        text, entities = "", []
        for sentence in range(8):
            for _ in range(rng.randint(5, 10)):
                if rng.random() < 0.2:
                    which = rng.randrange(8)
                    start, text = len(text), f"{text}{names[which]} "
                    entities.append(Entity(((start, len(text) - 1),), TYPES[which % 2]))
                else:
                    text += f"{word()} "
            text = text[:-1] + ("\n" if sentence == 0 else ". ")
        documents.append(Document(str(number), text, tuple(entities)))
    return documents


@cache
def corpus(name: str) -> list[Document]:
    if name == "generated":
        return generated(0, 40)
    return random.Random(0).sample(real(name).documents, 40)


CORPORA = ["generated", pytest.param("bc5cdr", marks=needs_corpora)]


def tagged(
    documents: Sequence[Document], quality: tuple[float, float, float], seed: int = 0
) -> list[Prediction]:
    """What a tagger finds that misses mentions, adds some, and takes in the words around them."""
    rng = random.Random(seed)
    missed, added, widened = quality
    predictions = []
    for document in documents:
        words = [word.span() for word in WORD.finditer(document.text)]
        spans = set()
        for entity in document.entities:
            start, end = entity.start, entity.end
            if rng.random() < widened:
                if rng.random() < 0.5:
                    start = max((at for at, _ in words if at < start), default=start)
                else:
                    end = min((at for _, at in words if at > end), default=end)
            if rng.random() >= missed:
                spans.add(Span(start, end, entity.type))
            if rng.random() < added:
                spans.add(Span(*rng.choice(words), rng.choice(TYPES)))
        predictions.append(Prediction(document.id, tuple(spans)))
    return predictions


def perfect(documents: Sequence[Document]) -> list[Prediction]:
    return [
        Prediction(
            document.id,
            tuple(
                Span(e.start, e.end, e.type, gaps=((e.fragments[0][1], e.fragments[1][0]),))
                if e.discontinuous
                else Span(e.start, e.end, e.type)
                for e in document.entities
            ),
        )
        for document in documents
    ]


def with_gold(document: Document, fragments: Sequence[tuple[int, int]], types=None) -> Document:
    """The text with other offsets; those outside it are dropped, as a reader may do."""
    types = types or [entity.type for entity in document.entities]
    inside = [
        Entity(((start, end),), type_)
        for (start, end), type_ in zip(fragments, types, strict=True)
        if 0 <= start < end <= len(document.text)
    ]
    return replace(document, entities=tuple(inside))


def offsets(document: Document, by: int = 0) -> list[tuple[int, int]]:
    return [(entity.start + by, entity.end + by) for entity in document.entities]


def shifted(document: Document, by: int) -> Document:
    return with_gold(document, offsets(document, by))


def title(document: Document) -> int:
    """Where it ends: at a line's or a sentence's end, but between mentions."""
    end = re.search(r"\n|\. ", document.text).end()
    return max([end, *(e.end for e in document.entities if e.start < end < e.end)])


def cut(document: Document) -> tuple[Document, Document]:
    """Title and abstract, each with its own gold on its own text."""
    end = title(document)
    above = [e for e in document.entities if e.end <= end]
    below = replace(document, entities=tuple(e for e in document.entities if e.start >= end))
    abstract = Document(f"{document.id}-abstract", document.text[end:])
    types = [entity.type for entity in below.entities]
    return (
        Document(f"{document.id}-title", document.text[:end], tuple(above)),
        with_gold(abstract, offsets(below, -end), types),
    )


# A bug takes documents, and gives those that are predicted on and those with the gold as it is read


def document_offsets_on_passages(documents):
    right, read = [], []
    for above, below in map(cut, documents):
        right += [above, below]
        read += [above, shifted(below, len(above.text))]
    return right, read


def passage_offsets_added_to_document_offsets(documents):
    def add(document: Document) -> Document:
        end = title(document)
        moved = [(s, e) if s < end else (s + end, e + end) for s, e in offsets(document)]
        return with_gold(document, moved)

    return documents, list(map(add, documents))


def title_dropped(documents):
    right = [cut(document)[1] for document in documents]
    read = []
    for document, abstract in zip(documents, right, strict=True):
        types = [entity.type for entity in document.entities]
        read.append(with_gold(abstract, offsets(document), types))
    return right, read


def next_document(documents):
    following = [*documents[1:], documents[0]]
    return documents, [
        with_gold(document, offsets(other), [entity.type for entity in other.entities])
        for document, other in zip(documents, following, strict=True)
    ]


def types_swapped(documents):
    return documents, collapse_types(documents, dict(zip(TYPES, reversed(TYPES), strict=True)))


def leading_spaces(documents):
    def widen(document: Document) -> Document:
        spaced = [
            (s - 1 if s and document.text[s - 1].isspace() else s, e) for s, e in offsets(document)
        ]
        return with_gold(document, spaced)

    return documents, list(map(widen, documents))


def half_shifted(documents):
    half = len(documents) // 2
    return documents, [shifted(document, 1) for document in documents[:half]] + documents[half:]


def inclusive_ends(documents):
    return documents, [
        with_gold(document, [(start, end - 1) for start, end in offsets(document)])
        for document in documents
    ]


def line_ends_counted_twice(documents):
    return documents, [
        with_gold(
            document,
            [
                tuple(at + len(re.findall(r"\n|\. ", document.text[:start])) for at in (start, end))
                for start, end in offsets(document)
            ],
        )
        for document in documents
    ]


MISALIGNED = {
    document_offsets_on_passages: "offset",
    passage_offsets_added_to_document_offsets: "offset",
    title_dropped: "offset",
    next_document: "document",
    leading_spaces: "edges",
    half_shifted: "offset",
    inclusive_ends: "edges",
    line_ends_counted_twice: "",  # no one offset mends it, but words are cut
}
QUALITIES = {"good": GOOD, "mediocre": MEDIOCRE, "poor": POOR}


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("bug", [*MISALIGNED, types_swapped], ids=lambda bug: bug.__name__)
@pytest.mark.parametrize("name", CORPORA)
def test_planted_bugs_are_found(name: str, bug: Callable, quality: str):
    for size in (10, 40):
        right, read = bug(corpus(name)[:size])
        predictions = tagged(right, QUALITIES[quality])
        assert check_alignment(right, predictions, permutations=100).verdict in ("aligned", "weak")
        found = check_alignment(read, predictions, permutations=100)
        assert found.verdict == ("confused types" if bug is types_swapped else "misaligned")
        assert found.strict_f1 < 0.6 * check_alignment(right, predictions, permutations=1).strict_f1
        if (way := MISALIGNED.get(bug)) and quality != "poor":
            told = [line for line in found.lines() if line.startswith("F1 would be")]
            assert told and max(found.mended_f1, key=found.mended_f1.get) in (way, "anywhere")


@pytest.mark.parametrize("quality", [GOOD, MEDIOCRE, POOR, WEAK])
@pytest.mark.parametrize("name", CORPORA)
def test_honest_taggers_are_not_misaligned(name: str, quality: tuple):
    verdicts = []
    for seed in range(20):
        documents = random.Random(seed).sample(corpus(name), 10 + seed % 2 * 10)
        found = check_alignment(documents, tagged(documents, quality, seed), permutations=100)
        verdicts.append(found.verdict)
        assert found.position_free_f1 - found.strict_f1 < 0.05
        assert found.p_value < 0.05
    expected = {GOOD: {"aligned"}, MEDIOCRE: {"aligned"}, WEAK: {"weak"}}
    assert set(verdicts) <= expected.get(quality, {"aligned", "weak"})


def test_offsets_of_predictions_may_be_off_too():
    documents = corpus("generated")
    predictions = tagged(documents, MEDIOCRE)
    right = check_alignment(documents, predictions)
    spaced, moved = [], []
    for document, prediction in zip(documents, predictions, strict=True):
        before = [
            replace(s, start=s.start - bool(s.start and document.text[s.start - 1].isspace()))
            for s in prediction.spans
        ]
        spaced.append(replace(prediction, spans=tuple(before)))
        after = [replace(s, start=s.start + 3, end=s.end + 3) for s in prediction.spans]
        moved.append(replace(prediction, spans=tuple(after)))
    found = check_alignment(documents, spaced)
    assert found.verdict == "misaligned"
    assert found.edges == "white space stripped from the mentions"
    assert found.mended_f1["edges"] == right.strict_f1
    found = check_alignment(documents, moved)
    assert found.verdict == "misaligned"
    assert set(found.offsets) == {3} and found.offsets[3] > 30  # three matches in each
    assert found.mended_f1["offset"] == pytest.approx(right.strict_f1, abs=0.02)
    assert found.lines()[1].startswith("it is the predictions: in the middle of a word begin 0% ")


def test_first_occurrences_are_other_places():
    """Gold that was made by searching the text for the mentions."""
    documents = corpus("generated")
    read = []
    for document in documents:
        starts = [document.text.find(document.mention(entity)) for entity in document.entities]
        lengths = [end - start for start, end in offsets(document)]
        found = [(s, s + n) for s, n in zip(starts, lengths, strict=True)]
        read.append(with_gold(document, found))
    found = check_alignment(read, tagged(documents, MEDIOCRE))
    assert found.verdict == "misaligned"
    assert found.gold_within_word == 0
    assert max(found.mended_f1, key=found.mended_f1.get) == "anywhere"


def test_a_perfect_tagger():
    documents = corpus("generated")
    found = check_alignment(documents, perfect(documents), permutations=499)
    assert found.verdict == "aligned"
    assert found.strict_f1 == found.exact_f1 == found.position_free_f1 == 1
    assert set(found.mended_f1.values()) == {1}
    assert found.p_value == 1 / 500
    assert 0 <= found.others_f1 < 0.01
    assert not found.offsets and not found.distances and not found.confusions


def test_nothing_predicted_and_nothing_annotated():
    documents = corpus("generated")
    empty = [replace(document, entities=()) for document in documents]
    found = check_alignment(documents, [])
    assert found.verdict == "too little"
    assert "the model finds next to nothing" in found.lines()[1]
    assert found == check_alignment(documents, [Prediction(d.id) for d in documents])
    assert check_alignment(empty, perfect(documents)).verdict == "too little"
    assert check_alignment(empty, []).verdict == "too little"
    assert check_alignment([], []).verdict == "too little"


def test_a_single_document():
    document = corpus("generated")[0]
    assert len(document.entities) >= 10
    found = check_alignment([document], perfect([document]))
    assert (found.verdict, found.p_value, found.others_f1) == ("aligned", 1, 0)
    assert "other documents" not in found.lines()[0]
    found = check_alignment([shifted(document, -1)], perfect([document]))
    assert (found.verdict, found.offsets) == ("misaligned", {1: 1})
    for seed in range(10):
        assert check_alignment([document], tagged([document], WEAK, seed)).verdict == "too little"


def test_few_mentions_may_agree_but_not_disagree():
    document = Document("a", "gout and asthma and fever and cough and mumps", ())
    words = [word.span() for word in WORD.finditer(document.text) if word[0] != "and"]
    gold = replace(document, entities=tuple(Entity((word,), "Disease") for word in words))
    assert check_alignment([gold], perfect([gold])).verdict == "aligned"
    assert check_alignment([shifted(gold, -1)], perfect([gold])).verdict == "too little"


def test_low_scores_that_other_documents_reach_too():
    documents = corpus("generated")
    rng = random.Random(0)
    predictions = []
    for document in documents:
        words = rng.sample(list(WORD.finditer(document.text)), 20)
        spans = tuple(Span(*word.span(), "Gene") for word in words)
        predictions.append(Prediction(document.id, spans))
    found = check_alignment(documents, predictions)
    assert (found.verdict, found.strict_f1, found.p_value) == ("weak", 0, 1)
    assert found.lines()[1].startswith("it fits other documents' gold as well")
    # of three documents a sixth of all orders is the right one, however many mentions they have
    three = []
    for document in documents[:3]:
        words = [word.span() for word in WORD.finditer(document.text)]
        pairs = [(start, end) for (start, _), (_, end) in pairwise(words)]
        three.append(with_gold(document, pairs, ["Sign"] * len(pairs)))
    found = check_alignment(three, predictions[:3])
    assert (found.verdict, found.predicted) == ("too little", 60)
    assert found.lines()[1].endswith("60 predicted in 3 documents; evaluate on more")


def test_scripts_without_spaces():
    """Every mention there begins between two letters; only the two sides together tell."""
    rng = random.Random(0)
    documents = []
    for number in range(20):
        text = "".join(chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(300))
        entities = [
            Entity(((at, at + rng.randint(2, 5)),), TYPES[at % 2]) for at in range(5, 290, 19)
        ]
        documents.append(Document(str(number), text, tuple(entities)))
    predictions = [
        replace(p, spans=tuple(s for s in p.spans if rng.random() < 0.5))
        for p in perfect(documents)
    ]
    found = check_alignment(documents, predictions)
    assert found.gold_within_word == found.predicted_within_word == 1
    assert found.verdict == "aligned"
    assert check_alignment([shifted(d, 1) for d in documents], predictions).verdict == "misaligned"


def test_near_duplicates_and_templates_are_no_other_documents():
    documents = corpus("generated")
    copies = [replace(document, id=f"{document.id} again") for document in documents]
    found = check_alignment([*documents, *copies], tagged([*documents, *copies], MEDIOCRE))
    assert (found.verdict, found.distances) == ("aligned", {})
    form = Document("0", "name gout age pain " * 9, ())
    form = with_gold(form, [(19 * at + 5, 19 * at + 9) for at in range(9)], ["Disease"] * 9)
    forms = [replace(form, id=str(number)) for number in range(3000)]
    begin = time.process_time()
    found = check_alignment(forms, perfect(forms))
    assert time.process_time() - begin < 10  # 1 s on a free machine
    assert (found.verdict, found.others_f1, found.p_value) == ("aligned", 1, 1)


def test_types_that_share_their_mentions_may_be_swapped():
    """Then many a mention stands elsewhere with the right type, and positions are not to blame."""
    documents = []
    for document in corpus("generated"):
        types = [TYPES[at % 2] for at in range(len(document.entities))]
        documents.append(with_gold(document, offsets(document), types))
    _, read = types_swapped(documents)
    found = check_alignment(read, tagged(documents, GOOD))
    assert found.mended_f1["anywhere"] > found.strict_f1 + 0.2
    assert found.verdict == "confused types"


def test_mentions_are_the_same_whatever_case_and_white_space():
    document = Document("a", "Heart\n failure: heart failure", ())
    gold = with_gold(document, [(0, 14)], ["Disease"])
    pair = mending.pairs([gold], [Prediction("a", (Span(16, 29, "Disease"),))])[0]
    assert (pair.matches(mending.anywhere), pair.matches(mending.boundaries)) == (1, 0)
    other = mending.pairs([gold], [Prediction("a", (Span(16, 29, "Sign"),))])[0]
    assert other.matches(mending.anywhere) == 0


def test_a_mention_is_in_one_match_at_most():
    gold = with_gold(Document("a", "a gout"), [(2, 6)], ["Disease"])
    twice = Prediction("a", (Span(1, 6, "Disease"), Span(1, 6, "Disease")))
    assert mending.best_edges(mending.pairs([gold], [twice]))[1] == 1


def test_of_documents_that_fit_equally_the_nearest_is_named():
    fits = Counter({(3, 0): 5, (3, 5): 5, (3, 7): 5, (3, 3): 1})
    assert list(mending.better_documents(fits)) == [(2, 4)]
    assert list(mending.better_documents(fits + Counter({(3, 3): 1}))) == []


def test_discontinuous_mentions_move_as_one():
    text = "pain in the arm and the knee and weak legs or arms today " * 5
    entities = [
        Entity(((57 * at, 57 * at + 4), (57 * at + 12, 57 * at + 15)), "Sign") for at in range(5)
    ]
    pair = mending.pairs(
        [Document("a", text, tuple(entities))],
        [
            Prediction(
                "a",
                tuple(
                    Span(57 * a + 2, 57 * a + 17, "Sign", gaps=((57 * a + 6, 57 * a + 14),))
                    for a in range(5)
                ),
            )
        ],
    )[0]
    assert mending.best_offset(pair) == (2, 5)
    assert mending.best_edges([pair])[1] == 0


def test_a_title_that_is_right_above_an_abstract_that_is_moved():
    document = corpus("generated")[0]
    end = title(document)
    _, read = passage_offsets_added_to_document_offsets([document])
    pair = mending.pairs(read, perfect([document]))[0]
    right = sum(entity.start < end for entity in document.entities)
    assert mending.best_offset(pair) == (-end, len(read[0].entities) - right)


@st.composite
def small(draw) -> tuple[list[Document], list[Prediction]]:
    """Up to five documents of few places, so that most mentions are in several."""
    mention = st.tuples(st.integers(0, 3), st.integers(1, 3), st.sampled_from(TYPES))
    sides = st.lists(st.lists(mention, max_size=4), min_size=1, max_size=5)
    documents, predictions = [], []
    for number, gold in enumerate(draw(sides)):
        entities = tuple(Entity(((s, s + n),), type_) for s, n, type_ in gold)
        documents.append(Document(str(number), "a bc def", entities))
        found = draw(st.lists(mention, max_size=4))
        spans = tuple(Span(s, s + n, type_) for s, n, type_ in found)
        predictions.append(Prediction(str(number), spans))
    return documents, predictions


@settings(max_examples=100, deadline=None)
@given(small())
def test_figures_are_those_of_scores_on_changed_gold(given_):
    """Strict scores of the gold, of one type, and of every other document's."""
    documents, predictions = given_
    found = check_alignment(documents, predictions, permutations=20)
    assert found.strict_f1 == score(documents, predictions).overall.f1
    one = dict.fromkeys(TYPES, "Any")
    untyped = [
        replace(p, spans=tuple(replace(span, type="Any") for span in p.spans)) for p in predictions
    ]
    assert found.exact_f1 == score(collapse_types(documents, one), untyped).overall.f1
    assert found.strict_f1 <= found.mended_f1["offset"] <= 1
    assert found.strict_f1 <= found.mended_f1["document"]
    assert found.strict_f1 <= found.mended_f1["anywhere"] <= 1

    pairs, n = mending.pairs(documents, predictions), len(documents)
    alike = [[len(a.found.keys() & b.gold.keys()) for b in pairs] for a in pairs]
    total = sum(alike[i][j] for i in range(n) for j in range(n) if i != j)
    assert mending.mean_with_others(pairs) == (total / (n - 1) if n > 1 else 0)
    fits = mending.fits(pairs)
    assert all(fits[i, j] == alike[i][j] for i in range(n) for j in range(n))
    for distance, more in mending.better_documents(fits):
        assert any(
            0 <= i + distance < n and alike[i][i + distance] - alike[i][i] == more for i in range(n)
        )


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_all_permutations(seed: int):
    rng = random.Random(seed)
    fits = Counter({(i, j): rng.randint(0, 2) + (i == j) for i in range(5) for j in range(5)})
    totals = [sum(fits[pair] for pair in enumerate(order)) for order in permutations(range(5))]
    share = sum(total >= totals[0] for total in totals) / len(totals)  # the first is in order
    assert 0 < share < 1
    assert mending.p_value(fits, 5, 20_000, seed) == pytest.approx(share, abs=0.015)
    assert mending.p_value(fits, 5, 99, seed) == mending.p_value(fits, 5, 99, seed)


def test_documents_and_predictions_must_fit():
    document = corpus("generated")[0]
    with pytest.raises(UserError, match="does not have"):
        check_alignment([document], [Prediction("other")])


def test_the_order_of_predictions_does_not_matter():
    documents = corpus("generated")
    predictions = tagged(documents, MEDIOCRE)
    assert check_alignment(documents, predictions) == check_alignment(documents, predictions[::-1])


def test_lines_say_what_was_found_and_to_dict_goes_into_json():
    documents = corpus("generated")
    _, read = half_shifted(documents)
    found = check_alignment(read, perfect(documents))
    first, words, moved, advice = found.lines()
    assert first.startswith("gold and predictions are misaligned: strict F1 0.5")
    assert "whatever the position 1.000" in first and "p = 0.001" in first
    assert words.startswith("it is the gold: in the middle of a word begin ")
    assert moved == "F1 would be 1.000 with the gold moved in 20 of 40 documents (in 20 by -1)"
    assert advice.startswith("this score says nothing of the model")
    record = json.loads(json.dumps(found.to_dict()))
    assert record["verdict"] == "misaligned" and record["offsets"] == {"-1": 20}
    assert record["mended_f1"]["offset"] == record["position_free_f1"] == 1

    _, read = next_document(documents)
    lines = check_alignment(read, perfect(documents)).lines()
    assert any(
        line.endswith("40 of 40 documents (in 39 the one at -1 in the list)") for line in lines
    )

    _, read = types_swapped(documents)
    found = check_alignment(read, perfect(documents))
    assert len(found.lines()) == 2 and "Chemical as Disease" in found.lines()[1]
    confusions = json.loads(json.dumps(found.to_dict()))["confusions"]
    assert sum(row["mentions"] for row in confusions) == found.gold
    assert {(row["gold"], row["predicted"]) for row in confusions} == {TYPES, TYPES[::-1]}


def test_it_is_fast():
    documents = generated(1, 500)
    predictions = tagged(documents, MEDIOCRE)
    assert sum(len(document.entities) for document in documents) > 5_000
    _, read = next_document(documents)
    times = []
    for gold in (documents, read):
        begin = time.process_time()
        assert isinstance(check_alignment(gold, predictions), Alignment)
        times.append(time.process_time() - begin)
    assert min(times) < 2  # 0.4 s on a free machine


def test_one_huge_document():
    """As CoNLL files without document marks are read."""
    entities = tuple(Entity(((5 * at, 5 * at + 4),), "Disease") for at in range(10_000))
    document = Document("a", "gout " * 10_000, entities)
    read, predictions = [shifted(document, 1)], perfect([document])
    found = check_alignment(read, predictions)
    assert found.verdict == "misaligned"
    assert found.mended_f1["offset"] > 0.99
    pair = mending.pairs(read, predictions)[0]
    tracemalloc.start()
    mending.best_offset(pair)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20  # all pairs of mentions are 800 MB
