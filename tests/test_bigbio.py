"""BigBIO: passages that make a text, entities of several fragments, and errors."""

import copy

import pytest
from handmade import jsonl, parquet, read, write

from medner.documents import Document, Entity
from medner.errors import DataError

ROW = {
    "id": "0",
    "document_id": "7",
    "passages": [
        {"id": "p1", "type": "title", "text": ["Gout"], "offsets": [[0, 4]]},
        {
            "id": "p2",
            "type": "abstract",
            "text": ["pain in knee", "", "and hip."],
            "offsets": [[7, 19], [20, 20], [20, 28]],
        },
    ],
    "entities": [
        {"id": "T1", "type": "Disease", "text": ["Gout"], "offsets": [[0, 4]], "normalized": []},
        {
            "id": "T2",
            "type": "Sign-symptom",
            "text": ["pain in", "hip"],
            "offsets": [[7, 14], [24, 27]],
            "normalized": [{"db_name": "MESH", "db_id": "D1"}],
        },
    ],
    "events": [],
    "coreferences": [{"id": "c", "entity_ids": ["T1", "T2"]}],
    "relations": [],
}
DOCUMENT = Document(
    "7",
    "Gout   pain in knee and hip.",
    (Entity(((0, 4),), "Disease"), Entity(((7, 14), (24, 27)), "Sign-symptom")),
)


def changed(**change) -> dict:
    return {**copy.deepcopy(ROW), **change}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_by_hand(form, tmp_path):
    rows = [ROW, {**ROW, "document_id": "8", "entities": []}]
    write(tmp_path, {f"x.{form}": (jsonl if form == "jsonl" else parquet)(rows)})
    corpus = read("bigbio", tmp_path)
    assert corpus.documents == (DOCUMENT, Document("8", DOCUMENT.text))
    assert corpus.passed_over == {"coreferences": 2}


def test_the_id_is_that_of_the_row_where_there_is_no_other(tmp_path):
    rows = [changed(), changed(id=12)]
    del rows[1]["document_id"], rows[1]["events"]
    corpus = read("bigbio", write(tmp_path, {"x.jsonl": jsonl(rows)}))
    assert [document.id for document in corpus.documents] == ["7", "12"]


def test_a_mention_of_two_lines_may_be_printed_on_one(tmp_path):
    passages = [{"text": ["Gout\nand fever"], "offsets": [[0, 14]]}]
    for text in ("Gout and", "Gout\nand"):
        entity = {"type": "D", "text": [text], "offsets": [[0, 8]]}
        rows = [changed(passages=passages, entities=[entity])]
        (document,) = read("bigbio", write(tmp_path, {"x.jsonl": jsonl(rows)})).documents
        assert document.mention(document.entities[0]) == "Gout\nand"


def passages(*parts: tuple[str, int, int]) -> list[dict]:
    return [{"text": [text], "offsets": [[start, end]]} for text, start, end in parts]


def entity(**change) -> list[dict]:
    return [{"type": "D", "text": ["Gout"], "offsets": [[0, 4]], **change}]


ERRORS = [
    (
        {"passages": passages(("Gout", 0, 5))},
        "passage 1 at 0-5 has a text of 4 characters; correct its offsets, which count characters",
    ),
    ({"passages": passages(("Gout", -4, 0))}, "passage 1 at -4-0 has a text of 4 characters; "),
    (
        {"passages": passages(("ache", 3, 7), ("Gout", 0, 4))},
        "the passage at 3-7 overlaps the one before, which ends at 4; correct their offsets",
    ),
    (
        {"passages": passages(("Gout", 0, 4), ("x", 10**7, 10**7 + 1))},
        "the passage at 10000000-10000001 is 9,999,996 characters after the one before; correct",
    ),
    (
        {"passages": [{"text": ["Gout", "x"], "offsets": [[0, 4]]}]},
        "passage 1 has 2 texts, but 1 offsets; give each text its [start, end]",
    ),
    ({"passages": "Gout"}, "passages is to be a list, not 'Gout'"),
    ({"passages": passages((4, 0, 4))}, "text is to be text, not 4"),
    ({"passages": ["Gout"]}, "an object with a field text is wanted, not 'Gout'"),
    ({"entities": None}, "entities is to be a list, not None"),
    (
        {"entities": entity(text=["gout"])},
        "D at 0-4 is annotated as 'gout', the text has 'Gout'; correct the line, or restore",
    ),
    ({"entities": entity(offsets=[[0, 40]])}, "D at 0-40 ends outside the text of 28 characters; "),
    ({"entities": entity(offsets=[[0, 0]])}, "entity 1: fragment (0, 0) is empty; correct the "),
    (
        {"entities": entity() + entity(offsets=[[7, 9], [0, 4]])},
        "entity 2: fragments ((7, 9), (0, 4)) overlap, are out of order or negative; correct the",
    ),
    ({"entities": entity(offsets=[])}, "entity 1: an entity needs at least one fragment; correct"),
    (
        {"entities": entity(offsets=[0, 4])},
        "entity 1: offsets is to be a list of [start, end], not [0, 4]; correct the entity",
    ),
    ({"entities": entity(offsets=[[0, 4.0]])}, "entity 1: offsets is to be a list of [start, end]"),
    ({"entities": entity(text="Gout")}, "entity 1: text is to be a list, not 'Gout'; correct the"),
    ({"entities": entity(type=None)}, "entity 1: type is to be text, not None; correct the entity"),
    ({"document_id": " "}, "document_id is empty; give each document an id of its own"),
    ({"document_id": 1.5}, "document_id is to be text, not 1.5"),
    (
        {"document_id": None, "id": None},
        "there is neither document_id nor id; give each document an id of its own",
    ),
]


@pytest.mark.parametrize(("change", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(change, message, tmp_path):
    write(tmp_path, {"x.jsonl": jsonl([ROW, {**ROW, "document_id": "8", **change}])})
    with pytest.raises(DataError) as error:
        read("bigbio", tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/x.jsonl:2: {message}")
