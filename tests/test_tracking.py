"""Trackers: what they are told, what stays on the machine, and that no training waits for them."""

import csv
import json
import os
import re
import signal
import struct
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Ended, Start, Text, case_report, write_brat
from test_config import complaint, composed
from wandb_server import Server, serving

from medner import sharing

# Words that are nowhere else. Only the first two are in the texts.
IN_TEXT = ("quirzelword", "snabbelmention")
OUTSIDE = ("flobbendoc", "wurgelcorpus", "brindaloutput", "mockelmodel", "trudelhome")
KEY = "0123456789" * 4
EXPLAINED = {
    "analysis.json", "metrics.json", "predictions.jsonl", "report.html", "reliability.svg",
    "risk_coverage.svg",
}  # fmt: skip


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- what an offline run holds


def wandb_records(path: Path) -> list:
    """The records of a run's file, which is a LevelDB log."""
    from wandb.proto import wandb_internal_pb2

    data, at, records, pieces = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # too little of the block for another header
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        pieces += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            records.append(wandb_internal_pb2.Record.FromString(pieces))
            pieces = b""
    return records


class Offline:
    """An offline W&B run, read back."""

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder = folder
        self.place = sorted(folder.glob("wandb/offline-run-*"))[number]
        (file,) = self.place.glob("*.wandb")
        self.records = wandb_records(file)
        self.run = self.of("run")[0]
        self.config = {item.key: json.loads(item.value_json) for item in self.run.config.update}
        self.exits = [record.exit_code for record in self.of("exit")]
        self.history = [
            {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in row.item
            }
            for row in self.of("history")
        ]
        self.summary = {}
        for record in self.of("summary"):
            for item in record.update:
                self.summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
        self.artifacts = {record.name: record for record in self.of("artifact")}

    def of(self, kind: str) -> list:
        return [getattr(r, kind) for r in self.records if r.WhichOneof("record_type") == kind]

    def table(self, name: str) -> list[dict[str, Any]]:
        content = read_json(self.place / "files" / self.summary[f"{name}/path"])
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]

    def artifact_file(self, name: str) -> Path:
        """The only file of an artifact; its path starts from the run's folder."""
        (entry,) = self.artifacts[name].manifest.contents
        return self.folder / entry.local_path

    def uploaded(self) -> dict[str, bytes]:
        """Everything that `wandb sync` would send but the checkpoint, by what it is.

        No field of the records is left out: even ``local_path`` of an artifact's file is sent.
        """
        sent = {f"record {n}": str(record).encode() for n, record in enumerate(self.records)}
        for path in (self.place / "files").rglob("*"):
            if path.is_file():
                sent[str(path.relative_to(self.place))] = path.read_bytes()
        for name, artifact in self.artifacts.items():
            if artifact.type != "model":
                sent[name] = self.artifact_file(name).read_bytes()
        return sent


def holding(words: tuple[str, ...], sent: dict[str, bytes]) -> dict[str, str]:
    """What of all that is sent holds which of the words."""
    return {
        what: word
        for what, content in sent.items()
        for word in words
        if word in content.decode("utf-8", "replace").lower()
    }


def offline_folders(run: Path) -> list[Path]:
    return sorted(run.glob("wandb/offline-run-*"))


# ---------------------------------------------------------------- trainings


