"""PubTator: what is read by hand, its line ends, what stands beside it, and errors."""

from dataclasses import replace

import pytest
from handmade import RELEASES, THREE_PARTS, entities, pack, read, write

from medner.corpora import read_corpus
from medner.errors import DataError

TITLE, ABSTRACT = "Gout and|a| fever.", "Aspirin\u2028 helps; old age "
PUBTATOR = {
    "x_train.txt": f"\n7|t|{TITLE}\n7|a|{ABSTRACT}\n"
    "7\t19\t26\tAspirin\tChemical\tD1\n"
    "7\t0\t18\tGout and|a| fever.\tDisease\tD2|D3\tGout|fever\n"
    "7\t35\t38\told\tAge\n"
    "7\tCID\tD1\tD2\n7\tAssociation\tD1\tD2\tNovel\n\n\n"
    "5|t|No mention\n5|a|\n",
    "x_TEST.txt": "a-1|t|T\na-1|a|Ache\na-1\t2\t6\tAche\tDisease\t-1",
}
ENTITIES = [
    ("a-1", "Disease", ((2, 6),), "Ache"),
    ("7", "Disease", ((0, 18),), "Gout and|a| fever."),
    ("7", "Chemical", ((19, 26),), "Aspirin"),
    ("7", "Age", ((35, 38),), "old"),
]


def test_by_hand(tmp_path):
    corpus = read("pubtator", write(tmp_path, PUBTATOR))
    assert [document.id for document in corpus.documents] == ["a-1", "7", "5"]
    assert [document.text for document in corpus.documents[1:]] == [
        f"{TITLE} {ABSTRACT}",
        "No mention ",
    ]
    assert entities(corpus) == ENTITIES
    assert corpus.passed_over == {"relations": 2}
    assert corpus.parts == {}
    in_parts = read("pubtator", tmp_path, parts=THREE_PARTS)
    assert in_parts.documents == corpus.documents
    assert in_parts.parts == {"train": ("7", "5"), "test": ("a-1",)}


def test_crlf_and_byte_order_mark(tmp_path):
    plain = write(tmp_path / "lf", PUBTATOR)
    crlf = write(
        tmp_path / "crlf",
        {name: "\ufeff" + text.replace("\n", "\r\n") for name, text in PUBTATOR.items()},
    )
    assert read("pubtator", plain) == read("pubtator", crlf)


def test_release_with_other_formats_beside(tmp_path):
    """BC5CDR's archive holds BioC and, as PubTator, the output of two systems on the test part."""
    document = "1|t|T\n1|a|A\n1\t0\t1\tT\tDisease\tD1\n"
    files = {
        "CDR.Corpus.v010516/CDR_TrainingSet.PubTator.txt": document,
        "CDR.Corpus.v010516/CDR_TrainingSet.BioC.xml": "<xml/>",
        "CDR.Corpus.v010516/CDR_TestSet.PubTator.txt": "2|t|T\n2|a|A\n",
        "CDR.Corpus.v010516/readme.txt": "no PubTator",
        "DNorm.TestSet/TestSet.DNorm.PubTator.txt": document,
    }
    archive = pack(write(tmp_path / "CDR_Data", files), tmp_path / "CDR_Data.zip")
    corpus = read_corpus(replace(RELEASES["bc5cdr"], path=str(archive)))
    assert corpus.parts == {"train": ("1",), "test": ("2",)}
    assert corpus.passed_over == {"files": 3}


# Errors: every message names the file, the line, and what to do

HEAD = "1|t|He has\n1|a|high fever\n"
ERRORS = {
    f"{HEAD}1\t7\t17\thigh fewer\tS\tD": "x.txt:3: S at 7-17 is annotated as 'high fewer', the "
    "text has 'high fever'; correct the line, ",
    f"\n{HEAD}1\t12\t18\tfever\tS\tD": "x.txt:4: S at 12-18 ends outside the text of 17 ",
    f"{HEAD}2\t7\t17\thigh fever\tS\tD": "x.txt:3: a line of document 2 under document 1; move it "
    "to its document, or correct its id",
    f"{HEAD}2\tCID\tD1\tD2": "x.txt:3: a line of document 2 under document 1; ",
    f"{HEAD}1\t17\t7\thigh fever\tS\tD": "x.txt:3: fragment (17, 7) is empty; correct the offsets",
    f"{HEAD}1\t7\tx\thigh fever\tS\tD": "x.txt:3: '1\\t7\\tx\\thigh fever\\tS\\tD' is neither a "
    "mention nor a relation; write id, start, end, mention, type and concept, separated by tabs",
    f"{HEAD}1\t7\t17\thigh fever": "x.txt:3: '1\\t7\\t17\\thigh fever' is neither a mention nor a ",
    f"{HEAD}1\t7\t17\thigh\tfever\tS\tD\tp": "x.txt:3: '1\\t7\\t17\\thigh\\tfever\\tS\\tD\\tp' is ",
    f"{HEAD}2|t|T": "x.txt:3: '2|t|T' stands among the mentions of document 1; put a blank line "
    "before each document",
    f"{HEAD}\n1\t7\t17\thigh fever\tS\tD": "x.txt:4: '1\\t7\\t17\\thigh fever\\tS\\tD' is no title"
    "; a document starts with id|t|title; blank lines stand only between documents",
    f"{HEAD}\n2|x|T": "x.txt:4: '2|x|T' is no title; ",
    "1|t|T\n\n1|a|A": "x.txt:1: the title of 1 is not followed by its abstract; ",
    "1\t7\t17\thigh fever\tS\tD": "x.txt:1: '1\\t7\\t17\\thigh fever\\tS\\tD' is no title; ",
    "1|t|T": "x.txt:1: the title of 1 is not followed by its abstract; write 1|a|abstract on the "
    "line after the title",
    "1|t|T\n2|a|A": "x.txt:2: the title of 1 is not followed by its abstract; ",
}


@pytest.mark.parametrize(("text", "message"), ERRORS.items())
def test_errors(text, message, tmp_path):
    path = write(tmp_path, {"x.txt": text}) / "x.txt"
    with pytest.raises(DataError) as error:
        read("pubtator", path)
    assert str(error.value).startswith(f"{tmp_path}/{message}")


def test_a_title_that_is_none_takes_no_other_document_with_it(tmp_path):
    good = f"{HEAD}1\t12\t17\tfever\tS\tD"
    write(tmp_path, {"x.txt": f"{good}\n\n2|x|T\n2|a|A\n2\t0\t1\tT\tS\tD\n"})
    corpus = read("pubtator", tmp_path, on_error="skip")
    assert [document.id for document in corpus.documents] == ["1"]
    assert corpus.skipped == (
        f"{tmp_path}/x.txt:5: '2|x|T' is no title; a document starts with id|t|title; blank lines "
        "stand only between documents",
    )
