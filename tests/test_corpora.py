"""read_corpus: one contract that every reader keeps, parts and types."""

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from handmade import (
    RELEASES,
    SMALL,
    THREE_PARTS,
    as_bigbio,
    as_jsonl,
    jsonl,
    pack,
    parquet,
    read,
    real,
    release,
    write,
)
from real_data import CORPORA, NO_CORPORA, needs_corpora
from test_faulty_corpora import JSONL_GOOD, PUBTATOR_GOOD

from medner.corpora import FORMATS, CorpusSource, read_corpus
from medner.documents import Document


@dataclass(frozen=True)
class Case:
    source: CorpusSource
    files: dict[str, str | bytes] | None = None  # None: a release, source.path in MEDNER_CORPORA
    documents: list[Document] | None = None  # None: as another reading of the files counts
    single: str | None = None  # a file that is a corpus by itself; a brat corpus has none


CASES = {
    name: Case(
        CorpusSource("hand", name.split()[0]),
        files,
        documents,
        next(iter(files)) if len(files) == 1 else None,
    )
    for name, (files, documents) in SMALL.items()
} | {
    "maccrobat": Case(RELEASES["maccrobat"]),
    "ncbi": Case(RELEASES["ncbi"], single="NCBItrainset_corpus.txt"),
    "bc5cdr": Case(RELEASES["bc5cdr"], single="CDR_TestSet.PubTator.txt"),
    "demo": Case(RELEASES["demo"]),
    "demo abstracts": Case(RELEASES["demo abstracts"], single="demo.pubtator.txt"),
}


def annotated(folder: Path) -> Counter:
    """(type, first start, last end, mention) of every mention line, by a reading of its own."""
    line = re.compile(
        rb"^T\d+\t(?P<type>\S+) (?P<start>\d+) (?:[\d;]+ )*(?P<end>\d+)\t(?P<mention>[^\n]*)"
        rb"|^[^\t\n]+\t(?P<start2>\d+)\t(?P<end2>\d+)\t(?P<mention2>[^\t\n]+)\t(?P<type2>[^\t\n]+)",
        re.MULTILINE,
    )
    found = Counter()
    for file in folder.iterdir():
        if file.suffix == ".ann" or not file.with_suffix(".ann").exists():
            for match in line.finditer(file.read_bytes()):
                groups = {
                    key.rstrip("2"): value for key, value in match.groupdict().items() if value
                }
                found[
                    groups["type"].decode(),
                    int(groups["start"]),
                    int(groups["end"]),
                    groups["mention"].decode(),
                ] += 1
    return found


def mentions(documents: list[Document] | tuple[Document, ...]) -> Counter:
    return Counter(
        (entity.type, entity.start, entity.end, document.mention(entity).replace("\n", " "))
        for document in documents
        for entity in document.entities
    )


def test_every_format_has_a_case():
    assert {case.source.format for case in CASES.values()} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, form)
        for name, case in CASES.items()
        for form in ("folder", "zip", "zip in a folder", "file", "zip of one file")
        if case.single or "file" not in form
        if case.files or form in ("folder", "zip") or name == "ncbi"
    ],
)
def test_contract(name, form, tmp_path):
    case = CASES[name]
    if case.files is None:
        if not CORPORA and "demo" not in name:
            pytest.skip(NO_CORPORA)
        folder = Path(release(name).path)
    else:
        folder = write(tmp_path / "corpus", case.files)
    if "file" in form:
        write(tmp_path / "one", {case.single: (folder / case.single).read_bytes()})
        folder = tmp_path / "one"
    path = folder / case.single if form == "file" else folder
    if "zip" in form:
        (tmp_path / "zipped").mkdir()
        path = pack(folder, tmp_path / "zipped" / "corpus.ZIP")
    if form == "zip in a folder":
        path = path.parent
    source = replace(case.source, path=str(path))
    corpus = read_corpus(source)

    assert corpus.name == source.name
    if case.files is None and "file" not in form:
        again = real(name)
    else:
        again = read_corpus(replace(source, path=str(folder), on_error="skip"))
    assert again == corpus, "not the same again, or not as from the folder"
    assert corpus.skipped == ()
    ids = [document.id for document in corpus.documents]
    assert ids and len(set(ids)) == len(ids)
    assert set(corpus.parts) <= set(source.parts)
    in_parts = [document_id for part in corpus.parts.values() for document_id in part]
    assert len(set(in_parts)) == len(in_parts)
    if source.parts and form != "file":
        assert sorted(in_parts) == sorted(ids)
    for part in corpus.parts.values():
        assert list(part) == sorted(part, key=ids.index)
    for document in corpus.documents:
        assert document.text.strip()
        assert list(document.entities) == sorted(document.entities)
        for entity in document.entities:
            assert 0 <= entity.start < entity.end <= len(document.text)
    if case.documents is not None:
        assert list(corpus.documents) == case.documents
        return
    expected, found = annotated(folder), mentions(corpus.documents)
    mended = sum(" is annotated as " in erratum for erratum in corpus.errata)
    assert (expected - found).total() == (found - expected).total() == mended


@needs_corpora
@pytest.mark.parametrize(
    ("release", "form"),
    [
        ("maccrobat", "bigbio as jsonl"),
        ("maccrobat", "bigbio as parquet"),
        ("maccrobat", "jsonl"),
        ("ncbi", "bigbio as parquet"),
        ("ncbi", "jsonl"),
        ("bc5cdr", "bigbio as jsonl"),
    ],
)
def test_releases_read_the_same_from_other_formats(release, form, tmp_path):
    corpus = real(release)
    rows = (as_jsonl if form == "jsonl" else as_bigbio)(corpus.documents)
    content = parquet(rows) if form.endswith("parquet") else jsonl(rows)
    path = write(tmp_path, {f"c.{form.split()[-1]}": content})
    again = read(form.split()[0], path)
    wanted = corpus.documents
    if form != "jsonl":  # which alone has groups
        wanted = tuple(replace(document, group=None) for document in wanted)
        assert again.passed_over == {"relations": len(rows)}
    assert again.documents == wanted


# Parts and types


def test_single_file_is_read_whole_and_is_the_part_it_fits(tmp_path):
    folder = write(tmp_path, {f"{name}.csv": f"{PUBTATOR_GOOD}\n" for name in ("MyTEST", "other")})
    source = CorpusSource("hand", "pubtator", parts=THREE_PARTS)
    assert read_corpus(replace(source, path=str(folder / "MyTEST.csv"))).parts == {"test": ("1",)}
    other = read_corpus(replace(source, path=str(folder / "other.csv")))
    assert (len(other.documents), other.parts) == (1, {})


@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"brat"}))
def test_parts_are_read_and_nothing_else(format, tmp_path):
    name, (files, documents) = next(entry for entry in SMALL.items() if entry[0].startswith(format))
    content = next(iter(files.values()))
    write(tmp_path, {"a_TRAIN.txt": content, "readme.txt": "no corpus", "more.jsonl": "none"})
    corpus = read(format, tmp_path, parts=THREE_PARTS)
    ids = tuple(document.id for document in corpus.documents)
    assert corpus.parts == {"train": ids}
    assert len(ids) == len(documents), name
    assert corpus.passed_over["files"] == 2


def test_types_are_collapsed(tmp_path):
    write(tmp_path, {"x.jsonl": json.dumps(JSONL_GOOD)})
    corpus = read("jsonl", tmp_path, types={"Disease": "Any", "Absent": "Other"})
    assert [entity.type for entity in corpus.documents[0].entities] == ["Any"]
