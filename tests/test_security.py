"""Files from strangers: what runs code in careless hands does not run here, and is one line."""

import json
import pickle
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from conftest import Ended, Run, Start
from omegaconf import OmegaConf
from pytorch_lightning.core import saving
from test_config import composed
from transformers import AutoConfig

from medner import cpu_kernels
from medner.encoder import build_encoder, encoder_config
from medner.errors import UserError
from medner.module import NerModule
from medner.runs import BEST, CONFIG, load_config, save_config
from medner.schema import TrainConfig
from medner.sources import open_corpus

BIOBERT, BIOFORMER = "dmis-lab/biobert-v1.1", "bioformers/bioformer-16L"
# What would go off is shown to go off: each of these is how somebody somewhere reads such a file.
CARELESS = """
import json, sys, zipfile
import torch, yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pathlib import Path
from transformers import AutoConfig, AutoTokenizer

def unpack(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            Path(path).parent.joinpath(name).write_bytes(archive.read(name))

def unsafe_yaml(path):
    yaml.load(Path(path).read_text(), Loader=yaml.UnsafeLoader)

READERS = {
    "torch": lambda path: torch.load(path, weights_only=False),
    "config": lambda path: AutoConfig.from_pretrained(path, trust_remote_code=True),
    "tokenizer": lambda path: AutoTokenizer.from_pretrained(path, trust_remote_code=True),
    "yaml": unsafe_yaml,
    "hydra": lambda path: instantiate(OmegaConf.load(path).model),
    "environment": lambda path: print(OmegaConf.load(path).data.path),
    "zip": unpack,
}
for reader, path in json.load(sys.stdin):
    try:
        READERS[reader](path)
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
"""


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return exec, (f"open({str(self.mark)!r}, 'w')",)


def script(mark: Path) -> str:
    """A module with a configuration and a tokenizer, which makes a file when imported."""
    return (
        f"open({str(mark)!r}, 'w')\n"
        "from transformers import BertConfig, BertTokenizer\n"
        "class TheirConfig(BertConfig): model_type = 'theirs'\n"
        "class TheirTokenizer(BertTokenizer): pass\n"
    )


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def run_folder(folder: Path, change: Callable[[dict], None] = lambda _: None) -> Path:
    """A run's, as far as an evaluation looks before it reads the checkpoint."""
    save_config(folder, composed("train", "data=brat", "data.path=notes", "model=biobert"))
    values = yaml.safe_load((folder / CONFIG).read_text())
    change(values)
    (folder / CONFIG).write_text(yaml.safe_dump(values))
    (folder / BEST).parent.mkdir()
    (folder / BEST).touch()
    return folder


@dataclass(frozen=True)
class Attack:
    """How a careless program reads it, which file, the command that is given it here, and what the
    command says."""

    reader: str
    path: Path
    command: str
    line: str


@dataclass(frozen=True)
class Prepared:
    attacks: dict[str, Attack]
    marks: Path

    def mark(self, name: str) -> Path:
        return self.marks / name