@pytest.fixture(scope="module")
def planted(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options of a training in which texts, ids and every path hold one of the words."""
    folder = tmp_path_factory.mktemp("planted") / "wurgelcorpus"
    reports: dict[str, Text] = {}
    for number in range(3, 11):
        report = case_report(number)
        report.say("Quirzelword")
        report.say("Snabbelmention", "Disease_disorder")
        report.stop()
        reports[f"flobbendoc{number}"] = report
    write_brat(folder, reports)
    model = tmp_path_factory.mktemp("model") / "mockelmodel"
    model.symlink_to(mirror / "dmis-lab/biobert-v1.1")
    (folder.parent / "flobbendoc_test.txt").write_text("flobbendoc3\nflobbendoc4\n")
    return (
        "model=biobert", f"model.name={model}", "data=brat", f"data.path={folder}",
        f"data.split.test_ids={folder.parent}/flobbendoc_test.txt", "data.split.validation=2",
    )  # fmt: skip


class Trainings:
    """Trainings in subprocesses, by name; ``out`` has their output folders."""

    def __init__(self, start: Start, folder: Path, options: tuple[str, ...]) -> None:
        self._start, self._folder, self._options = start, folder, options
        self.home = folder / "trudelhome"
        (self.home / "cwd").mkdir(parents=True)
        self.ended: dict[str, Future[Ended]] = {}

    def out(self, name: str) -> Path:
        return self._folder / f"brindaloutput_{name}"

    def start(self, name: str, *options: str, epochs: int = 1, **env: str) -> None:
        self.ended[name] = self._start(
            "train.py", *options, *self._options, f"trainer.max_epochs={epochs}",
            f"output_dir={self.out(name)}",
            cwd=self.home / "cwd", env={"HOME": str(self.home), **env},
        )  # fmt: skip

    def run_of(self, name: str) -> Path:
        """The run folder of a training that ended well."""
        self.ended[name].result().well()
        (tracker,) = self.out(name).glob("**/tracker.json")
        return tracker.parent


def services(word: str) -> list[int]:
    """The W&B services started by a process that has ``word`` in its command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, state = (folder / "stat").read_text().rpartition(")")[::2]
            parent = Path("/proc", state.split()[1], "cmdline").read_text()
        except OSError:  # it has just ended
            continue
        if "wandb-core" in name and word in parent:
            found.append(int(folder.name))
    return found


def kill_service(out: Path, ended: "Future[Ended]") -> None:
    """Kill the W&B service of a training that writes below ``out`` as soon as it has one."""
    while not ended.done():
        if list(out.glob("*/tracker.json")):
            for service in services(str(out)):
                os.kill(service, signal.SIGKILL)
                return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def silent() -> Iterator[Server]:
    with serving() as server:
        server.silent.set()
        yield server


@pytest.fixture(scope="module")
def trainings(
    start: Start, planted: tuple[str, ...], server: Server, silent: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trainings]:  # fmt: skip
    trainings = Trainings(start, tmp_path_factory.mktemp("trainings"), planted)
    account = {"WANDB_API_KEY": KEY}
    both = "logger=[csv,wandb]"
    trainings.start("sweep", "-m", "seed=3", both, "eval_dataset=bc5cdr", epochs=2)
    trainings.start("killed", epochs=3)
    watched = trainings.out("killed"), trainings.ended["killed"]
    threading.Thread(target=kill_service, args=watched, daemon=True).start()
    trainings.start("text", "logger.wandb.log_text=true")
    trainings.start("online", WANDB_BASE_URL=server.url, **account)
    trainings.start("silent", WANDB_BASE_URL=silent.url, WANDB_INIT_TIMEOUT="2", **account)
    yield trainings
    for ended in trainings.ended.values():
        ended.cancel()
    for checkpoint in tmp_path_factory.getbasetemp().glob("trainings*/**/*.ckpt"):
        checkpoint.unlink()


@pytest.fixture(scope="module")
def trained(trainings: Trainings) -> Offline:
    """The W&B run of a training without an account, the only job of a sweep."""
    return Offline(trainings.run_of("sweep"))


def test_without_an_account_wandb_runs_offline_and_says_what_sends_it(
    trained: Offline, trainings: Trainings
) -> None:
    assert trained.exits == [0]
    ended = trainings.ended["sweep"].result()
    assert ended.stderr == ""
    sync = f"`cd {trained.folder} && wandb sync wandb/offline-run-*-{trained.run.run_id}*` sends it"
    assert f"W&B: offline; {sync}\n" in ended.stdout


def test_the_run_says_what_it_is(trained: Offline) -> None:
    assert trained.run.job_type == "training"
    assert trained.run.display_name == "biobert-brat-seed3"
    assert re.fullmatch(r"sweep-[0-9a-f]{8}", trained.run.run_group)
    assert read_json(trained.folder / "tracker.json") == {
        "wandb": {
            "id": trained.run.run_id,
            "name": "biobert-brat-seed3",
            "group": trained.run.run_group,
        }
    }


def test_the_run_has_options_versions_and_fingerprints(trained: Offline) -> None:
    config = trained.config
    saved = yaml.safe_load((trained.folder / "config.yaml").read_text())
    assert config["seed"] == 3
    assert config["trainer"] == saved["trainer"] | {"default": config["trainer"]["default"]}
    assert config["data"]["format"] == "brat"
    assert config["model"]["label"] == "biobert"
    assert config["model"]["name"] == "a local folder"
    assert config["code"]["version"] == "0.1.0"
    report = read_json(trained.folder / "data_report.json")
    assert config["fingerprints"] == {
        "data": report["fingerprint"],
        "split": sharing.file_digest(trained.folder / "split.json"),
    }


def test_the_commit_is_that_of_the_checkout(trained: Offline) -> None:
    git = ("git", "-C", str(ROOT), "rev-parse", "HEAD")
    commit = subprocess.run(git, capture_output=True, text=True)
    if not (ROOT / ".git").exists() or commit.returncode:
        assert set(trained.config["code"]) == {"version"}
        return
    assert trained.config["code"]["commit"] == commit.stdout.strip()
    assert trained.config["code"]["modified"] in (True, False)


def test_the_run_has_learning_curves(trained: Offline) -> None:
    curve = {
        row["trainer/global_step"]: row["val/f1"] for row in trained.history if "val/f1" in row
    }
    assert len(curve) == 2
    assert max(curve.values()) == pytest.approx(trained.summary["best_validation_f1"])
    assert any("train/loss" in row for row in trained.history)


@pytest.mark.parametrize("part", ["validation", "test", "bc5cdr_test"])
def test_the_run_has_the_scores_of_every_part(trained: Offline, part: str) -> None:
    scores = read_json(trained.folder / "metrics.json")["scores"][part]
    for name in ("f1", "precision", "recall"):
        assert trained.summary[f"{part}/{name}"] == scores["overall"][name]
    assert trained.summary[f"{part}/macro_f1"] == scores["macro_f1"]
    table = {row.pop("type"): row for row in trained.table(f"{part}/scores")}
    assert table.pop("overall") == pytest.approx(scores["overall"])
    assert table == {name: pytest.approx(row) for name, row in scores["types"].items()}
    charts = [item.nested_key[-1] for record in trained.of("config") for item in record.update]
    assert f"{part}/f1_by_type" in charts


def test_the_best_checkpoint_is_an_artifact(trained: Offline) -> None:
    artifact = trained.artifacts[f"model-{trained.run.run_id}"]
    path = trained.artifact_file(artifact.name)
    assert path.samefile(trained.folder / "checkpoints" / "best.ckpt")
    assert json.loads(artifact.metadata) == {"sha256": sharing.file_digest(path)}
    assert "best" in artifact.aliases


def test_predictions_are_an_artifact_without_texts(trained: Offline) -> None:
    path = trained.artifact_file(f"predictions-{trained.run.run_id}-test")
    sent = [json.loads(line) for line in path.read_text().splitlines()]
    own = [
        json.loads(line)
        for line in (trained.folder / "predictions" / "test.jsonl").read_text().splitlines()
    ]
    keys = ("start", "end", "type", "confidence")
    wanted = [[{key: span[key] for key in keys} for span in record["spans"]] for record in own]
    assert [record["spans"] for record in sent] == wanted
    assert any(wanted)
    assert {tuple(record) for record in sent} == {("document", "spans")}
    assert all(re.fullmatch(r"[0-9a-f]{64}", record["document"]) for record in sent)


def test_metrics_csv_has_curves_and_scores(trained: Offline) -> None:
    with (trained.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["val/f1"]]) == 2
    scores = [float(row["test/f1"]) for row in rows if row["test/f1"]]
    assert scores == [trained.summary["test/f1"]]


