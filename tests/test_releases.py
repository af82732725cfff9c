"""Releases: folder, download, hub; against servers of the tests' own."""

import hashlib
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from file_server import NOBODY, Served, Server, article, serving
from real_data import CORPORA, needs_corpora

from medner import download
from medner.corpora import CorpusSource, read_corpus
from medner.data_report import fingerprint
from medner.errors import ConfigError, UserError
from medner.releases import Release, ReleaseFile, locate_corpus

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS", (0, 0))
    monkeypatch.setenv("no_proxy", "*")


# A release

PARTS = {"train": "*train*", "validation": "*develop*", "test": "*test*"}
ONE_TYPE = {"SpecificDisease": "Disease", "Modifier": "Disease"}
NCBI = CorpusSource("ncbi", "pubtator", parts=PARTS, types=ONE_TYPE, homepage="https://its.home/")


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@dataclass
class Offer:
    """A release on the server: what ``corpora`` has of NCBI Disease, in three archives."""

    server: Server
    archives: dict[str, bytes]
    facts: dict[str, int | str]

    def release(self, **changes: object) -> Release:
        files = tuple(ReleaseFile(name, (self.server.address(name),)) for name in self.archives)
        return Release(**{"folder": "ncbi_disease", "files": files, **self.facts, **changes})


@pytest.fixture
def offer(server: Server, corpora: Path) -> Offer:
    folder = corpora / "ncbi_disease"
    archives = {
        f"{path.stem}.zip": zipped({path.name: path.read_bytes()})
        for path in sorted(folder.iterdir())
    }
    for name, content in archives.items():
        server.serve(name, Served(content))
    documents = read_corpus(CorpusSource("", "pubtator", str(folder), PARTS)).documents
    entities = sum(len(document.entities) for document in documents)
    facts = {"documents": len(documents), "entities": entities}
    return Offer(server, archives, {**facts, "fingerprint": fingerprint(documents)})


