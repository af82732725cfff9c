"""MedNER's own JSONL: groups, fragments, and errors."""

import pytest
from handmade import jsonl, read, write

from medner.documents import Document, Entity
from medner.errors import DataError

ROW = {
    "id": "1",
    "text": "Pain in\nknee and hip",
    "group": "patient 7",
    "entities": [
        {"type": "Sign symptom", "fragments": [[0, 7], [17, 20]], "text": "Pain in hip"},
        {"type": "Sign symptom", "fragments": [[0, 12]], "text": "Pain in\nknee"},
        {"type": "Structure", "fragments": [[8, 12]], "text": "knee"},
    ],
}
DOCUMENT = Document(
    "1",
    ROW["text"],
    (
        Entity(((0, 7), (17, 20)), "Sign symptom"),
        Entity(((0, 12),), "Sign symptom"),
        Entity(((8, 12),), "Structure"),
    ),
    "patient 7",
)


def test_by_hand(tmp_path):
    rows = [ROW, {"id": "2", "text": "x", "entities": []}, {**ROW, "id": "3", "group": None}]
    corpus = read("jsonl", write(tmp_path, {"x.jsonl": jsonl(rows)}))
    assert corpus.documents == (
        DOCUMENT,
        Document("2", "x"),
        Document("3", DOCUMENT.text, DOCUMENT.entities),
    )
    assert corpus.passed_over == {}


def entity(**change) -> list[dict]:
    return [{"type": "S", "fragments": [[0, 4]], "text": "Pain", **change}]


ERRORS = [
    ({"label": "x"}, "field 'label' is unknown, there is id, text, group, entities"),
    (
        {"entities": entity(start=0)},
        "entity 1: field 'start' is unknown, there is type, fragments, text; correct the entity",
    ),
    ({"id": None}, "there is no id; give each document one of its own"),
    ({"group": 1.5}, "group is to be text, not 1.5"),
    ({"text": None}, "text is to be text, not None"),
    ({"entities": {}}, "entities is to be a list, not {}"),
    ({"entities": ["x"]}, "entity 1: an object with a field fragments is wanted, not 'x'; correct"),
    (
        {"entities": [{"type": "S", "fragments": [[0, 4]]}]},
        "entity 1: there is no field text (there is type, fragments); check the format; correct",
    ),
    ({"entities": entity(type="")}, "entity 1: an entity needs a type; correct the entity"),
    ({"entities": entity(fragments=[[0, True]])}, "entity 1: fragments is to be a list of [start,"),
    (
        {"entities": entity() + entity(fragments=[[4, 4]])},
        "entity 2: fragment (4, 4) is empty; correct the entity",
    ),
    (
        {"entities": entity(text="pain")},
        "S at 0-4 is annotated as 'pain', the text has 'Pain'; correct the line, or restore",
    ),
    ({"entities": entity(fragments=[[0, 99]])}, "S at 0-99 ends outside the text of 20 characters"),
    ({"text": " "}, "document 2 is empty but for white space; give it its text, or leave it out"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(change, message, tmp_path):
    write(tmp_path, {"x.jsonl": jsonl([ROW, {**ROW, "id": "2", **change}])})
    with pytest.raises(DataError) as error:
        read("jsonl", tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/x.jsonl:2: {message}")
