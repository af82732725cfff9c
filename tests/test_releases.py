"""Releases: folder, download, hub; against a server of the tests' own that cuts and changes."""

import hashlib
import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from real_data import CORPORA, needs_corpora

from medner import download
from medner.corpora import CorpusSource, read_corpus
from medner.data_report import fingerprint
from medner.download import InterruptedDownloadError, published_sum
from medner.errors import ConfigError, UserError
from medner.releases import Release, ReleaseFile, locate_corpus

ROOT = Path(__file__).resolve().parent.parent
CONTENT = bytes(range(256)) * 1000  # more than one chunk
NOBODY = "http://127.0.0.1:1/file"


@dataclass
class Served:
    """A file on the server, and how it behaves."""

    content: bytes = CONTENT
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    status: int = 200
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    gate: threading.Event | None = None  # answered only when this is set


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None]] = []  # path and range
        self.sent: list[int] = []  # bytes of each body
        self.arrived = threading.Event()

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def serve(self, name: str, served: Served) -> str:
        self.files[name] = served
        return self.address(name)


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.asked.append((name, self.headers["Range"]))
        self.server.arrived.set()
        served = self.server.files.get(name, Served(b"", {}, 404))
        if served.gate:
            served.gate.wait()
        body, status, headers = served.content, served.status, dict(served.headers)
        current = {served.headers.get("ETag"), served.headers.get("Last-Modified")}
        if self.headers["Range"] and served.ranges and self.headers["If-Range"] in current:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            if start < len(body):
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[start:]
            else:
                headers["Content-Range"] = f"bytes */{len(body)}"
                status, body = 416, b""
        self.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(header, value)
        self.end_headers()
        if served.cuts:
            body = body[: served.cuts.pop(0)]
        self.server.sent.append(len(body))
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS", (0, 0))
    monkeypatch.setenv("no_proxy", "*")


# One file


def test_a_file_comes_whole(server: Server, tmp_path: Path) -> None:
    url = server.serve("file", Served())
    digest = hashlib.md5(CONTENT).hexdigest()
    download.download(url, tmp_path / "a/file", md5=digest.upper(), size=len(CONTENT))
    assert (tmp_path / "a/file").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    assert server.asked == [("file", None)]


@pytest.mark.parametrize("at", [0, 1, 1 << 16, len(CONTENT) - 1])
def test_a_cut_file_goes_on_where_it_stopped(server: Server, tmp_path: Path, at: int) -> None:
    url = server.serve("file", Served(cuts=[at]))
    download.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [("file", None), ("file", f"bytes={at}-")]
    assert server.sent == [at, len(CONTENT) - at]


