"""A stand-in for the hub, for uploads: repositories, files and commits, by a real client."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

TOKEN = "hf_a_token_of_the_tests"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


class HubServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.cards: list[str] = []  # that were to be looked at
        self.refuses = False  # to write
        self.hangs_up = False  # when it is asked about a repository: no client tries that again

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: HubServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(f"{self.command} {path}")
        if self.server.hangs_up and path.startswith("/api/models/"):
            return
        status, answer = self._respond(path, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _respond(self, path: str, body: bytes) -> tuple[int, object]:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid credentials"}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            self.server.cards.append(json.loads(body)["content"])
            return 200, {"errors": [], "warnings": []}
        found = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(/\w+/main)?", path)
        name = found and found[1]
        if not found or name not in self.server.repositories:
            return 404, {"error": "not found"}
        repository = self.server.repositories[name]
        if found[2] == "/preupload/main":
            files = json.loads(body)["files"]
            kinds = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            return 200, {"files": [{"path": file["path"], **kinds} for file in files]}
        if found[2] == "/tree/main":
            return 200, [_entry(path, data) for path, data in repository.files.items()]
        if found[2] == "/commit/main":
            return self._commit(name, repository, body)
        return 200, {"id": name, "private": repository.private, "siblings": []}

    def _create(self, wanted: dict) -> tuple[int, object]:
        if self.server.refuses:
            return 403, {"error": "You don't have the rights to create a model here"}
        name = f"{wanted['organization']}/{wanted['name']}"
        answer = {"url": f"{self.server.address}/{name}"}
        if name in self.server.repositories:
            return 409, answer | {"error": "You already created this model repo"}
        self.server.repositories[name] = Repository(wanted["visibility"] == "private")
        return 200, answer

    def _commit(self, name: str, repository: Repository, body: bytes) -> tuple[int, object]:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.messages.append(value["summary"])
            elif line["key"] == "deletedFile":
                del repository.files[value["path"]]
            else:
                assert (line["key"], value["encoding"]) == ("file", "base64")
                repository.files[value["path"]] = base64.b64decode(value["content"])
        oid = "0" * 40
        url = f"{self.server.address}/{name}/commit/{oid}"
        return 200, {"success": True, "commitOid": oid, "commitUrl": url}

    def log_message(self, *_: object) -> None:
        pass


def _entry(path: str, data: bytes) -> dict:
    return {"type": "file", "path": path, "size": len(data), "oid": "0" * 40}


@contextmanager
def hub() -> Iterator[HubServer]:
    server = HubServer()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def online(address: str, home: Path, token: str | None = TOKEN) -> dict[str, str]:
    """The environment of a process for which this is the hub."""
    env = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HOME": str(home)}
    return env | ({"HF_TOKEN": token} if token else {})
