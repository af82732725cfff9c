"""What flat tags over a system's tokens cannot express, by cause."""

import re

from medner.documents import Document, Entity
from medner.predictions import Prediction, Tokens
from medner.reach import BEYOND, DISCONTINUOUS, INSIDE_TOKEN, OVERLAPPING, Reach, reach_lines

TEXT = "Chest pain, oedema of both legs, hypokalaemia and fever. "


def at(words: str, type_: str, *more: str) -> Entity:
    places = [(TEXT.index(w), TEXT.index(w) + len(w)) for w in (words, *more)]
    return Entity(tuple(places), type_)


ENTITIES = (
    at("Chest pain", "Sign"),
    at("Chest", "Structure"),  # shares its token with the one before
    at("oedema", "Sign", "legs"),
    at("kalaemia", "Lab"),  # the token is the whole word
    at("fever", "Sign"),  # behind what was read
)
DOCUMENT = Document("1", TEXT, ENTITIES)


def words_until(end: int) -> Prediction:
    offsets = tuple(found.span() for found in re.finditer(r"\w+|[^\w\s]", TEXT[:end]))
    tokens = Tokens(offsets, ("O",) * len(offsets), (1.0,) * len(offsets))
    return Prediction("1", (), tokens)


def test_each_loss_has_its_cause() -> None:
    found = Reach.of([DOCUMENT], [words_until(TEXT.index("and"))]).lost()
    assert found == {
        "gold": 5,
        "recall": 1 - 4 / 5,
        "lost": {OVERLAPPING: 1, DISCONTINUOUS: 1, INSIDE_TOKEN: 1, BEYOND: 1},
    }
    (line,) = reach_lines(found)
    assert "4 of 5 entities (1 " in line and line.endswith("the best recall is 0.2000")


def test_whatever_the_text_ends_with_is_not_beyond() -> None:
    found = Reach.of([DOCUMENT], [words_until(len(TEXT))]).lost()
    assert BEYOND not in found["lost"] and found["recall"] == 1 - 3 / 5
    trailing = Document("1", TEXT, (Entity(((TEXT.index("fever"), len(TEXT)),), "Sign"),))
    assert Reach.of([trailing], [words_until(len(TEXT))]).lost()["lost"] == {INSIDE_TOKEN: 1}


def test_nothing_read_reaches_nothing() -> None:
    assert Reach.of([DOCUMENT], [words_until(0)]).lost()["lost"] == {BEYOND: 5}


def test_alone_an_overlapping_entity_is_reached() -> None:
    reach = Reach.of([DOCUMENT], [words_until(len(TEXT))])
    assert [reach.alone(DOCUMENT, entity) for entity in ENTITIES] == [
        True, True, False, False, True,
    ]  # fmt: skip


def test_where_tags_are_copied_a_word_is_reached_as_a_whole_or_not() -> None:
    start = TEXT.index("hypokalaemia")
    offsets = ((start, start + 4), (start + 4, start + 12))
    document = Document("1", TEXT, (at("kalaemia", "Lab"),))
    for copied, lost in ((False, {}), (True, {INSIDE_TOKEN: 1})):
        tokens = Tokens(offsets, ("O", "O"), (1.0, 1.0), copied=copied)
        reach = Reach.of([document], [Prediction("1", (), tokens)])
        assert reach.lost()["lost"] == lost
        assert reach.alone(document, *document.entities) is not copied


def test_without_tokens_nothing_is_known() -> None:
    assert Reach.of([DOCUMENT], [Prediction("1", ())]) is None
    nothing = Document("1", TEXT, ())
    found = Reach.of([nothing], [words_until(len(TEXT))]).lost()
    assert found == {"gold": 0, "recall": 0.0, "lost": {}}
    assert reach_lines(found) == ["out of reach of flat tags over the model's tokens: nothing"]
