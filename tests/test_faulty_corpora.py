"""read_corpus given what is wrong: a document, a file or a corpus, an option."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import (
    RELEASES,
    as_bigbio,
    as_jsonl,
    json_array,
    jsonl,
    pack,
    parquet,
    read,
    real,
    write,
)
from real_data import CORPORA, needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document, Entity
from medner.errors import ConfigError, DataError

# What is wrong with a document, in raising and in skipping. Every case has a good document, too.

BRAT_GOOD = {"0.txt": "He has gout", "0.ann": "T1\tDisease 7 11\tgout\n"}
PUBTATOR_GOOD = "1|t|He has\n1|a|gout\n1\t7\t11\tgout\tDisease\tD1\n"
CONLL_GOOD = "-DOCSTART-\nHe O\nhas O\ngout B-Disease\n\n"
JSONL_GOOD = as_jsonl([Document("1", "He has gout", (Entity(((7, 11),), "Disease"),))])[0]
BIGBIO_GOOD = as_bigbio([Document("1", "He has gout", (Entity(((7, 11),), "Disease"),))])[0]
TOKENS_GOOD = {"id": "1", "tokens": ["He", "has", "gout"], "tags": ["O", "O", "B-Disease"]}


def row(good: dict, **change) -> bytes:
    """A good row and, on the next line, a bad one."""
    return jsonl([good, {**good, "id": "2", **change}])


FAULTY = {
    "ann without txt": ("brat", {"1.ann": ""}, "1.ann: a brat document is one .txt and one .ann"),
    "txt without ann": ("brat", {"1.txt": "He"}, "1.txt: a brat document is one .txt and one .ann"),
    "no brat": ("brat", {"1.txt": "He", "1.ann": "x"}, "1.ann:1: 'x' is no line of a brat .ann"),
    "outside": (
        "brat",
        {"1.txt": "He", "1.ann": "T1\tS 0 1\tH\nT2\tS 0 9\tHe"},
        "1.ann:2: S at 0-9 ends outside the text of 2 characters; correct the line, or",
    ),
    "differs": (
        "brat",
        {"1.txt": "He", "1.ann": "T1\tS 0 2\tShe"},
        "1.ann:1: S at 0-2 is annotated as 'She', the text has 'He'; correct the line, or",
    ),
    "empty": ("brat", {"1.txt": "", "1.ann": ""}, "1.ann: document 1 is empty; give it its text"),
    "blank": (
        "brat",
        {"1.txt": " \r\n\u2005", "1.ann": ""},
        "1.ann: document 1 is empty but for white space; give it its text, or leave it out",
    ),
    "text not UTF-8": (
        "brat",
        {"1.txt": b"He\nha\xff", "1.ann": ""},
        "1.txt:2: not UTF-8 at byte 5; convert the file to UTF-8",
    ),
    "twice": (
        "brat",
        {"a/0.txt": "He", "a/0.ann": ""},
        "a/0.ann: document id 0 occurs again (first at ",
    ),
    "pubtator": (
        "pubtator",
        {"x.txt": f"{PUBTATOR_GOOD}\n2|t|T\n2|a|A\n2\t0\t1\tX\tD\tD\n2\t0\t1\tT\tD\tD"},
        "x.txt:7: D at 0-1 is annotated as 'X'",
    ),
    "pubtator line": (
        "pubtator",
        {"x.txt": f"2|t|T\n2|a|A\nno line\n\n{PUBTATOR_GOOD}"},
        "x.txt:3: 'no line' is neither",
    ),
    "pubtator, mentions apart": (
        "pubtator",
        {"x.txt": f"2|t|T\n2|a|A\n2\t0\t1\tT\tD\tD\n\n2\t2\t3\tA\tD\tD\n\n{PUBTATOR_GOOD}"},
        "x.txt:5: '2\\t2\\t3\\tA\\tD\\tD' is no title",
    ),
    "pubtator, empty": (
        "pubtator",
        {"x.txt": f"2|t|\n2|a|\n\n{PUBTATOR_GOOD}"},
        "x.txt:1: document 2 is empty but for white space",
    ),
    "pubtator, twice": (
        "pubtator",
        {"x.txt": f"{PUBTATOR_GOOD}\n{PUBTATOR_GOOD}"},
        "x.txt:5: document id 1 occurs again (first at ",
    ),
    "conll": (
        "conll",
        {"x.txt": f"-DOCSTART-\nHe\tO\n\nshe\tAge\n\n{CONLL_GOOD}"},
        "x.txt:4: tag 'Age' is unknown; write O, or a type after B-, I-, E-, S- (or L-, U-)",
    ),
    "conll, empty": (
        "conll",
        {"x.txt": f"{CONLL_GOOD}-DOCSTART-\n\n-DOCSTART-\nHe O"},
        "x.txt:6: document x-2 is empty; give it its text",
    ),
    "bigbio": (
        "bigbio",
        {"x.jsonl": row(BIGBIO_GOOD, document_id="2", passages=[])},
        "x.jsonl:2: document 2 is empty",
    ),
    "tokens": (
        "tokens",
        {"x.jsonl": row(TOKENS_GOOD, tags=["O"])},
        "x.jsonl:2: there are 3 tokens, but 1 tags; give every token one tag",
    ),
    "jsonl": (
        "jsonl",
        {"x.jsonl": row(JSONL_GOOD, text="He had gout!"[1:])},
        "x.jsonl:2: Disease at 7-11 is annotated as 'gout', the text has 'out!'",
    ),
    "no JSON": (
        "jsonl",
        {"x.jsonl": jsonl([JSONL_GOOD]) + b"{'id': 2}\n"},
        "x.jsonl:2: is no JSON (Expecting property name enclosed in double quotes at character 2)",
    ),
    "nested too deep": (
        "jsonl",
        {"x.jsonl": jsonl([JSONL_GOOD]) + b"[" * 100_000},
        "x.jsonl:2: maximum recursion depth",
    ),
    "half a pair in the text": (
        "jsonl",
        {"x.jsonl": row(JSONL_GOOD, text="He has gout \ud83d")},
        "x.jsonl:2: the text of document '2' has half of a surrogate pair, '\\ud83d', at character "
        "12; write whole characters",
    ),
    "half a pair in the id": (
        "tokens",
        {"x.jsonl": row(TOKENS_GOOD, id="2\udc00")},
        "x.jsonl:2: the id of document '2\\udc00' has half of a surrogate pair, '\\udc00', at char",
    ),
    "half a pair in a type": (
        "tokens",
        {"x.jsonl": row(TOKENS_GOOD, tags=["O", "O", "B-\ud800"])},
        "x.jsonl:2: the type of document '2' has half of a surrogate pair, '\\ud800', at character",
    ),
    "half a pair in the group": (
        "jsonl",
        {"x.jsonl": row(JSONL_GOOD, group="\ud800")},
        "x.jsonl:2: the group of document '2' has half of a surrogate pair",
    ),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_document_is_an_error_or_left_out(name, zipped, tmp_path):
    format, files, message = FAULTY[name]
    path = write(tmp_path / "c", files)
    if format == "brat":
        write(path, BRAT_GOOD)
    place = f"{path}/"
    if zipped:
        path = pack(path, tmp_path / "c.zip")
        place = f"{path}!release/"
    with pytest.raises(DataError) as error:
        read(format, path)
    assert str(error.value).startswith(place + message)

    corpus = read(format, path, on_error="skip")
    assert corpus.skipped == (str(error.value),)
    good = [document for document in corpus.documents if document.entities]
    assert [document.text for document in good] == ["He has gout"]
    assert [entity.type for entity in good[0].entities] == ["Disease"]
    # conll's second document starts with a line of its own, and one follows that is empty
    assert len(corpus.documents) == (2 if name == "conll, empty" else 1)


# What is wrong with a whole file or corpus: an error whatever is asked for


def _tampered(path: Path, size: int) -> Path:
    """A zip whose member declares another size than it has."""
    pack(write(path / "c", BRAT_GOOD), path / "c.zip")
    data = bytearray((path / "c.zip").read_bytes())
    entry = data.index(b"PK\x01\x02")  # the first of the central directory: a folder
    entry = data.index(b"PK\x01\x02", entry + 4)
    data[entry + 24 : entry + 28] = size.to_bytes(4, "little")
    (path / "c.zip").write_bytes(data)
    return path / "c.zip"


def _zip(path: Path, names: dict[str, str]) -> Path:
    with zipfile.ZipFile(path / "c.zip", "w") as packed:
        for name, text in names.items():
            packed.writestr(name, text)
    return path / "c.zip"


WHOLE = {
    "missing folder": (
        "brat",
        lambda path: path / "gone",
        "gone: corpus hand is not there; give the folder, file or zip that holds it",
    ),
    "nothing in it": ("brat", lambda path: path, "no file matches *.txt or *.ann (found: nothing)"),
    "no document": (
        "pubtator",
        lambda path: write(path, {"x.txt": "\n \n"}),
        ": holds no document; check path and format",
    ),
    "no entity": (
        "brat",
        lambda path: write(path, {"1.txt": "He", "1.ann": ""}),
        ": no document has an entity; give the release that holds the annotations, and check",
    ),
    "pubtator not UTF-8": (
        "pubtator",
        lambda path: write(path, {"x.txt": PUBTATOR_GOOD.encode() + b"\n\xff"}),
        "x.txt:5: not UTF-8 at byte 44; convert the file to UTF-8",
    ),
    "jsonl not UTF-8": (
        "jsonl",
        lambda path: write(path, {"x.jsonl": jsonl([JSONL_GOOD]) + b"\xff"}),
        "x.jsonl:2: not UTF-8 at byte",
    ),
    "no Parquet": (
        "tokens",
        lambda path: write(path, {"x.parquet": "tokens"}),
        "x.parquet: is no Parquet file; fetch it anew",
    ),
    "half a Parquet": (
        "tokens",
        lambda path: write(path, {"x.parquet": parquet([TOKENS_GOOD])[:100]}),
        "x.parquet: cannot be read as Parquet (",
    ),
    "no JSON array": (
        "tokens",
        lambda path: write(path, {"x.json": json_array([TOKENS_GOOD])[:-3]}),
        ": is no JSON (Expecting ",
    ),
    "corrupt zip": (
        "brat",
        lambda path: write(path, {"c.zip": b"PK"}) / "c.zip",
        "c.zip: cannot be read (File is not a zip file); fetch it anew or give it unpacked",
    ),
    "corrupt zip in a folder": (
        "brat",
        lambda path: write(path, BRAT_GOOD | {"c.zip": b"PK"}),
        "c.zip: cannot be read (File is not a zip file); fetch it anew or give it unpacked",
    ),
    "leaves its folder": (
        "brat",
        lambda path: _zip(path, BRAT_GOOD | {"../x.txt": "x"}),
        "c.zip: its member '../x.txt' leaves its folder; fetch it anew",
    ),
    "is absolute": (
        "brat",
        lambda path: _zip(path, {"/tmp/x.txt": "x"}),
        "c.zip: its member '/tmp/x.txt' leaves its folder; ",
    ),
    "leaves its folder on Windows": (
        "brat",
        lambda path: _zip(path, {"C:\\x.txt": "x"}),
        "c.zip: its member 'C:\\\\x.txt' leaves its folder; ",
    ),
    "leaves, in a folder": (
        "brat",
        lambda path: write(path, BRAT_GOOD) and _zip(path, {"__MACOSX/../../x": "x"}).parent,
        "c.zip: its member '__MACOSX/../../x' leaves its folder; ",
    ),
    "explodes": (
        "brat",
        lambda path: _tampered(path, 2**32 - 2),
        "bytes unpack to 4,294,967,3",
    ),
    "explodes by a byte": ("brat", lambda path: _tampered(path, 2**26 + 1), "c.zip: explodes: its"),
    "is larger than it says": (
        "brat",
        lambda path: _tampered(path, 5),
        "c.zip: cannot be read (Bad CRC-32 for file 'release/0.txt'); fetch it anew or give it",
    ),
}


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_read_is_an_error(name, on_error, tmp_path):
    format, make, message = WHOLE[name]
    path = make(tmp_path)
    with pytest.raises(DataError) as error:
        read(format, path, on_error=on_error)
    assert str(error.value).startswith(str(tmp_path))
    assert message in str(error.value)


def test_all_skipped(tmp_path):
    write(tmp_path, {f"{i}.txt": "" for i in range(3)} | {f"{i}.ann": "" for i in range(3)})
    message = (
        f"{tmp_path}: every document is in error (3), the first: {tmp_path}/0.ann: document 0 is "
        "empty; give it its text, or leave it out; check path and format, or correct the documents"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read("brat", tmp_path, on_error="skip")
    write(tmp_path, {"3.txt": "He has gout", "3.ann": ""})
    message = f"{tmp_path}: no document has an entity (and 3 are in error, the first: {tmp_path}/0"
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        read("brat", tmp_path, on_error="skip")


def test_what_is_skipped_counts_nowhere(tmp_path):
    bad = {"1.txt": "He", "1.ann": "R1\tCID Arg1:T1 Arg2:T2\nT1\tS 0 9\tHe\n"}
    write(tmp_path, BRAT_GOOD | bad)
    corpus = read("brat", tmp_path, on_error="skip", parts={"train": "1.txt", "test": "0.txt"})
    assert (corpus.passed_over, corpus.parts) == ({}, {"test": ("0",)})


@needs_corpora
def test_skipping_keeps_all_but_the_faulty_documents_of_a_release(tmp_path):
    """The releases without their errata: each has its one document in error, NCBI its repeat."""
    for name, faulty in (("maccrobat", {"25661749"}), ("ncbi", {"10923035", "8528200#2"})):
        source = RELEASES[name]
        path = str(Path(CORPORA) / source.path)
        corpus = read_corpus(replace(source, path=path, errata=None, on_error="skip"))
        wanted = [
            replace(document, group=None)
            for document in real(name).documents
            if document.id not in faulty
        ]
        assert list(corpus.documents) == wanted
        assert len(corpus.skipped) == len(faulty)
        assert not faulty & {i for part in corpus.parts.values() for i in part}


def test_ids_occur_once(tmp_path):
    write(tmp_path, {f"{sub}/{name}": text for sub in "ab" for name, text in BRAT_GOOD.items()})
    message = (
        f"{tmp_path}/b/0.ann: document id 0 occurs again (first at {tmp_path}/a/0.ann); "
        "give each document an id of its own"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read("brat", tmp_path)


def test_a_zip_beside_its_own_files(tmp_path):
    pack(write(tmp_path / "c", BRAT_GOOD), tmp_path / "c" / "c.zip", inside="c")
    message = (
        r"document id 0 occurs again \(first at .*\); give each document an id of its own, or take "
        "away the zip if it stands beside its own files$"
    )
    with pytest.raises(DataError, match=message):
        read("brat", tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": None}, "corpus hand: path is not set; give the folder, file or zip that"),
        (
            {"format": "bart"},
            "corpus hand: format=bart is unknown; there is bigbio, brat, conll, jsonl, pubtator, "
            "tokens",
        ),
        (
            {"errata": "ncbi"},
            "corpus hand: errata=ncbi is unknown; there is maccrobat2020, ncbi_disease",
        ),
        ({"on_error": "drop"}, "corpus hand: on_error=drop is unknown; there is raise, skip"),
        (
            {"parts": {"train": "*0*", "test": "*.ann"}},
            "corpus hand: 0.ann fits the parts train and test; make their patterns exclude",
        ),
    ],
    ids=["path", "format", "errata", "on_error", "parts"],
)
def test_wrong_options(change, message, tmp_path):
    write(tmp_path, BRAT_GOOD)
    source = CorpusSource("hand", "brat", str(tmp_path))
    with pytest.raises(ConfigError) as error:
        read_corpus(replace(source, **change))
    assert str(error.value).startswith(message)


def test_homepage_is_named_where_the_release_is_missing(tmp_path):
    message = r"gone: corpus hand is not there; get the release from there\.org and put it there, "
    with pytest.raises(DataError, match=message):
        read("brat", tmp_path / "gone", homepage="there.org")
