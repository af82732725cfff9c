"""Which mentions are found."""

import pytest
from test_scoring import predict

from medner.documents import Document, Entity
from medner.scoring.errors import find_errors
from medner.scoring.label_map import LabelMap
from medner.scoring.mentions import (
    OTHER_TYPE,
    SEEN,
    UNSEEN,
    Share,
    TrainingMentions,
    frequent,
    is_abbreviation,
    recall_by,
    table,
)


def annotated(id: str, text: str) -> Document:
    """``[chest pain|Sign]`` is an entity."""
    plain, entities = "", []
    for piece in text.split("["):
        mention, bracket, rest = piece.partition("]")
        if bracket:
            words, type_ = mention.split("|")
            entities.append(Entity(((len(plain), len(plain) + len(words)),), type_))
            plain += words + rest
        else:
            plain += mention
    return Document(id, plain, tuple(entities))


TRAINING = [annotated("t", "[Chest  pain|Sign] and [CHF|Disease] and [gout|Sign], [gout|Other]")]
DOCUMENT = annotated(
    "d", "[chest pain|Sign], [CHF|Sign], [a very long bad bad pain|Sign], [chest pain|Sign]"
)


def test_recall_by_what_training_had() -> None:
    found = predict("d", (0, 10, "Sign"), (12, 15, "Sign"))
    shares = recall_by([DOCUMENT], [found], TrainingMentions(TRAINING, None))
    assert shares == {
        "length": {
            "1 word": Share(1, 1), "2 words": Share(2, 1), "5 words and more": Share(1, 0),
        },
        "form": {"abbreviation": Share(1, 1), "other": Share(3, 1)},
        "novelty": {SEEN: Share(2, 1), OTHER_TYPE: Share(1, 1), UNSEEN: Share(1, 0)},
        "type frequency in training": {"1 to 9": Share(4, 2)},
    }  # fmt: skip
    assert list(shares["novelty"]) == [SEEN, OTHER_TYPE, UNSEEN]
    assert table(shares).splitlines()[1].split() == ["length", "1", "word", "1", "1", "1.000"]
    assert set(recall_by([DOCUMENT], [found], None)) == {"length", "form"}


def test_training_types_are_those_that_the_map_makes_of_them() -> None:
    label_map = LabelMap("m", {"Illness": ("Disease", "Sign")}, ("Other",))
    training = TrainingMentions(TRAINING, label_map)
    assert training.novelty("chf", "Illness") == SEEN
    assert training.novelty("gout", "Illness") == SEEN
    assert training.novelty("gout", "Drug") == OTHER_TYPE
    assert training.frequency("Illness") == "1 to 9"
    assert training.frequency("Drug") == "never"


def test_an_entity_that_comes_twice_is_found_once() -> None:
    twice = Document("d", "gout", (Entity(((0, 4),), "A"), Entity(((0, 4),), "A")))
    shares = recall_by([twice], [predict("d", (0, 4, "A"))], None)
    assert shares["length"] == {"1 word": Share(2, 1)}


@pytest.mark.parametrize("mention", ["CHF", "IL-6", "NSAIDs", "HbA1c", "SpO2", "T2DM", "COVID-19"])
def test_abbreviations(mention: str) -> None:
    assert is_abbreviation(mention)


@pytest.mark.parametrize(
    "mention", ["Fever", "chf", "CHF attack", "A", "CARDIOMYOPATHY", "T-cell", ""]
)
def test_no_abbreviations(mention: str) -> None:
    assert not is_abbreviation(mention)


def test_the_most_frequent_missed_and_invented() -> None:
    documents = [DOCUMENT, annotated("e", "[Chest pain|Sign] with oedema")]
    errors = find_errors(documents, [predict("d", (12, 15, "Lab")), predict("e", (16, 22, "Lab"))])
    assert frequent(documents, errors) == {
        "missed": [
            ("chest pain", "Sign", 3),
            ("a very long bad bad pain", "Sign", 1),
            ("chf", "Sign", 1),
        ],
        "invented": [("chf", "Lab", 1), ("oedema", "Lab", 1)],
    }
    assert frequent(documents, errors, most=1)["missed"] == [("chest pain", "Sign", 3)]