def test_the_next_call_goes_on(server: Server, tmp_path: Path) -> None:
    url = server.serve("file", Served(cuts=[100, 20, 3]))
    with pytest.raises(
        InterruptedDownloadError, match=r"cut after 123 of 256,000 bytes; the next call goes on"
    ):
        download.download(url, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    download.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked[-1] == ("file", "bytes=123-")


def test_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    url = server.serve("file", Served(ranges=False, cuts=[1000]))
    download.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.sent == [1000, len(CONTENT)]


@pytest.mark.parametrize(
    "headers",
    [{}, {"ETag": 'W/"1"'}],  # neither promises that the bytes are the same
)
def test_without_a_validator_it_starts_anew(
    server: Server, tmp_path: Path, headers: dict[str, str]
) -> None:
    url = server.serve("file", Served(headers=headers, cuts=[5, 5, 5]))
    with pytest.raises(InterruptedDownloadError, match=r"after 5 of 256,000 bytes.*starts anew"):
        download.download(url, tmp_path / "file")
    download.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert {asked for _, asked in server.asked} == {None}


def test_a_date_serves_beside_a_weak_tag(server: Server, tmp_path: Path) -> None:
    headers = {"ETag": 'W/"1"', "Last-Modified": "Sat, 13 Oct 2018 07:42:18 GMT"}
    url = server.serve("file", Served(headers=headers, cuts=[5]))
    download.download(url, tmp_path / "file")
    assert server.sent == [5, len(CONTENT) - 5]


@pytest.mark.parametrize("new", [CONTENT[::-1], CONTENT[:300]])
def test_a_file_that_changed_meanwhile(server: Server, tmp_path: Path, new: bytes) -> None:
    url = server.serve("file", Served(cuts=[500, 0, 0]))
    with pytest.raises(InterruptedDownloadError):
        download.download(url, tmp_path / "file")
    server.serve("file", Served(new, {"ETag": '"2"'}))
    download.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == new


def test_a_part_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    url = server.serve("file", Served(cuts=[500, 0, 0]))
    with pytest.raises(InterruptedDownloadError):
        download.download(url, tmp_path / "file")
    server.files["file"].content = CONTENT[:300]  # under the same tag
    download.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[:300]


def test_a_whole_part_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    url = server.serve("file", Served(cuts=[500, 0, 0]))
    with pytest.raises(InterruptedDownloadError):
        download.download(url, tmp_path / "file")
    (tmp_path / "file.part").write_bytes(CONTENT)
    server.asked.clear()
    download.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == []


def test_a_part_from_another_address_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    url = server.serve("file", Served(cuts=[500, 0, 0]))
    with pytest.raises(InterruptedDownloadError):
        download.download(url, tmp_path / "file")
    other = server.serve("other", Served(CONTENT[::-1]))
    download.download(other, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"md5": "0" * 32}, f"its md5 is {hashlib.md5(CONTENT).hexdigest()}, {'0' * 32} is"),
        ({"size": 7}, r"256,000 bytes came, 7 are published"),
    ],
)
def test_not_what_is_published(
    server: Server, tmp_path: Path, expected: dict[str, str | int], problem: str
) -> None:
    url = server.serve("file", Served())
    with pytest.raises(UserError, match=problem):
        download.download(url, tmp_path / "file", **expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("served", "problem"),
    [
        (Served(b"", status=404), "answers 404 Not Found"),
        (Served(b"", status=403), "answers 403 Forbidden"),
        (Served(b"", status=202), "answers 202 Accepted, without the file"),
        (Served(b"<html>", {"Content-Type": "text/html; charset=utf-8"}), "web page, such as a l"),
        (Served(b"<html>Log in", {}), r"no zip archive \(it begins with b'<html>Log in'\)"),
        (Served(CONTENT, {}), "no zip archive"),
        (Served(b"", {}), "no zip archive"),
    ],
)
def test_no_archive(server: Server, tmp_path: Path, served: Served, problem: str) -> None:
    url = server.serve("file", served)
    with pytest.raises(UserError, match=problem) as error:
        download.download(url, tmp_path / "corpus.zip")
    assert url in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{NOBODY} is out of reach \(.*refused\)"):
        download.download(NOBODY, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_silent_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with pytest.raises(UserError, match=r"is out of reach \(timed out\)"):
            download.download(url, tmp_path / "file")


def article(url: str, content: bytes) -> Served:
    """As figshare's interface answers for an article of two files."""
    files = [
        {
            "id": id, "name": name, "size": len(content), "is_link_only": False,
            "download_url": f"https://ndownloader.figshare.com/files/{id}", "mimetype": "",
            "supplied_md5": "", "computed_md5": hashlib.md5(content).hexdigest(),
        }
        for id, name, content in ((1, "other.zip", b"other"), (2, "corpus.zip", content))
    ]  # fmt: skip
    return Served(json.dumps({"id": 3, "title": "Corpus", "files": files}).encode(), {})


def test_a_published_sum(server: Server) -> None:
    address = server.serve("articles/3", article("", CONTENT))
    expected = (hashlib.md5(CONTENT).hexdigest(), len(CONTENT))
    assert published_sum(address, "https://ndownloader.figshare.com/files/2") == expected
    with pytest.raises(UserError, match="lists no file 12"):
        published_sum(address, "https://ndownloader.figshare.com/files/12")
    with pytest.raises(UserError, match=r"out of reach.*403"):
        published_sum(server.serve("closed", Served(b"", status=403)), "files/2")
    for other in (b"<html>", b"[]", b'{"files": [{}]}'):
        with pytest.raises(UserError, match="does not answer as figshare"):
            published_sum(server.serve("other", Served(other)), "files/2")


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
