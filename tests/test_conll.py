"""Column files: documents, sentences, columns, and errors."""

import re

import pytest
from handmade import entities, read, write

from medner.corpora.conll import SENTENCES
from medner.errors import DataError

CONLL = """\
-DOCSTART- -X- O O

He PRP B-NP O
took VBD B-VP O
low\u00a0dose JJ B-NP B-Drug
aspirin NN I-NP I-Drug

daily RB B-ADVP I-Drug


-DOCSTART- -X- O O

# # # O
Fine JJ B-ADJP O
"""


def test_by_hand(tmp_path):
    corpus = read("conll", write(tmp_path, {"train.conll": CONLL}))
    assert [(document.id, document.text) for document in corpus.documents] == [
        ("train-1", "He took low\u00a0dose aspirin\ndaily"),
        ("train-2", "# Fine"),
    ]
    assert entities(corpus) == [
        ("train-1", "Drug", ((8, 24),), "low\u00a0dose aspirin"),
        ("train-1", "Drug", ((25, 30),), "daily"),
    ]
    assert corpus.passed_over == {}


def test_tabs_and_crlf(tmp_path):
    """Where a line has a tab, a token may hold spaces."""
    with_tabs = "-DOCSTART-\r\n3 x 4 cm\tO\tB-Area\r\nhe\tO\r\n"
    corpus = read("conll", write(tmp_path, {"a.tsv": "\ufeff" + with_tabs}))
    assert corpus.documents[0].text == "3 x 4 cm he"
    assert entities(corpus) == [("a-1", "Area", ((0, 8),), "3 x 4 cm")]


def test_without_docstart_a_sentence_is_a_document_and_it_is_said(tmp_path):
    unmarked = "\n".join(line for line in CONLL.split("\n") if not line.startswith("-DOC"))
    write(tmp_path, {"a.bio": unmarked, "b.iob2": CONLL})
    corpus = read("conll", tmp_path)
    assert [document.id for document in corpus.documents] == ["a-1", "a-2", "a-3", "b-1", "b-2"]
    assert [document.text for document in corpus.documents[:3]] == [
        "He took low\u00a0dose aspirin",
        "daily",
        "# Fine",
    ]
    assert corpus.notes == (f"3 of 5 documents: {SENTENCES}",)
    assert corpus.documents[1].entities[0].type == "Drug"


def test_a_document_may_stand_before_the_first_docstart(tmp_path):
    corpus = read("conll", write(tmp_path, {"a.txt": "He B-A\n-DOCSTART- O\nhas O"}))
    assert [document.text for document in corpus.documents] == ["He", "has"]
    assert corpus.notes == ()


ERRORS = {
    "He O\nhas": "a.txt:2: 'has' is no token with a tag; write the token in the first column and "
    "its tag in the last, separated by a tab or spaces, and -DOCSTART- where a document starts",
    "###MEDLINE:95369245\n\nHe O": "a.txt:1: '###MEDLINE:95369245' is no token with a tag; ",
    "\tO": "a.txt:1: '\\tO' is no token with a tag; ",
    " O": "a.txt:1: ' O' is no token with a tag; ",
    "He O\nold Age": "a.txt:2: tag 'Age' is unknown; write O, or a type after B-, I-, E-, S- (or ",
    "He\tO\nold\tB-Age\t": "a.txt:2: tag '' is unknown; write O",
    "He 0": "a.txt:1: tag '0' is unknown; ",
    "He B-A\n\n-DOCSTART-\n-DOCSTART- O\nHe O": "a.txt:3: document a-2 is empty; give it its text",
    "He O\n": ": no document has an entity; give the release that holds the annotations, and ",
}


@pytest.mark.parametrize(("text", "message"), ERRORS.items(), ids=range(len(ERRORS)))
def test_errors(text, message, tmp_path):
    write(tmp_path, {"a.txt": text})
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}/?{re.escape(message)}"):
        read("conll", tmp_path)
