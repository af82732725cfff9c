"""What is predicted together, and how a shard is written."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pyarrow.parquet
import pytest
from omegaconf import OmegaConf
from words import word_system

from medner import ray_engine
from medner.annotation import annotate, annotate_shard
from medner.documents import Document
from medner.errors import UserError
from medner.inputs import Input, open_input
from medner.output_folder import FAILED, OutputFolder, open_folder
from medner.predictions import Prediction
from medner.ray_engine import Actor, Job, hold_against
from medner.schema import PredictConfig
from medner.shards import Shard, by_shards, shards
from medner.tagger import Tagger

TAGGER = Tagger(word_system(bad="unlucky"), device_batch=2)
ROWS = {"a": 40, "b/c": 1, "b/d": 33, "e": 5}


@pytest.fixture
def rows(tmp_path: Path) -> Input:
    """Four files of rows; every seventh is bad, and one cannot be predicted."""
    number = 0
    for name, many in ROWS.items():
        path = tmp_path / "rows" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for _ in range(many):
            text = "unlucky" if number == 12 else None if number % 7 == 3 else f"{number} gout"
            lines.append(json.dumps({"text": text}) + "\n")
            number += 1
        path.write_text("".join(lines))
    return open_input(str(tmp_path / "rows"))


def test_a_file_of_rows_is_a_shard(rows: Input) -> None:
    found = shards(rows)
    assert [(shard.number, shard.name) for shard in found] == list(enumerate(ROWS))
    assert sum(shard.size for shard in found) == rows.size
    whole = list(rows)
    assert list(chain.from_iterable(shard.texts(rows) for shard in found)) == whole
    assert [len(list(shard)) for shard in by_shards(whole, "jsonl")] == list(ROWS.values())
    assert [len(list(shard)) for shard in by_shards(whole[50:], "jsonl", 50)] == [24, 5]


def test_texts_are_a_shard_together(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for number in range(1024 + 3):
        (tmp_path / "notes" / f"{number:04d}.txt").write_text(str(number))
    source = open_input(str(tmp_path / "notes"))
    found = shards(source)
    assert [(shard.name, len(shard.files)) for shard in found] == [("000001", 1024), ("000002", 3)]
    for before in (0, 17, 1024, 1025):
        texts = list(source)[before:]
        divided = [list(shard) for shard in by_shards(texts, "text", before)]
        assert list(chain.from_iterable(divided)) == texts
        assert [len(shard) for shard in divided] == [
            size for size in (1024 - before, min(3, 1027 - before)) if size > 0
        ]


def test_a_shard_changes_with_its_files(rows: Input) -> None:
    before = shards(rows)
    (Path(rows.path) / "b" / "c.jsonl").write_text('{"text": "other"}\n')
    assert [new == old for new, old in zip(shards(rows), before, strict=True)] == [
        True, False, True, True,
    ]  # fmt: skip


def test_two_files_for_one_are_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "a.tsv"):
        (tmp_path / name).write_text("text\nfever\n")
    with pytest.raises(UserError, match=r"a\.csv and a\.tsv would be written to one file"):
        shards(open_input(str(tmp_path)))


# ---------------------------------------------------------------- one process, and shard by shard


def local(source: Input, tagger: Tagger, folder: Path) -> Path:
    with open_folder(folder, {"format": "jsonl"}) as output:
        output.begin(tagger.types)
        annotate(source, tagger, output)
        output.finish()
    return folder


def test_shards_make_up_what_one_process_finds(rows: Input, tmp_path: Path) -> None:
    """And no two documents of different shards are predicted together."""
    together: list[list[str]] = []

    def predict(documents: Sequence[Document]) -> list[Prediction]:
        together.append([document.id.rpartition("/")[0] for document in documents])
        return TAGGER.system.predict(documents)

    tagger = replace(TAGGER, system=replace(TAGGER.system, predict=predict))
    whole = local(rows, tagger, tmp_path / "whole")
    assert len(together) > len(ROWS)
    assert all(len(set(names)) == 1 for names in together)
    lines = failed = b""
    for shard in shards(rows):
        path, other = tmp_path / "shard.jsonl", tmp_path / "failed"
        state = annotate_shard(shard.texts(rows), TAGGER, path, other)
        assert state.read == ROWS[shard.name]
        assert state.failed == other.read_bytes().count(b"\n")
        assert state.read - state.failed == path.read_bytes().count(b"\n") == state.spans
        lines, failed = lines + path.read_bytes(), failed + other.read_bytes()
        annotate_shard(shard.texts(rows), TAGGER, tmp_path / "shard.parquet", other)
        table = pyarrow.parquet.read_table(tmp_path / "shard.parquet").to_pylist()
        documents = [json.loads(line)["document"] for line in path.read_text().splitlines()]
        assert [row["document"] for row in table] == documents
    assert lines == (whole / "predictions.jsonl").read_bytes()
    assert failed == (whole / FAILED).read_bytes()
    assert failed.count(b"unlucky") == 1


# ---------------------------------------------------------------- an actor of Ray, without Ray


@pytest.fixture
def job(rows: Input, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tmp_path)  # put back behind the actor's own
    monkeypatch.setattr(ray_engine, "open_tagger", lambda *_: TAGGER)
    config = OmegaConf.structured(PredictConfig(input=rows.path, output="out"))
    out = tmp_path / "out"
    return Job(config, rows, None, Path("model"), out, "jsonl", tmp_path, threads=1)


def row(shard: Shard) -> dict[str, object]:
    files = [str(path).encode() for path in shard.files]
    return {"number": shard.number, "name": shard.name.encode(), "files": files}


def test_an_actor_writes_a_shard_then_its_record(
    job: Job, rows: Input, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor, shard = Actor(job), shards(rows)[2]
    found = tmp_path / "out" / "predictions" / "b" / "d.jsonl"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ray_engine, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        actor(row(shard))
    first = found.read_bytes()
    assert not job.record(2).exists()
    assert actor(row(shard)) == {"number": 2, "problem": ""}
    assert found.read_bytes() == first
    assert json.loads(job.record(2).read_text()) == {"read": 33, "failed": 5, "spans": 28}


def test_what_stops_an_actor_is_told(
    job: Job, rows: Input, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_model(*_: object) -> Tagger:
        raise UserError("there is no such model")

    monkeypatch.setattr(ray_engine, "open_tagger", no_model)
    said = Actor(job)(row(shards(rows)[0]))
    assert said["problem"].endswith(": there is no such model")
    elsewhere = replace(job, place=tmp_path / "elsewhere")
    assert "No such file or directory" in Actor(elsewhere)(row(shards(rows)[0]))["problem"]
    assert not (tmp_path / "out").exists()


def test_a_shard_that_ends_its_actors_is_named(
    job: Job, rows: Input, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shards(rows)[1]
    with monkeypatch.context() as patch:
        patch.setattr(ray_engine, "annotate_shard", lambda *_: (_ for _ in ()).throw(SystemExit))
        for _ in range(5):
            with pytest.raises(SystemExit):
                Actor(job)(row(shard))
    problem = Actor(job)(row(shard))["problem"]
    assert problem.startswith(f"{shard.files[0]}: 5 actors have died of this shard; ")


def test_another_input_needs_another_folder(rows: Input, tmp_path: Path) -> None:
    def begin() -> None:
        with open_folder(tmp_path / "out", {"format": "jsonl"}) as output:
            assert isinstance(output, OutputFolder)
            hold_against(output, shards(rows))
            output.save()

    begin()
    begin()
    (Path(rows.path) / "f.jsonl").write_text('{"text": "more"}\n')
    with pytest.raises(UserError, match="not those that it was begun with; begin in another"):
        begin()