def test_a_release_is_fetched_once(
    offer: Offer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = locate_corpus(NCBI, offer.release(), tmp_path / "corpora")
    assert folder == tmp_path / "corpora/ncbi_disease"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == offer.archives
    assert not [path.name for path in folder.parent.iterdir() if path.name.endswith(".download")]
    for name, content in offer.archives.items():
        assert f"downloading {name} ({len(content):,} bytes) from http://" in caplog.text
    corpus = read_corpus(CorpusSource("", "pubtator", str(folder), PARTS))
    assert fingerprint(corpus.documents) == offer.facts["fingerprint"]
    assert list(corpus.parts) == list(PARTS)
    offer.server.asked.clear()
    assert locate_corpus(NCBI, offer.release(), tmp_path / "corpora") == folder
    assert offer.server.asked == []


def test_what_is_there_is_taken(offer: Offer, tmp_path: Path) -> None:
    given = CorpusSource("ncbi", "pubtator", str(tmp_path / "given"))
    assert locate_corpus(given, offer.release(), tmp_path / "corpora") == tmp_path / "given"
    (tmp_path / "corpora/ncbi_disease").mkdir(parents=True)
    by_hand = locate_corpus(NCBI, offer.release(), tmp_path / "corpora")
    assert by_hand == tmp_path / "corpora/ncbi_disease"
    assert offer.server.asked == []


def test_neither_path_nor_release(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="corpus ncbi: path is not set"):
        locate_corpus(NCBI, None, tmp_path)


def test_what_came_before_a_cut_is_kept(offer: Offer, tmp_path: Path) -> None:
    _, second, third = offer.archives
    offer.server.files[second].cuts = [10, 10, 10]
    with pytest.raises(UserError, match=r"cut after 30 of .* bytes; the next call goes on there"):
        locate_corpus(NCBI, offer.release(), tmp_path)
    assert not (tmp_path / "ncbi_disease").exists()
    offer.server.asked.clear()
    locate_corpus(NCBI, offer.release(), tmp_path)
    assert offer.server.asked == [(second, "bytes=30-"), (third, None)]


def test_the_next_address(offer: Offer, tmp_path: Path) -> None:
    page = offer.server.serve("page", Served(b"<html>", {"Content-Type": "text/html"}))
    before = (offer.server.address("none"), page, NOBODY)
    files = tuple(
        ReleaseFile(name, (*before, offer.server.address(name))) for name in offer.archives
    )
    folder = locate_corpus(NCBI, offer.release(files=files), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == sorted(offer.archives)


@pytest.mark.parametrize(
    ("fact", "wrong"), [("documents", 793), ("entities", 6892), ("fingerprint", "0" * 64)]
)
def test_content_that_differs(offer: Offer, tmp_path: Path, fact: str, wrong: int | str) -> None:
    problem = f"does not hold the release ({fact} {offer.facts[fact]} instead of {wrong})"
    for asked in (3, 0):  # what came is not fetched again
        offer.server.asked.clear()
        with pytest.raises(UserError, match=re.escape(problem)):
            locate_corpus(NCBI, offer.release(**{fact: wrong}), tmp_path)
        assert len(offer.server.asked) == asked
    assert not (tmp_path / "ncbi_disease").exists()
    locate_corpus(NCBI, offer.release(), tmp_path)
    assert len(offer.server.asked) == 0


def test_progress_on_a_terminal_alone(
    offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_terminal in (True, False):
        stderr = io.StringIO()
        stderr.isatty = lambda is_terminal=is_terminal: is_terminal
        monkeypatch.setattr(sys, "stderr", stderr)
        locate_corpus(NCBI, offer.release(), tmp_path / str(is_terminal))
        name = next(iter(offer.archives))
        assert (f"{name}:" in stderr.getvalue()) == is_terminal


def test_content_that_cannot_be_read(offer: Offer, tmp_path: Path) -> None:
    first = next(iter(offer.archives))
    offer.server.serve(first, Served(zipped({"NCBItrainset_corpus.txt": b"1|t|no abstract\n"})))
    with pytest.raises(UserError, match=r"NCBItrainset_corpus\.txt:1: .*; remove it to"):
        locate_corpus(NCBI, offer.release(), tmp_path)
    assert not (tmp_path / "ncbi_disease").exists()


def test_the_sum_of_figshare(
    offer: Offer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = zipped({"one.txt": b"1|t|Asthma\n1|a|was seen.\n1\t0\t6\tAsthma\tDisease\t-1\n"})
    url = offer.server.serve("files/2", Served(content))
    source = CorpusSource("one", "pubtator")

    def fetch(answer: Served) -> Path:
        file = ReleaseFile("corpus.zip", (url,), md5_from=offer.server.serve("articles/3", answer))
        return locate_corpus(source, Release("one", (file,), documents=1), tmp_path)

    with pytest.raises(UserError, match=r"bytes came, .* are published"):
        fetch(article(url, content + b"!"))
    with pytest.raises(UserError, match=r"md5 is .* is published"):
        fetch(article(url, content[:-1] + b"!"))
    assert list((tmp_path / ".one.download").iterdir()) == []
    assert fetch(article(url, content)) == tmp_path / "one"
    assert not caplog.records
    (tmp_path / "one").rename(tmp_path / "away")
    fetch(Served(b"", status=403))
    assert "corpus.zip is checked by its content alone" in caplog.text


def test_all_that_was_tried_is_said(
    offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medner.releases.hub_out_of_reach", lambda: "HF_HUB_OFFLINE is set")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)  # and back
    file = ReleaseFile("corpus.zip", (offer.server.address("none"),))
    release = Release("ncbi_disease", (file,), hub="owner/corpus")
    with pytest.raises(UserError) as error:
        locate_corpus(NCBI, release, tmp_path)
    folder = tmp_path / "ncbi_disease"
    for said in (
        f"corpus ncbi is not to be had ({folder}: not there; ",
        f"download: {offer.server.address('none')} answers 404 Not Found; ",
        "hub: owner/corpus: HF_HUB_OFFLINE is set); ",
        f"put corpus.zip from https://its.home/, packed or unpacked, into {folder}, or give ",
    ):
        assert said in str(error.value)


def test_a_place_that_cannot_be_written(offer: Offer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*; set corpora_dir"):
        locate_corpus(NCBI, offer.release(), tmp_path / "file")


PROGRAM = """
import dataclasses, json, logging, sys
from medner.corpora import CorpusSource
from medner.releases import Release, ReleaseFile, locate_corpus
from medner.errors import UserError

logging.basicConfig(level=logging.INFO)
source, release, corpora_dir = json.loads(sys.argv[1])
release["files"] = [ReleaseFile(**file) for file in release["files"]]
try:
    print(locate_corpus(CorpusSource(**source), Release(**release), corpora_dir))
except UserError as error:
    sys.exit(str(error))
"""


def start(
    source: dict[str, object], release: dict[str, object], place: Path, **env: str
) -> subprocess.Popen:
    """``locate_corpus`` in a process of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps([source, release, str(place)])],
        cwd=ROOT, env=clean | {"no_proxy": "*"} | env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_two_processes_at_once(offer: Offer, tmp_path: Path) -> None:
    first = next(iter(offer.archives))
    gate = offer.server.files[first].gate = threading.Event()
    source = {"name": "ncbi", "format": "pubtator", "parts": PARTS}
    files = [{"name": name, "urls": [offer.server.address(name)]} for name in offer.archives]
    release = {"folder": "ncbi_disease", "files": files, **offer.facts}
    one = start(source, release, tmp_path)
    assert offer.server.arrived.wait(60)  # it holds the lock, and waits for the server
    other = start(source, release, tmp_path)
    said = other.stderr.readline()
    gate.set()
    ended = [process.communicate(timeout=60) for process in (one, other)]
    assert "another process fetches" in said, said + ended[1][1]
    assert [stdout.strip() for stdout, _ in ended] == [str(tmp_path / "ncbi_disease")] * 2, ended
    assert [name for name, _ in offer.server.asked] == list(offer.archives)


# The hub

ROWS = [
    {"tokens": ["Severe", "asthma", "."], "tags": ["O", "B-Disease", "O"]},
    {"tokens": ["Fièvre", "jaune"], "tags": ["B-Disease", "I-Disease"]},
]
TOKENS = {"name": "tokens", "format": "tokens"}
FACTS = {"documents": 2, "entities": 2}


def write_rows(folder: Path) -> Path:
    folder.mkdir(parents=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS]
    (folder / "data.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as ``datasets`` needs, for one dataset: owner/tokens."""

    root: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.asked.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer([entry for entry in self.tree() if entry["path"] in body["paths"]])

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/datasets/owner/tokens/tree/"):
            return self.answer(self.tree())
        if path == "api/datasets/owner/tokens" or "/tokens/revision/" in path:
            names = [{"rfilename": entry["path"]} for entry in self.tree()]
            return self.answer({"id": "owner/tokens", "sha": "1" * 40, "siblings": names})
        file = self.root / path.rpartition("/")[2]
        if path.startswith("datasets/owner/tokens/resolve/") and file.is_file():
            return self.answer(file.read_bytes())
        error = "EntryNotFound" if path.startswith("datasets/owner/tokens/") else "RepoNotFound"
        return self.answer({}, 404, {"X-Error-Code": error})

    def tree(self) -> list[dict[str, object]]:
        files = sorted(self.root.iterdir())
        return [
            {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": "0" * 40}
            for p in files
        ]

    def answer(self, content: object, code: int = 200, headers: dict | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        tag = hashlib.sha256(body).hexdigest()
        always = {"Content-Length": str(len(body)), "ETag": f'"{tag}"', "X-Repo-Commit": "1" * 40}
        for name, value in {**always, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub, and what it was asked."""
    asked: list[str] = []
    handler = type("ThisHub", (Hub,), {"root": write_rows(tmp_path / "hub"), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_the_hub_then_its_cache(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    release = {"folder": "tokens", "files": [], "hub": "owner/tokens", **FACTS}
    home = {"HF_HOME": str(tmp_path / "home")}
    stdout, stderr = start(
        TOKENS, release, tmp_path / "a", HF_ENDPOINT=hub[0], **home
    ).communicate()
    assert stdout.strip() == str(tmp_path / "a/tokens"), stderr
    lines = (tmp_path / "a/tokens/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    offline = {"HF_ENDPOINT": "http://127.0.0.1:1", **home}
    stdout, stderr = start(TOKENS, release, tmp_path / "b", **offline).communicate()
    assert stdout.strip() == str(tmp_path / "b/tokens"), stderr
    assert "offline mode is enabled" in stderr  # so nothing was tried for half a minute


CARD = """---
dataset_info:
  features:
  - name: tokens
    list: string
  - name: tags
    list:
      class_label:
        names: {'0': O, '1': B-Disease, '2': I-Disease}
---
"""


def test_labels_that_are_numbers_get_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is to ``datasets`` what a repository is; its card names the labels."""
    monkeypatch.setattr("medner.releases.hub_out_of_reach", lambda: None)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    numbers = {"O": 0, "B-Disease": 1, "I-Disease": 2}
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    for split, row in zip(("train", "test"), ROWS, strict=True):
        numbered = row | {"tags": [numbers[tag] for tag in row["tags"]]}
        (folder / f"{split}.jsonl").write_text(json.dumps(numbered) + "\n")
    place = locate_corpus(
        CorpusSource(**TOKENS), Release("tokens", hub=str(folder), **FACTS), tmp_path / "corpora"
    )
    assert sorted(path.name for path in place.iterdir()) == ["test.jsonl", "train.jsonl"]
    assert json.loads((place / "train.jsonl").read_text(encoding="utf-8")) == ROWS[0]


@needs_corpora
def test_the_archive_of_bc5cdr(server: Server, tmp_path: Path) -> None:
    """Laid out as CDR_Data.zip, which holds two taggers' output and BioC beside."""
    folder = "CDR_Data/CDR.Corpus.v010516/"
    files = {folder + p.name: p.read_bytes() for p in sorted(Path(CORPORA, "bc5cdr").iterdir())}
    noise = b"1|t|Not of the corpus\n1|a|at all\n1\t0\t3\tNot\tDisease\t-1\n"
    for name in (
        "README.txt", f"{folder}CDR_TrainingSet.BioC.xml", f"{folder}CDR_TestSet.BioC.xml",
        "DNorm.TestSet/TestSet.DNorm.PubTator.txt", "tmChem.TestSet/TestSet.tmChem.PubTator.txt",
        "__MACOSX/CDR_Data/CDR.Corpus.v010516/._CDR_TestSet.PubTator.txt",
    ):  # fmt: skip
        files[name if "/" in name else f"CDR_Data/{name}"] = noise
    url = server.serve("CDR_Data.zip", Served(zipped(files)))
    parts = {
        "train": "CDR_Training*PubTator*",
        "validation": "CDR_Develop*PubTator*",
        "test": "CDR_Test*PubTator*",
    }
    release = Release(
        "bc5cdr", (ReleaseFile("CDR_Data.zip", (url,)),), documents=1500, entities=28785,
        fingerprint="8424d21db835283ebf1905e2925a9a62ed9ffd716b293a5e5b450be334f8d219",
    )  # fmt: skip
    source = CorpusSource("bc5cdr", "pubtator", parts=parts)
    folder = locate_corpus(source, release, tmp_path)
    corpus = read_corpus(CorpusSource("bc5cdr", "pubtator", str(folder), parts))
    assert {part: len(ids) for part, ids in corpus.parts.items()} == dict.fromkeys(parts, 500)
