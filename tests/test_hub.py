"""Uploads by a real client, to a stand-in for the hub: who may see them, and what can go wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hub_server import HubServer, Repository, hub, online

UPLOAD = """
import sys
from pathlib import Path
from medner.errors import UserError
from medner.hub import push
try:
    print(push(Path(sys.argv[1]), "me/tagger", private=sys.argv[2] == "private"))
except UserError as error:
    print(f"error: {error}")
"""
FILES = {"README.md": b"---\nlanguage: en\n---\n# A model\n", "model.safetensors": b"weights"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    for name, data in FILES.items():
        (tmp_path / "model" / name).write_bytes(data)
    return tmp_path / "model"


def upload(server: HubServer, folder: Path, visibility: str) -> str:
    """What was said. In a process of its own: the client reads its environment once."""
    ended = subprocess.run(
        [sys.executable, "-c", UPLOAD, str(folder), visibility],
        env=os.environ | online(server.address, folder.parent) | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.strip()


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_a_new_repository(folder: Path, visibility: str) -> None:
    with hub() as server:
        assert upload(server, folder, visibility) == f"{server.address}/me/tagger"
        repository = server.repositories["me/tagger"]
        assert repository.private == (visibility == "private")
        assert repository.files == FILES
        assert repository.messages == ["A model trained with MedNER"]
        assert server.cards == [FILES["README.md"].decode()]


def test_of_an_earlier_model_only_its_onnx_goes(folder: Path) -> None:
    with hub() as server:
        earlier = {"onnx/model.onnx": b"of other weights", "notes.txt": b"the owner's"}
        server.repositories["me/tagger"] = Repository(private=True, files=dict(earlier))
        upload(server, folder, "private")
        assert server.repositories["me/tagger"].files == FILES | {"notes.txt": b"the owner's"}
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.onnx").write_bytes(b"of these weights")
        upload(server, folder, "private")
        assert server.repositories["me/tagger"].files["onnx/model.onnx"] == b"of these weights"


def test_a_public_repository_gets_nothing_by_mistake(folder: Path) -> None:
    with hub() as server:
        server.repositories["me/tagger"] = Repository(private=False)
        said = upload(server, folder, "private")
        assert said.startswith("error: push=me/tagger: it is there already and everybody can see")
        assert server.repositories["me/tagger"].files == {}
        assert not [asked for asked in server.asked if "commit" in asked or "upload" in asked]
        upload(server, folder, "public")
        assert server.repositories["me/tagger"].files == FILES


def test_what_fails_says_how_to_go_on(folder: Path) -> None:
    with hub() as server:
        server.refuses = True
        said = upload(server, folder, "public")
        assert said.startswith("error: push=me/tagger: ") and "403" in said
        assert said.endswith(
            f"the export is in {folder}, to upload it: hf upload me/tagger {folder}"
        )
        assert server.repositories == {}
        server.refuses, server.hangs_up = False, True
        said = upload(server, folder, "private")
        assert "Server disconnected" in said and said.endswith(" --private")
