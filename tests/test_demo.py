"""The demo corpus is what its README says."""

import re
from collections import Counter
from itertools import pairwise

import pytest
import yaml
from conftest import ROOT

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.duplicates import find_groups

LABEL_MAP = ROOT / "conf" / "eval_dataset" / "label_map" / "disease_disorder.yaml"


@pytest.fixture(scope="module")
def reports() -> Corpus:
    return read_corpus(CorpusSource("demo", "brat", str(ROOT / "demo" / "case_reports")))


@pytest.fixture(scope="module")
def abstracts() -> Corpus:
    return read_corpus(CorpusSource("demo", "pubtator", str(ROOT / "demo" / "abstracts")))


def test_the_sizes_are_those_of_the_readme(reports: Corpus, abstracts: Corpus) -> None:
    text = (ROOT / "demo" / "README.md").read_text()
    assert "synthetic" in text.splitlines()[0]
    named = re.search(r"(\d+) case reports.* (\d+) abstracts", text, re.DOTALL)
    assert (len(reports.documents), len(abstracts.documents)) == (int(named[1]), int(named[2]))
    assert len(reports.documents) >= 40 and len(abstracts.documents) >= 20


def test_every_type_is_in_three_reports(reports: Corpus) -> None:
    label_map = yaml.safe_load(LABEL_MAP.read_text())
    mapped = [type_ for types in label_map["types"].values() for type_ in types]
    found = Counter(
        type_ for document in reports.documents for type_ in {e.type for e in document.entities}
    )
    assert set(found) == {*mapped, *label_map["left_out"]}
    assert min(found.values()) >= 3


def test_the_abstracts_have_both_types(abstracts: Corpus) -> None:
    for document in abstracts.documents:
        assert "Disease" in {entity.type for entity in document.entities}
    types = Counter(e.type for document in abstracts.documents for e in document.entities)
    assert set(types) == {"Disease", "Chemical"}
    assert min(types.values()) > 100


def test_no_text_is_filled_into_a_template(reports: Corpus, abstracts: Corpus) -> None:
    documents = [*reports.documents, *abstracts.documents]
    assert find_groups(documents).groups == ()
    sevens = Counter()
    for document in documents:
        words = re.findall(r"\w+", document.text.casefold())
        sevens.update({tuple(words[at : at + 7]) for at in range(len(words) - 6)})
    repeated = [" ".join(words) for words, count in sevens.items() if count > 1]
    assert len(repeated) < 10, repeated


def test_overlaps_and_gaps_occur(reports: Corpus) -> None:
    assert sum(e.discontinuous for document in reports.documents for e in document.entities) >= 5
    nested = [
        (outer, inner)
        for document in reports.documents
        for outer, inner in pairwise(document.entities)
        if inner.start < outer.end
    ]
    assert len(nested) >= 5
