"""What predictions are written as: each format read again, and what it cannot hold."""

import html
import json
import re
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medner.config import OUTPUTS
from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document
from medner.errors import ConfigError
from medner.files import GrowingFile
from medner.input_rows import InputText
from medner.output_formats import FORMATS, standoff
from medner.prediction_files import read_predictions
from medner.predictions import Prediction, Span
from medner.report.annotated import pieces

TEXT = "Pain and stiffness\r\nin the <knee> & \u2028calf of 𝛽 & co."
SPANS = (
    Span(0, 4, "Sign", 0.5),
    Span(9, 30, "Sign", 0.912345),  # over the end of a line
    Span(28, 32, "Place", 1.0, gaps=((29, 31),)),
    Span(36, 41, "Place", None),  # begins with an end of a line
)
TYPES = ("Place", "Sign")
DISJOINT = (SPANS[0], SPANS[1], SPANS[3])


def written(folder: Path, format_: str, *documents: tuple[str, str, tuple[Span, ...]]) -> list:
    """Write documents, given by id, text and spans; the problems that they have."""
    part = GrowingFile(folder / ".part")
    writer = FORMATS[format_](part, TYPES)
    problems = [
        writer.add(InputText("file", None, id, text), Prediction(id, spans))
        for id, text, spans in documents
    ]
    writer.pool_ends()
    part.sync()
    writer.finish(part.path)
    return [problem for problem in problems if problem]


def test_the_formats_are_those_that_options_take() -> None:
    assert tuple(FORMATS) == OUTPUTS


def test_json_lines_are_those_of_an_evaluation(tmp_path: Path) -> None:
    assert written(tmp_path, "jsonl", ("a/1", TEXT, SPANS), ("2", "none", ())) == []
    documents = [Document("a/1", TEXT), Document("2", "none")]
    assert read_predictions(tmp_path / "predictions.jsonl", documents) == [
        Prediction("a/1", SPANS), Prediction("2")
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_parquet_holds_what_json_lines_hold(tmp_path: Path) -> None:
    for name in ("jsonl", "parquet"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, name, ("1", TEXT, SPANS), ("2", "none", ()))
    table = pyarrow.parquet.read_table(tmp_path / "parquet" / "predictions.parquet")
    lines = (tmp_path / "jsonl" / "predictions.jsonl").read_text("utf-8").split("\n")
    rows = [
        {
            "document": record["document"],
            "spans": [{"confidence": None, "fragments": None, **span} for span in record["spans"]],
        }
        for record in map(json.loads, filter(None, lines))
    ]
    assert table.to_pylist() == rows
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty", "parquet")
    empty = pyarrow.parquet.read_table(tmp_path / "empty" / "predictions.parquet")
    assert empty.schema == table.schema and empty.num_rows == 0


# ---------------------------------------------------------------- brat


def test_brat_is_standoff_with_confidences_as_notes(tmp_path: Path) -> None:
    assert written(tmp_path, "brat", ("ward 7/note.1", TEXT, SPANS)) == []
    folder = tmp_path / "ward 7"
    assert (folder / "note.1.txt").read_bytes() == TEXT.encode()
    # brat refuses what reaches over the end of a line, and writes it in pieces itself
    assert (folder / "note.1.ann").read_text("utf-8").split("\n") == [
        "T1\tSign 0 4\tPain",
        "#1\tAnnotatorNotes T1\tconfidence 0.5000",
        "T2\tSign 9 18;20 30\tstiffness in the <kn",
        "#2\tAnnotatorNotes T2\tconfidence 0.9123",
        "T3\tPlace 28 29;31 32\tk e",
        "#3\tAnnotatorNotes T3\tconfidence 1.0000",
        "T4\tPlace 37 41\tcalf",
        "",
    ]
    assert (tmp_path / "annotation.conf").read_text() == (
        "[entities]\nPlace\nSign\n\n[relations]\n\n[events]\n\n[attributes]\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"ward 7", "annotation.conf"}


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, tuple[Span, ...]]:
    text = draw(st.text("ab \t\n\r\x0b\x1c\x85\u2028𝛽", min_size=1, max_size=30)) + "end"
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        mention = text[start:end]
        start, end = end - len(mention.lstrip()), start + len(mention.rstrip())
        if start < end:
            spans.append(Span(start, end, draw(st.sampled_from(TYPES)), draw(st.floats(0, 1))))
    return text, tuple(spans)


@given(texts_with_spans())
def test_every_line_of_an_ann_is_one_that_brat_takes(
    drawn: tuple[str, tuple[Span, ...]],
) -> None:
    """As its own reader has it: lines end where Python's do, the mention is the fragments' text,
    joined by a space, and fragments hold something."""
    text, spans = drawn
    lines = standoff(Prediction("d", spans), text).splitlines()
    assert len(lines) == 2 * len(spans)
    for span, line, note in zip(spans, lines[::2], lines[1::2], strict=True):
        id, type_and_offsets, mention = line.split("\t", 2)
        type_, _, offsets = type_and_offsets.partition(" ")
        fragments = [tuple(map(int, each.split(" "))) for each in offsets.split(";")]
        assert type_ == span.type
        assert mention == " ".join(text[start:end] for start, end in fragments)
        covered = {at for start, end in fragments for at in range(start, end)}
        assert {at for at in range(span.start, span.end) if not text[at].isspace()} <= covered
        assert covered <= set(range(span.start, span.end))
        if len(text[span.start : span.end].splitlines()) == 1:
            assert fragments == [(span.start, span.end)]
        assert note.split("\t")[1] == f"AnnotatorNotes {id}"


@given(st.lists(texts_with_spans(), min_size=1, max_size=3))
def test_brat_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, tuple[Span, ...]]]
) -> None:
    folder = tmp_path_factory.mktemp("brat")
    given = [(f"d{number}", text, spans) for number, (text, spans) in enumerate(drawn)]
    given.append(("last", "aaa", (Span(0, 3, "Sign", 0.5),)))
    assert written(folder, "brat", *given) == []
    corpus = read_corpus(CorpusSource("it", "brat", str(folder)))
    for document, (id, text, spans) in zip(corpus.documents, given, strict=True):
        assert (document.id, document.text) == (id, text)
        assert sorted((e.start, e.end, e.type) for e in document.entities) == [
            (s.start, s.end, s.type) for s in spans
        ]


