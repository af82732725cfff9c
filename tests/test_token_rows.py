"""Rows of tokens and tags: as the hub has MACCROBAT, and errors."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from handmade import entities, jsonl, parquet, read, real, release, write
from real_data import needs_corpora

from medner.documents import Document, Entity
from medner.errors import DataError

ROW = {
    "tokens": ["A", "54", "-", "year-old", "\n", "woman", "\n", "\n", "smokes", "\n"],
    "tags": ["O", "B-Age", "I-Age", "I-Age", "O", "B-Sex", "O", "O", "O", "O"],
}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_by_hand(form, tmp_path):
    write(tmp_path, {f"data.{form}": (jsonl if form == "jsonl" else parquet)([ROW, ROW])})
    corpus = read("tokens", tmp_path)
    assert [document.id for document in corpus.documents] == ["data-1", "data-2"]
    assert {document.text for document in corpus.documents} == {
        "A 54 - year-old\nwoman\n\nsmokes\n"
    }
    assert entities(corpus)[:2] == [
        ("data-1", "Age", ((2, 15),), "54 - year-old"),
        ("data-1", "Sex", ((16, 21),), "woman"),
    ]


def test_ids(tmp_path):
    rows = [
        {**ROW, "id": "a"},
        {**ROW, "id": 2},
        {**ROW, "document_id": "c", "id": "a"},
        {**ROW, "id": None},
    ]
    corpus = read("tokens", write(tmp_path, {"x.y.jsonl": jsonl(rows)}))
    assert [document.id for document in corpus.documents] == ["a", "2", "c", "x.y-4"]


def test_empty_tokens_are_counted(tmp_path):
    row = {"tokens": ["", "He", ""], "tags": ["O", "B-A", "O"]}
    corpus = read("tokens", write(tmp_path, {"x.jsonl": jsonl([row])}))
    assert (corpus.documents[0].text, corpus.passed_over) == ("He", {"empty tokens": 2})


def kept_on_the_hub(path: Path, document: Document) -> list[Entity]:
    """The hub's conversion keeps a line that starts at or after the end of the last one kept, in
    the order of the file."""
    kept: list[Entity] = []
    for line in path.read_text().split("\n"):
        if match := re.match(r"T\d+\t(\S+) (\d+) (\d+)\t", line):
            entity = Entity(((int(match[2]), int(match[3])),), match[1])
            if not kept or entity.start >= kept[-1].end:
                assert entity in document.entities
                kept.append(entity)
    return kept


def hub_row(document: Document, kept: list[Entity]) -> dict:
    """Words, signs and line breaks, cut where an entity starts or ends."""
    bounds = sorted({0, len(document.text), *(at for e in kept for at in (e.start, e.end))})
    tokens, tags, started = [], [], set()
    for start, end in pairwise(bounds):
        inside = next((e for e in kept if e.start <= start < e.end), None)
        for token in re.findall(r"\n|\w+|[^\w\s]", document.text[start:end]):
            tokens.append(token)
            prefix = "I" if inside in started else "B"
            tags.append(f"{prefix}-{inside.type}" if inside else "O")
            started.add(inside)
    return {"tokens": tokens, "tags": tags}


@needs_corpora
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_maccrobat_as_the_hub_has_it(form, tmp_path):
    """``ktgiahieu/maccrobat2018_2020``: newline tokens, tags as strings, neither ids nor texts."""
    documents = real("maccrobat").documents
    folder = Path(release("maccrobat").path)
    kept = [kept_on_the_hub(folder / f"{d.id}.ann", d) for d in documents]
    rows = [hub_row(d, of_it) for d, of_it in zip(documents, kept, strict=True)]
    assert sum("\n" in row["tokens"] for row in rows) > 150
    data = (jsonl if form == "jsonl" else parquet)(rows)
    corpus = read("tokens", write(tmp_path, {f"data.{form}": data}))

    assert [d.id for d in corpus.documents] == [f"data-{i}" for i in range(1, 161)]
    total = sum(map(len, kept))
    assert 0.5 < total / 20_360 < 0.56  # nearly half is lost
    assert sum(len(d.entities) for d in corpus.documents) == total

    def bare(text: str) -> str:
        return re.sub(r"[^\S\n]", "", text)

    for document, original, of_it in zip(corpus.documents, documents, kept, strict=True):
        assert bare(document.text) == bare(original.text)
        assert document.text.count("\n") == original.text.count("\n")
        assert " \n" not in document.text and "\n " not in document.text
        assert Counter((e.type, bare(document.mention(e))) for e in document.entities) == Counter(
            (e.type, bare(original.mention(e))) for e in of_it
        )


ERRORS = [
    ({"tags": ["O"]}, "there are 10 tokens, but 1 tags; give every token one tag"),
    (
        {"tags": list(range(10))},
        "tags are numbers (0, ...); write their names, such as B-Age: a ClassLabel's features list "
        "them in order",
    ),
    (
        {"tags": ["O", "Age", *["O"] * 8]},
        "token 2: tag 'Age' is unknown; write O, or a type after B-, I-, E-, S- (or L-, U-)",
    ),
    ({"tags": [*["O"] * 9, None]}, "token 10: tag is to be text, not None"),
    ({"tokens": [*ROW["tokens"][:9], 7]}, "token 10 is to be text, not 7"),
    ({"tokens": ["A", "", *ROW["tokens"][2:]]}, "token 2 is empty, but tagged as an entity"),
    ({"tokens": "A 54"}, "tokens is to be a list, not 'A 54'"),
    ({"tokens": None}, "tokens is to be a list, not None"),
    ({"tokens": [], "tags": []}, "document x-2 is empty; give it its text, or leave it out"),
    ({"tokens": ["\n"] * 10, "tags": ["O"] * 10}, "document x-2 is empty but for white space; "),
    ({"id": ""}, "id is empty; give each document an id of its own"),
    ({"id": True}, "id is to be text, not True"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(change, message, tmp_path):
    write(tmp_path, {"x.jsonl": jsonl([ROW, {**ROW, **change}])})
    with pytest.raises(DataError) as error:
        read("tokens", tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/x.jsonl:2: {message}")


def test_another_name_for_the_tags(tmp_path):
    row = {"id": "1", "tokens": ROW["tokens"], "ner_tags": ROW["tags"]}
    message = r"x\.parquet row 1: there is no field tags \(there is id, tokens, ner_tags\); check"
    with pytest.raises(DataError, match=message):
        read("tokens", write(tmp_path, {"x.parquet": parquet([row])}))
