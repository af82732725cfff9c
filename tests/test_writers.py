"""Writers: what they write reads back the same; what a format cannot hold is refused at once."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import FLAT, LINES, NESTED, read, real
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import needs_corpora
from texts import documents

from medner.corpora.writers import write_brat, write_jsonl
from medner.documents import Document, Entity
from medner.errors import UserError

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=100, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=4))
def test_brat_reads_back(written):
    with tempfile.TemporaryDirectory() as folder:
        write_brat(Path(folder, "out"), written)
        corpus = read("brat", Path(folder, "out"))
    assert {d.id: d for d in corpus.documents} == {d.id: d for d in written}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(replace, documents(), id=names, group=st.none() | names),
        min_size=1,
        max_size=4,
        unique_by=lambda document: document.id,
    )
)
def test_jsonl_reads_back(written):
    with tempfile.TemporaryDirectory() as folder:
        write_jsonl(Path(folder, "out.jsonl"), written)
        assert list(read("jsonl", Path(folder, "out.jsonl")).documents) == written


@settings(max_examples=100, deadline=None)
@given(names)
def test_brat_takes_an_id_or_refuses_it(name):
    with tempfile.TemporaryDirectory() as folder:
        written = [Document(name, "He", (Entity(((0, 2),), "A"),))]
        try:
            write_brat(Path(folder, "out"), written)
        except UserError:
            assert set(name) & set("/\\\0") or name.startswith(".")
            assert not list(Path(folder).iterdir())
        else:
            assert list(read("brat", Path(folder, "out")).documents) == written


@needs_corpora
@pytest.mark.parametrize("release", ["maccrobat", "ncbi"])
def test_releases_read_back(release, tmp_path):
    corpus = real(release)
    write_jsonl(tmp_path / "x.jsonl", corpus.documents)
    assert read("jsonl", tmp_path / "x.jsonl").documents == corpus.documents
    ungrouped = [replace(document, group=None) for document in corpus.documents]
    write_brat(tmp_path / "brat", ungrouped)
    again = read("brat", tmp_path / "brat")
    assert list(again.documents) == sorted(ungrouped, key=lambda d: f"{d.id}.ann")


def test_brat_by_hand(tmp_path):
    write_brat(tmp_path / "a" / "out", [NESTED])
    files = {file.name: file.read_bytes() for file in (tmp_path / "a" / "out").iterdir()}
    assert files == {
        "small-5.txt": b"pain and stiffness\nin the knee",
        "small-5.ann": b"T1\tSign 0 4;19 30\tpain in the knee\n"
        b"T2\tSign 9 30\tstiffness in the knee\n"
        b"T3\tOdd 18 21\t in\n"
        b"T4\tStructure 26 30\tknee\n",
    }
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


def test_jsonl_by_hand(tmp_path):
    document = Document("é", "He\n😀", (Entity(((0, 2), (3, 4)), "A b"),), "g")
    write_jsonl(tmp_path / "x.jsonl", [document, Document("2", "x")])
    lines = (tmp_path / "x.jsonl").read_text("utf-8").split("\n")
    assert [json.loads(line) for line in lines[:2]] == [
        {
            "id": "é",
            "text": "He\n😀",
            "group": "g",
            "entities": [{"type": "A b", "fragments": [[0, 2], [3, 4]], "text": "He 😀"}],
        },
        {"id": "2", "text": "x", "entities": []},
    ]
    assert "é" in lines[0] and lines[2:] == [""]


# What cannot be written

GOOD = Document("1", "He", (Entity(((0, 2),), "A"),))
NEITHER = [
    ([GOOD, GOOD], "document id 1 occurs twice; ids are to be unique"),
    ([replace(GOOD, id="")], "document id '' is blank; give it a name"),
    ([GOOD, Document("2", "")], "document '2' has no text; leave it out"),
    ([GOOD, Document("2", "\n")], "document '2' has no text; leave it out"),
    ([replace(GOOD, group=" ")], "the group of document '1' is blank"),
    ([Document("1", "\ud83d")], "document '1' has half of a surrogate pair, which UTF-8 cannot"),
    ([replace(GOOD, id="\ud83d")], "document '\\ud83d' has half of a surrogate pair"),
    ([Document("1", "He", (Entity(((0, 2),), "\udc00"),))], "document '1' has half of a surrogate"),
]
NO_BRAT = [
    ([GOOD, replace(GOOD, id="a/b")], "document id 'a/b' is no file name; write JSONL instead"),
    ([replace(GOOD, id="..")], "document id '..' is no file name; write JSONL instead"),
    ([replace(GOOD, id=".a")], "document id '.a' is no file name; write JSONL instead"),
    ([replace(GOOD, id="a\\b")], "document id 'a\\\\b' is no file name; write JSONL instead"),
    ([replace(GOOD, id="a\0")], "document id 'a\\x00' is no file name; write JSONL instead"),
    ([replace(GOOD, id="é" * 126)], "document id '" + "é" * 126 + "' is too long for a file name"),
    (
        [replace(GOOD, id="A"), replace(GOOD, id="a")],
        "document ids 'A' and 'a' are the same file to some systems; write JSONL instead",
    ),
    ([replace(GOOD, group="g")], "document '1' has a group, which brat does not have; write JSONL"),
    *[
        (
            [Document("1", "He", (Entity(((0, 2),), type_),))],
            f"type {type_!r} has white space, which ends a type in brat; rename it, or write JSONL",
        )
        for type_ in ("A b", "A\u2005", "\n")
    ],
]


@pytest.mark.parametrize(
    ("write", "written", "message"),
    [
        *[(write_jsonl, *case) for case in NEITHER],
        *[(write_brat, *case) for case in NEITHER + NO_BRAT],
    ],
    ids=range(2 * len(NEITHER) + len(NO_BRAT)),
)
def test_what_cannot_be_expressed(write, written, message, tmp_path):
    with pytest.raises(UserError) as error:
        write(tmp_path / "out", written)
    assert str(error.value).startswith(f"{tmp_path}/out: {message}")
    assert list(tmp_path.iterdir()) == []


def test_brat_wants_a_folder_of_its_own(tmp_path):
    (tmp_path / "out").mkdir()
    write_brat(tmp_path / "out", [GOOD])
    before = {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    for path in (tmp_path / "out", tmp_path / "out" / "1.ann"):
        with pytest.raises(UserError, match="holds something already; give a folder that is new"):
            write_brat(path, [*FLAT, LINES])
    assert {file: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_jsonl_is_written_whole(tmp_path, monkeypatch):
    """What goes wrong half way leaves what was there."""
    write_jsonl(tmp_path / "x.jsonl", FLAT)
    before = (tmp_path / "x.jsonl").read_bytes()
    dumps = json.dumps

    def full(record, **options):
        if record["id"] == NESTED.id:
            raise OSError("No space left on device")
        return dumps(record, **options)

    monkeypatch.setattr("medner.corpora.writers.json.dumps", full)
    with pytest.raises(OSError, match="No space"):
        write_jsonl(tmp_path / "x.jsonl", [LINES, NESTED])
    assert (tmp_path / "x.jsonl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


def test_brat_is_written_whole(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_brat(tmp_path / "out", [GOOD])
    assert list(tmp_path.iterdir()) == []