# ---------------------------------------------------------------- privacy


def test_nothing_of_texts_ids_or_paths_is_in_an_offline_run(trained: Offline) -> None:
    assert holding((*IN_TEXT, *OUTSIDE), trained.uploaded()) == {}


def test_texts_are_sent_where_asked_for_and_a_line_says_so(trainings: Trainings) -> None:
    """The same search finds the words, if they are there."""
    run = Offline(trainings.run_of("text"))
    found = holding(IN_TEXT, run.uploaded())
    names = {f"predictions-{run.run.run_id}-{part}" for part in ("validation", "test")}
    assert set(found) == names
    for name in names:
        lines = run.artifact_file(name).read_text().splitlines()
        assert all("quirzelword" in json.loads(line)["text"].lower() for line in lines)
        assert all(len(s["text"]) == s["end"] - s["start"] for s in json.loads(lines[0])["spans"])
    assert holding(OUTSIDE, run.uploaded()) == {}
    said = trainings.ended["text"].result().stdout
    assert said.count("log_text") == 1
    assert re.search(r"^W&B: .*log_text=true: the texts of all documents .* mentions", said, re.M)


def test_nothing_of_texts_ids_or_paths_goes_over_the_wire(
    trainings: Trainings, server: Server
) -> None:
    run = trainings.run_of("online")
    assert trainings.ended["online"].result().stderr == ""
    requests = {
        f"{n} {request.partition(b' HTTP')[0].decode()}": request
        for n, request in enumerate(server.received)
    }
    sent = " ".join(requests)
    wanted = ("validation.jsonl", "test.jsonl", "best.ckpt", "wandb-summary.json", "manifest")
    for file in wanted:  # the server takes all there is
        assert f"/upload/{file}" in sent
    assert any(b"val/f1" in request for request in server.received)
    checkpoint = {name for name in requests if "best.ckpt" in name}
    others = {name: content for name, content in requests.items() if name not in checkpoint}
    assert holding((*IN_TEXT, *OUTSIDE), others) == {}
    upserts = [r.rpartition(b"\n")[2] for r in server.received if b'"UpsertBucket"' in r]
    begun, *_ = [json.loads(upsert)["variables"] for upsert in upserts]
    assert (begun["host"] or None, begun["program"], begun["repo"]) == (None, "medner", None)
    assert list(run.glob("wandb/run-*")) and not offline_folders(run)


