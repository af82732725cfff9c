"""A server of files that cuts, changes and refuses them as it is told."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


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