@pytest.fixture(scope="module")
def prepared(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Every attack laid out; what goes off makes the file ``marks/NAME``."""
    at = tmp_path_factory.mktemp("strangers")
    marks = at / "marks"
    marks.mkdir()
    models = {
        name: shutil.copytree(mirror / BIOBERT, at / name)
        for name in ("weights", "configuration", "tokenizer")
    }
    torch.save({"a.weight": Bomb(marks / "weights")}, models["weights"] / "pytorch_model.bin")
    theirs = {"AutoConfig": "theirs.TheirConfig", "AutoTokenizer": ["theirs.TheirTokenizer", None]}
    for name, file, extra in (
        ("configuration", "config.json", {"model_type": "theirs"}),
        ("tokenizer", "tokenizer_config.json", {"tokenizer_class": "TheirTokenizer"}),
    ):
        (models[name] / "theirs.py").write_text(script(marks / name))
        change_json(models[name] / file, auto_map=theirs, **extra)

    torch.save({"state_dict": Bomb(marks / "checkpoint")}, at / "model.ckpt")
    with (run_folder(at / "run") / BEST).open("wb") as file:
        pickle.dump(Bomb(marks / "best checkpoint"), file)  # without torch's zip around it

    path = {"_target_": "pathlib.Path", "_args_": [str(marks / "target")]}
    target = {"_target_": "pathlib.Path.touch", "_args_": [path]}
    run_folder(at / "target", lambda values: values.update(model=target))
    run_folder(
        at / "environment", lambda values: values["data"].update(path="${oc.env:SECRET}/notes")
    )
    for name, file in (
        ("yaml", run_folder(at / "yaml") / CONFIG), ("group", at / "conf" / "data" / "theirs.yaml")
    ):  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        code = f"open({str(marks / name)!r}, 'w')"
        file.write_text(f"name: !!python/object/apply:builtins.exec [{json.dumps(code)}]\n")

    with zipfile.ZipFile(at / "notes.zip", "w") as archive:
        archive.writestr("1.txt", "Fever")
        archive.writestr("1.ann", "T1\tSign_symptom 0 5\tFever\n")
        archive.writestr("marks/../marks/zip", "")
    once = "logger=none trainer.max_epochs=1"
    evaluation = "evaluate.py eval_dataset=ncbi"
    return Prepared(
        {
            "checkpoint": Attack(
                "torch", at / "model.ckpt", f"{evaluation} ckpt_path={at}/model.ckpt",
                r"model\.ckpt: not a checkpoint of this program \(it holds more than plain values",
            ),
            "best checkpoint": Attack(
                "torch", at / "run" / BEST, f"{evaluation} run={at}/run",
                r"best\.ckpt: not a checkpoint of this program \(it holds more than plain values",
            ),
            "weights": Attack(
                "torch", models["weights"] / "pytorch_model.bin",
                f"train.py {once} model=biobert model.name={models['weights']}",
                r"weights: pytorch_model\.bin .* holds more than tensors",
            ),
            "configuration": Attack(
                "config", models["configuration"],
                f"train.py {once} model=biobert model.name={models['configuration']}",
                r"configuration: no encoder: .* contains custom code",
            ),
            "tokenizer": Attack(
                "tokenizer", models["tokenizer"],
                f"train.py {once} model=biobert model.name={models['tokenizer']}",
                r"tokenizer: no tokenizer: ",
            ),
            "target": Attack(
                "hydra", at / "target" / CONFIG, f"{evaluation} run={at}/target",
                r"config\.yaml: not the options of a run: Key '_\w+_' not in 'ModelConfig'",
            ),
            "yaml": Attack(
                "yaml", at / "yaml" / CONFIG, f"{evaluation} run={at}/yaml",
                r"config\.yaml: not the options of a run: could not determine a constructor",
            ),
            "group": Attack(
                "yaml", at / "conf/data/theirs.yaml",
                f"train.py --config-dir={at}/conf data=theirs",
                r"could not determine a constructor for the tag .*exec",
            ),
            "environment": Attack(
                "environment", at / "environment" / CONFIG, f"{evaluation} run={at}/environment",
                r"config\.yaml: .*: \$\{oc\.env:SECRET\}/notes is an interpolation, which no run",
            ),
            "zip": Attack(
                "zip", at / "notes.zip", f"train.py data=brat data.path={at}/notes.zip",
                r"notes\.zip: its member 'marks/\.\./marks/zip' leaves its folder",
            ),
        },
        marks,
    )  # fmt: skip


@pytest.fixture(scope="module")
def gone_off(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The attacks that work on a program that takes no care; their marks are removed."""
    home = str(tmp_path_factory.mktemp("careless"))
    readers = [(attack.reader, str(attack.path)) for attack in prepared.attacks.values()]
    ended = subprocess.run(
        [sys.executable, "-c", CARELESS], input=json.dumps(readers), capture_output=True, text=True,
        env={"HOME": home, "HF_HOME": home, "SECRET": "hushhush", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    marks = {path.name for path in prepared.marks.iterdir()}
    for name in marks:
        prepared.mark(name).unlink()
    return marks | ({"environment"} if "hushhush/notes" in ended.stdout else set())


HEAVY = ("checkpoint", "best checkpoint", "weights", "configuration", "tokenizer")


@pytest.fixture(scope="module")
def ended(
    start: Start, prepared: Prepared, gone_off: set[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, "Future[Ended]"]:
    """The end of each command; torch is there for those that come to it."""
    started = {}
    for name, attack in prepared.attacks.items():
        out = tmp_path_factory.mktemp("out")
        started[name] = start(
            *attack.command.split(), f"output_dir={out}", env={"SECRET": "hushhush"},
            torch=name in HEAVY,
        )  # fmt: skip
    return started


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HEAVY, "target", "yaml", "group", "environment", "zip"])
def test_it_would_go_off_and_does_not(
    name: str, prepared: Prepared, gone_off: set[str], ended: dict[str, "Future[Ended]"]
) -> None:
    assert name in gone_off
    process = ended[name].result()
    assert re.search(prepared.attacks[name].line, process.error()), process.said
    assert not prepared.mark(name).exists()
    assert "[y/N]" not in process.said and "hushhush" not in process.said


def test_safetensors_go_first(mirror: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mirror / BIOFORMER, tmp_path / "model")
    torch.save(Bomb(tmp_path / "mark"), folder / "pytorch_model.bin")
    config = encoder_config(folder, ("O",), None, 512)
    assert build_encoder(config, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds more than tensors"):
        build_encoder(config, folder)
    assert not (tmp_path / "mark").exists()


def test_code_beside_a_known_architecture_is_passed_over(
    mirror: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    folder = shutil.copytree(mirror / BIOFORMER, tmp_path / "model")
    (folder / "theirs.py").write_text(script(tmp_path / "mark"))
    classes = ("AutoConfig", "AutoModelForTokenClassification")
    change_json(folder / "config.json", auto_map=dict.fromkeys(classes, "theirs.TheirConfig"))
    config = encoder_config(folder, ("O",), None, 512)
    for weights in (folder, None):
        assert type(build_encoder(config, weights)).__module__.startswith("transformers.models.")
    assert not (tmp_path / "mark").exists()
    assert "[y/N]" not in capfd.readouterr().out


def test_no_kernel_is_fetched_that_a_checkpoint_names(mirror: Path) -> None:
    """The library downloads and runs what stands there as owner/name."""
    config = encoder_config(mirror / BIOFORMER, ("O",), None, 512)
    config["_attn_implementation"] = "owner/kernel"
    assert AutoConfig.for_model(**config)._attn_implementation == "owner/kernel"
    assert build_encoder(config, None).config._attn_implementation == cpu_kernels.NAME


def test_no_function_is_called_that_a_checkpoint_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "planted.py").write_text(f"def call(*_): open({str(mark)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    values = {"state_dict": {}, "hyper_parameters": {"_instantiator": "planted.call"}}
    torch.save(values | {"pytorch-lightning_version": "2.6.0"}, tmp_path / "a.ckpt")
    # releases of Lightning differ in whom they let through
    monkeypatch.setattr(saving, "_ALLOWED_INSTANTIATORS", {"planted.call"}, raising=False)
    with pytest.raises(AttributeError):  # what it returns is no module
        NerModule.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert mark.exists()
    mark.unlink()
    with pytest.raises(UserError, match="not a checkpoint of this program"):
        NerModule.load(tmp_path / "a.ckpt")
    assert not mark.exists()


def test_nothing_is_fetched_from_where_a_run_s_folder_says(run: Run, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.txt").write_text("planted")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/a.txt"
    files = [{"name": "first.txt", "urls": [url]}, {"name": "../../mark", "urls": [url]}]
    release = {"folder": "x", "files": files}
    theirs = run_folder(
        tmp_path / "run", lambda values: values["data"].update(path=None, release=release)
    )
    try:
        with pytest.raises(UserError):  # what came is no corpus, but it came
            schema = OmegaConf.structured(TrainConfig)
            trusting = OmegaConf.merge(schema, OmegaConf.load(theirs / CONFIG))
            open_corpus(trusting.data, tmp_path / "corpora")
        assert (tmp_path / "mark").read_text() == "planted"
        (tmp_path / "mark").unlink()
        shutil.rmtree(tmp_path / "corpora")
        options = ("eval_dataset=val", f"run={theirs}", f"corpora_dir={tmp_path}/corpora")
        ended = run("evaluate.py", *options, torch=False)
    finally:
        server.shutdown()
        server.server_close()
    assert "corpus brat: path is not set" in ended.error()
    assert not (tmp_path / "mark").exists() and not (tmp_path / "corpora").exists()


def test_no_address_is_taken_from_a_run_s_folder(tmp_path: Path) -> None:
    """Neither of the corpus it was trained on, nor of one that it was scored on."""
    save_config(tmp_path, composed("train", "data=ncbi", "eval_dataset=bc5cdr"))
    config, saved = load_config(tmp_path), OmegaConf.load(tmp_path / CONFIG)
    assert saved.data.release.files and saved.eval_dataset.release.files
    assert config.data.release is None and config.eval_dataset.release is None


@pytest.mark.parametrize(
    "text", ["seed: ${oc.env:HOME}", "data: {types: {'${oc.env:HOME}': a}}", "- ['${run_id:}']"]
)
def test_an_interpolation_is_found_wherever_it_stands(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG).write_text(text)
    assert "${" in OmegaConf.to_yaml(OmegaConf.load(tmp_path / CONFIG))
    with pytest.raises(UserError, match=r"\$\{.*\} is an interpolation, which no run saves"):
        load_config(tmp_path)