def test_the_checkpoint_that_is_sent_names_no_place(trained: Offline) -> None:
    path = trained.artifact_file(f"model-{trained.run.run_id}")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert len(parts) > 10
    assert holding(OUTSIDE, parts) == {}


def test_a_run_writes_nothing_outside_of_its_folder(trainings: Trainings) -> None:
    for name in trainings.ended:
        trainings.run_of(name)
    written = {path.relative_to(trainings.home).parts[:2] for path in trainings.home.rglob("*")}
    # but for matplotlib's list of the machine's fonts
    matplotlib = {(f".{place}", "matplotlib") for place in ("cache", "config")}
    assert written - matplotlib <= {("cwd",), (".cache",), (".config",)}


# ---------------------------------------------------------------- when W&B is down


def warnings_of(run: Path) -> list[str]:
    log = (run / "train.log").read_text()
    return re.findall(r"^\S+ \S+ WARNING \S+: (.*)", log, re.M)


def test_a_server_that_never_answers_is_given_up_at_the_start(trainings: Trainings) -> None:
    run = trainings.run_of("silent")
    (warning,) = warnings_of(run)
    assert "Traceback" not in trainings.ended["silent"].result().said
    assert "Traceback" not in (run / "train.log").read_text()
    assert re.match(r"W&B: could not be reached \(.+\): offline; `cd .* && wandb sync", warning)
    offline = Offline(run)
    assert offline.exits == [0]
    assert offline.summary["validation/f1"] == read_json(run / "metrics.json")["scores"][
        "validation"]["overall"]["f1"]  # fmt: skip
    assert len(list(run.glob("wandb/*run-*"))) == 1  # nothing is left of the first attempt


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only Linux has /proc, to find W&B by"
)
def test_training_ends_well_though_the_service_is_killed(trainings: Trainings) -> None:
    run = trainings.run_of("killed")
    (warning,) = warnings_of(run)
    (folder,) = offline_folders(run)
    assert re.match(rf"W&B: .+; going on without it\. .* is in {folder}; `cd .*wandb sync", warning)
    assert read_json(run / "metrics.json")["epochs"] == 3


# ---------------------------------------------------------------- other trackers