@pytest.mark.parametrize(
    "id",
    [
        "../up",
        "/etc/it",
        "a/../b",
        ".hidden",
        "a/.b",
        "a//b",
        "a\\b",
        "a\0b",
        "a/",
        "./a",
        "x" * 201,
    ],
)
def test_ids_that_are_no_files_are_told(tmp_path: Path, id: str) -> None:
    (tmp_path / "out").mkdir()
    (problem,) = written(tmp_path / "out", "brat", (id, TEXT, SPANS), ("good", TEXT, SPANS))
    assert "is no name of a file; take format=jsonl" in problem or "is too long" in problem
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"annotation.conf", "good.txt", "good.ann"}


def test_ids_of_several_documents_are_told(tmp_path: Path) -> None:
    problems = written(
        tmp_path,
        "brat",
        ("a", "fever", ()),
        ("a", "gout", ()),
        ("a.txt/b", "x", ()),
        ("c", "y", ()),
    )
    assert problems == [
        "id 'a' is that of another document, too",
        "id 'a.txt/b' is a folder for one document and a file for another",
    ]
    assert (tmp_path / "a.txt").read_text() == "fever"


def test_types_that_brat_cannot_hold_are_refused() -> None:
    for name, writer in FORMATS.items():
        writer.check(["Sign_or_symptom"])
        if name != "brat":
            writer.check(["Sign or symptom"])
    with pytest.raises(ConfigError, match="type 'Sign or symptom' has white space"):
        FORMATS["brat"].check(["Sign or symptom"])


# ---------------------------------------------------------------- pages


def shown(page: str) -> str:
    """The text of the last document of a page, as a browser has it."""
    body = re.findall(r'<div class="text">(.*?)</div>', page, re.DOTALL)[-1]
    return html.unescape(re.sub(r"<mark [^>]*>|</mark>", "", body))


def read_page(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def test_a_page_has_the_text_as_it_is_and_its_entities_marked(tmp_path: Path) -> None:
    assert written(tmp_path, "html", ("<b>1</b>", TEXT, DISJOINT)) == []
    page = read_page(tmp_path / "index.html")
    assert shown(page) == TEXT
    marks = re.findall(r'<mark class="c(\d) s0" data-type="([^"]*)">([^<]*)</mark>', page)
    assert [(kind, html.unescape(mention)) for _, kind, mention in marks] == [
        ("Sign 0.50", "Pain"),
        ("Sign 0.91", "stiffness\r\nin the <kn"),
        ("Place", "\u2028calf"),
    ]
    assert len({colour for colour, *_ in marks}) == 2
    assert "<h2>&lt;b&gt;1&lt;/b&gt;</h2>" in page
    assert not re.search(r"https?:|src=|<script|@import|url\(", page)
    assert "<nav" not in page  # there is no other
    assert len(page) < 3500 + 2 * len(TEXT)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_many_documents_are_on_pages_that_lead_to_each_other(tmp_path: Path) -> None:
    given = [(f"d{number}", TEXT, DISJOINT) for number in range(150)]
    assert written(tmp_path, "html", *given) == []
    names = [f"page_0000{number}.html" for number in (1, 2, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", *names]
    pages = [read_page(tmp_path / name) for name in names]
    links = [re.findall(r'href="([^"]*)"', page) for page in pages]
    assert links == [
        ["index.html", names[1]],
        [names[0], "index.html", names[2]],
        [names[1], "index.html"],
    ]
    ids = [id for page in pages for id in re.findall(r"<h2>(.*?)</h2>", page)]
    assert ids == [f"d{number}" for number in range(150)]
    contents = read_page(tmp_path / "index.html")
    assert re.findall(r'href="([^"]*)">(.*?)</a>: (.*?)</li>', contents) == [
        (names[0], "d0 to d63", "64 documents, 192 entities"),
        (names[1], "d64 to d127", "64 documents, 192 entities"),
        (names[2], "d128 to d149", "22 documents, 66 entities"),
    ]


def test_no_document_is_an_empty_list(tmp_path: Path) -> None:
    written(tmp_path, "html")
    assert "<ol>" in read_page(tmp_path / "index.html")


@given(texts_with_spans())
def test_pieces_are_the_text(drawn: tuple[str, tuple[Span, ...]]) -> None:
    text, spans = drawn
    found = pieces(text, spans)
    assert "".join(stretch for stretch, _ in found) == text
    assert [(stretch, span) for stretch, span in found if span] == [
        (text[span.start : span.end], span) for span in spans
    ]


def test_of_spans_that_overlap_the_first_is_shown() -> None:
    spans = (Span(0, 5, "Sign", gaps=((2, 4),)), Span(1, 3, "Place"), Span(5, 6, "Place"))
    assert pieces("abcdefg", spans) == [
        ("ab", spans[0]), ("cd", None), ("e", spans[0]), ("f", spans[2]), ("g", None)
    ]  # fmt: skip
