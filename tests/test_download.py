"""One file, from a server of the tests' own that cuts and changes it."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import CONTENT, NOBODY, Served, Server, article, serving

from medner import download
from medner.download import InterruptedDownloadError, published_sum
from medner.errors import UserError


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS", (0, 0))
    monkeypatch.setenv("no_proxy", "*")


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