@pytest.mark.parametrize(
    ("chosen", "trackers"),
    [
        ([], {"wandb"}),
        (["logger=none"], set()),
        (["logger=csv"], {"csv"}),
        (["logger=[csv,wandb]"], {"csv", "wandb"}),
        (["logger=[tensorboard,csv]"], {"csv", "tensorboard"}),
    ],
)
def test_one_tracker_or_several_can_be_chosen(chosen: list[str], trackers: set[str]) -> None:
    config = composed("train", *chosen)
    assert {name for name, value in config.logger.items() if value is not None} == trackers
    config = composed("evaluate", *chosen)
    if not chosen:
        assert config.logger is None  # those of the run
    else:
        assert {name for name, value in config.logger.items() if value is not None} == trackers


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_a_missing_tensorboard_is_told_at_once(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medner.config.find_spec", lambda name: None)
    line = complaint(verb, "logger=tensorboard")
    assert re.search(r"neither tensorboard .* installed; pip install 'medner\[tensorboard\]'", line)


def test_tensorboard_forgets_what_comes_after_the_step_of_resumption(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from medner.tracking import finish, make_loggers

    config = composed("train", "logger=tensorboard")
    for resumed_from, steps in ((None, (10, 15, 25)), (20, (20, 30))):
        loggers = make_loggers(config, tmp_path, resumed_from)
        for step in steps:
            loggers[0].log_metrics({"val/f1": step / 100}, step)
        finish(loggers, ended_well=True)
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in read.Scalars("val/f1")] == [10, 15, 20, 30]


# ---------------------------------------------------------------- evaluations


@pytest.fixture(scope="module")
def evaluations(
    start: Start, trained: Offline, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, "Future[Ended]"]:
    moved = tmp_path_factory.mktemp("bare") / "brindaloutput.ckpt"
    moved.hardlink_to(trained.folder / "checkpoints" / "best.ckpt")
    run = f"run={trained.folder}"
    return {
        "tracked": start("evaluate.py", "eval_dataset=test", run),
        "untracked": start("evaluate.py", "eval_dataset=val", run, "logger=none"),
        "bare": start("evaluate.py", "eval_dataset=bc5cdr", f"ckpt_path={moved}"),
    }


def test_an_evaluation_is_a_run_of_its_own(trained: Offline, evaluations: dict) -> None:
    evaluations["tracked"].result().well()
    folder = trained.folder / "evaluations" / "test_identity"
    run = Offline(folder)
    assert run.run.job_type == "evaluation"
    assert run.run.run_id != trained.run.run_id
    assert run.run.run_group == trained.run.run_group
    assert run.run.display_name == "biobert-brat-seed3 on test"
    assert run.exits == [0]
    assert run.config["trained"] == {
        "id": trained.run.run_id,
        "name": "biobert-brat-seed3",
        "group": trained.run.run_group,
        "evaluated_sha256": sharing.file_digest(trained.folder / "checkpoints" / "best.ckpt"),
    }
    assert run.config["fingerprints"].keys() == {"data"}
    scores = read_json(folder / "metrics.json")["scores"]
    assert run.summary["test/f1"] == scores["overall"]["f1"] == trained.summary["test/f1"]
    assert len(run.table("test/scores")) == len(scores["types"]) + 1
    assert list(run.artifacts) == [f"predictions-{run.run.run_id}-test"]
    with (folder / "metrics.csv").open(newline="") as file:
        assert [float(row["test/f1"]) for row in csv.DictReader(file)] == [run.summary["test/f1"]]
    assert holding((*IN_TEXT, *OUTSIDE), run.uploaded()) == {}


def test_an_evaluation_need_not_be_tracked(trained: Offline, evaluations: dict) -> None:
    evaluations["untracked"].result().well()
    files = {path.name for path in (trained.folder / "evaluations/validation_identity").iterdir()}
    assert files == EXPLAINED


def test_a_checkpoint_without_a_run_has_no_trackers(evaluations: dict) -> None:
    ended = evaluations["bare"].result().well()
    folder = Path(re.search(r"^written: (.*)$", ended.stdout, re.M)[1])
    files = {path.name for path in folder.iterdir()}
    assert files == EXPLAINED | {"label_map.yaml"}
