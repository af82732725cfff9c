"""Counts of the releases, as published or counted by other means."""

import re
from collections import Counter
from pathlib import Path

import pytest
from handmade import RELEASES, real
from real_data import CORPORA, needs_corpora

from medner.corpora import Corpus
from medner.documents import entity_types


@needs_corpora
def test_maccrobat_counts():
    corpus = real("maccrobat")
    found = [entity for document in corpus.documents for entity in document.entities]
    assert len(corpus.documents) == 160
    assert len(found) == 20_360
    assert len(entity_types(corpus.documents)) == 41
    assert sum(entity.discontinuous for entity in found) == 35
    assert corpus.parts == {}
    reported = (Path(CORPORA) / "maccrobat2020.test_pmids.txt").read_text().split()
    assert len(reported) == 20
    assert set(reported) < {document.id for document in corpus.documents}
    lines = Counter(
        line[:1]
        for file in (Path(CORPORA) / "maccrobat2020").glob("*.ann")
        for line in file.read_bytes().split(b"\n")
    )
    assert corpus.passed_over == {
        "attributes": lines[b"A"],
        "equivalences": lines[b"*"],
        "events": lines[b"E"],
        "notes": lines[b"#"],
        "relations": lines[b"R"],
    }
    assert corpus.passed_over["events"] == 11_640


@needs_corpora
def test_ncbi_counts():
    corpus = real("ncbi")
    counts = part_counts(corpus)
    assert {part: len(ids) for part, ids in corpus.parts.items()} == {
        "train": 593,
        "validation": 100,
        "test": 100,
    }
    assert {part: count.total() for part, count in counts.items()} == {
        "train": 5_145,
        "validation": 787,
        "test": 960,
    }
    types = {"SpecificDisease", "DiseaseClass", "CompositeMention", "Modifier"}
    assert all(set(count) == types for count in counts.values())
    assert corpus.passed_over == {}


@needs_corpora
def test_ncbi_holds_a_document_twice_in_one_group():
    documents = {document.id: document for document in real("ncbi").documents}
    first, second = documents["8528200"], documents["8528200#2"]
    assert (first.text, first.entities) == (second.text, second.entities)
    assert first.group == second.group == "8528200"
    assert [document.id for document in documents.values() if document.group] == [
        "8528200",
        "8528200#2",
    ]
    assert {"8528200", "8528200#2"} < set(real("ncbi").parts["train"])


@needs_corpora
def test_bc5cdr_counts():
    corpus = real("bc5cdr")
    assert {part: len(ids) for part, ids in corpus.parts.items()} == dict.fromkeys(
        ("train", "validation", "test"), 500
    )
    assert part_counts(corpus) == {
        "train": {"Disease": 4_182, "Chemical": 5_203},
        "validation": {"Disease": 4_244, "Chemical": 5_347},
        "test": {"Disease": 4_424, "Chemical": 5_385},
    }
    assert corpus.passed_over == {"relations": 3_116}
    assert corpus.errata == ()


def part_counts(corpus: Corpus) -> dict[str, Counter]:
    documents = {document.id: document for document in corpus.documents}
    return {
        part: Counter(entity.type for i in ids for entity in documents[i].entities)
        for part, ids in corpus.parts.items()
    }


@needs_corpora
@pytest.mark.parametrize("name", ["ncbi", "bc5cdr"])
def test_no_mention_crosses_from_title_to_abstract(name):
    """So the separator, which the formats leave open, is in no mention."""
    titles = {
        match[1].decode(): len(match[2].decode())
        for file in (Path(CORPORA) / RELEASES[name].path).iterdir()
        for match in re.finditer(rb"^([^|\n]+)\|t\|(.*)$", file.read_bytes(), re.MULTILINE)
    }
    for document in real(name).documents:
        end = titles[document.id.removesuffix("#2")]
        assert document.text[end] == " "
        assert not any(entity.start <= end < entity.end for entity in document.entities)
