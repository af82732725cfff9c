"""``studies/planted_mistakes.py`` plants what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import MODELS, ROOT
from tokenizers import Tokenizer

TITLE, ABSTRACT = "No asthma now", "Severe fever came."
TEXT = f"{TITLE} {ABSTRACT}"


def plant(*words: object) -> None:
    command = [sys.executable, "studies/planted_mistakes.py", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("mistake", "title", "abstract"),
    [("space", " asthma", " fever"), ("abstract", "asthma", TEXT[7:12])],
)
def test_offsets(tmp_path: Path, mistake: str, title: str, abstract: str) -> None:
    """In an abstract they are counted from its own beginning, or in all begin a character early."""
    corpus, predictions, out = (tmp_path / name for name in ("corpus.txt", "in", "out"))
    corpus.write_text(f"1|t|{TITLE}\n1|a|{ABSTRACT}\n\n")
    mentions = [(mention, TEXT.index(mention)) for mention in ("asthma", "fever")]
    spans = [{"start": at, "end": at + len(m), "type": "Sign_symptom"} for m, at in mentions]
    predictions.write_text(json.dumps({"document": "1", "spans": spans}) + "\n")
    plant(mistake, predictions, corpus, out)
    (row,) = map(json.loads, out.read_text().splitlines())
    assert [TEXT[span["start"] : span["end"]] for span in row["spans"]] == [title, abstract]
    assert [span["text"] for span in row["spans"]] == [title, abstract]


def test_words_lose_the_space_before_them(mirror: Path, tmp_path: Path) -> None:
    text = (mirror / MODELS["modernbert"] / "tokenizer.json").read_text()
    (tmp_path / "checkpoints").mkdir()
    saved = {"hyper_parameters": {"tokenizer_files": {"tokenizer.json": text}}, "epoch": 3}
    torch.save(saved, tmp_path / "checkpoints" / "best.ckpt")
    plant("words", tmp_path)
    planted = torch.load(tmp_path / "checkpoints" / "words.ckpt", weights_only=True)
    assert planted["epoch"] == 3
    files = planted["hyper_parameters"]["tokenizer_files"]
    before, after = (Tokenizer.from_str(each) for each in (text, files["tokenizer.json"]))
    spaces = [
        sum(token.startswith("\u0120") for token in each.encode("No fever now").tokens)
        for each in (before, after)
    ]
    assert spaces[0] > 0 and spaces[1] == 0
