"""A W&B server in small: it takes what a run sends, keeps every byte, and can fall silent."""

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RUN = {
    "id": "run", "displayName": "", "description": "", "config": "{}", "sweepName": "",
    "historyLineCount": 0, "state": "running",
    "project": {"id": "project", "name": "medner", "entity": {"id": "entity", "name": "somebody"}},
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """``received`` holds method, path, headers and body (unpacked) of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[bytes] = []
        self.silent = threading.Event()  # when set, requests are taken and never answered
        self.silent_from: str | None = None  # what a request holds from which on it is silent
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # clients that go away are no news
            super().handle_error(request, client_address)

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """The data that the GraphQL query asks for; of what is asked in passing, nothing."""
        operation, values = query.get("operationName") or query["query"], query.get("variables")
        if "UpsertBucket" in operation:
            run = {**RUN, "name": values["name"]}
            return {"upsertBucket": {"bucket": run, "inserted": True}}
        if "RunResumeStatus" in operation:
            lines = self.history(values["name"])
            run = {**RUN, "name": values["name"], "historyLineCount": len(lines)}
            run["wandbConfig"] = '{"t": 1}'  # it has begun
            run |= {"historyTail": json.dumps(lines[-1:]), "eventsTail": "[]"}
            run |= {"summaryMetrics": "{}", "eventsLineCount": 0, "logLineCount": 0}
            return {"model": {**RUN["project"], "bucket": run if lines else None}}
        if "Viewer" in operation:
            viewer = {"id": "user", "username": "somebody", "entity": "somebody", "email": ""}
            return {"viewer": {**viewer, "flags": "{}", "admin": False, "teams": {"edges": []}}}
        if "CreateRunFiles" in operation:
            files = [{"name": name, "uploadUrl": self.upload(name)} for name in values["files"]]
            return {"createRunFiles": {"runID": "run", "uploadHeaders": [], "files": files}}
        if "ArtifactType" in operation:
            return {"project": {"artifact": None}}
        if "CreateArtifactManifest" in operation:
            file = {"id": "m", "name": "m", "displayName": "m", "uploadHeaders": []}
            file["uploadUrl"] = self.upload("manifest") if values["includeUpload"] else None
            return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}
        if "UpdateArtifactManifest" in operation:
            file = {"uploadUrl": self.upload("manifest"), "uploadHeaders": []}
            return {"updateArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}
        if "CreateArtifactFiles" in operation:
            nodes = [
                {
                    "node": {
                        "id": "f", "name": file["name"], "displayName": file["name"],
                        "uploadUrl": self.upload(file["name"]), "uploadHeaders": [],
                        "storagePath": "p", "uploadMultipartUrls": None,
                        "artifact": {"id": file["artifactID"]},
                    }
                }
                for file in values["input"]["artifactFiles"]
            ]  # fmt: skip
            return {"createArtifactFiles": {"files": {"edges": nodes}}}
        if "CreateArtifact" in operation:
            artifact = {"id": "a", "state": "PENDING", "artifactSequence": {"id": "s"}}
            return {"createArtifact": {"artifact": artifact}}
        if "CommitArtifact" in operation:
            return {"commitArtifact": {"artifact": {"id": "a", "digest": "d"}}}
        return {}

    def history(self, run: str) -> list[str]:
        """The lines of a run's history; those that come later replace those at their places."""
        lines: dict[int, str] = {}
        for request in self.received:
            if request.startswith(b"POST /files/") and f"/{run}/file_stream".encode() in request:
                files = json.loads(request.rpartition(b"\n")[2]).get("files") or {}
                sent = files.get("wandb-history.jsonl") or {"offset": 0, "content": []}
                lines |= dict(enumerate(sent["content"], start=sent["offset"]))
        return [lines[at] for at in sorted(lines)]

    def upload(self, name: str) -> str:
        return f"{self.url}/upload/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        whole = b"\n".join([self.requestline.encode(), bytes(self.headers), body])
        self.server.received.append(whole)
        if self.server.silent_from and self.server.silent_from.encode() in whole:
            self.server.silent.set()
        if self.server.silent.is_set():
            self.server.closing.wait()
            return
        answer = {}
        if self.path == "/graphql":
            answer = {"data": self.server.answer(json.loads(body))}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST  # noqa: N815

    def _body(self) -> bytes:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def log_message(self, *_: object) -> None:
        """Tests need no log of requests."""


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()
