"""Before torch is imported: help, the options composed, and a user's errors in one line each; what
needs the options alone comes before numpy too."""

import re
from concurrent.futures import Future
from pathlib import Path

import pytest
import yaml
from conftest import Ended, Run, Start
from test_cli import OFFLINE, SHORT


@pytest.mark.parametrize("verb", ["train.py", "evaluate.py", "predict.py"])
def test_help_names_options_and_groups_without_numpy(run: Run, verb: str) -> None:
    ended = run(verb, "--help", numpy=False).well()
    assert ended.stderr == ""
    assert f"python {verb} " in ended.stdout
    assert "eval_dataset: bc5cdr, bigbio, " in ended.stdout
    assert "output_dir: runs" in ended.stdout


@pytest.mark.parametrize(
    ("verb", "args"), [("train.py", ["model=biobert"]), ("evaluate.py", ["eval_dataset=ncbi"])]
)
def test_cfg_prints_the_configuration_without_numpy(
    run: Run, verb: str, args: list[str], tmp_path: Path
) -> None:
    ended = run(verb, *args, f"output_dir={tmp_path}/runs", "--cfg", "job", numpy=False).well()
    assert yaml.safe_load(ended.stdout)["output_dir"] == f"{tmp_path}/runs"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("blocked", ["torch", "numpy"])
def test_the_block_blocks(run: Run, tmp_path: Path, blocked: str) -> None:
    ended = run("train.py", *OFFLINE, *SHORT, f"output_dir={tmp_path}", **{blocked: False})
    assert ended.code == 1
    assert re.search(rf"{blocked}\w* was imported", ended.said)


# name: verb, options, what the line says. {hub} is a mirror, {bare} the same without weights.
OF_OPTIONS = {
    "unknown choice": ("train.py", "model=bilbert", r"model=bilbert: .*biobert, bioformer"),
    "unknown among several": (
        "train.py", "logger=[csv,wand]", r"logger=wand: logger takes csv, none, tensorboard or wa",
    ),
    "no choice": ("train.py", "logger=null", r"group override must be a string"),
    "misspelt option": ("train.py", "trainer.max_epoch=3", r"trainer\.max_epoch: .*max_epochs"),
    "misspelt group": ("train.py", "modle=biobert", r"modle: .*did you mean model"),
    "wrong type": ("train.py", "trainer.max_epochs=many", r"trainer\.max_epochs: .*many"),
    "wrong value": ("train.py", "trainer.max_epochs=0", r"trainer\.max_epochs=0: .*above 0"),
    "wrong choice": ("train.py", "model.weights=none", r"model\.weights=none: .*pretrained or ran"),
    "wrong precision": ("train.py", "trainer.precision=8", r"trainer\.precision=8: .*bf16-mixed"),
    "int8 in training": ("train.py", "trainer.precision=int8", r"trainer\.precision=int8: takes"),
    "int8 on a card": (
        "predict.py", "input=x output=y trainer.precision=int8 trainer.accelerator=gpu",
        r"trainer\.precision=int8: on a CPU only; give trainer\.accelerator=cpu",
    ),
    "no cores": (
        "predict.py", "input=x output=y engine=ray engine.cpus=null",
        r"engine\.cpus=null: takes a number above 0",
    ),
    "wrong seed": ("train.py", "seed=-1", r"seed=-1"),
    "batch that does not divide": (
        "train.py", "trainer.device_batch=3 hub_mirror={hub}", r"device_batch=3: .*effective_batch",
    ),
    "contradicting split": (
        "train.py", "data.split.test=4 data.split.folds=5 data.split.fold=1",
        r"data\.split: folds and test contradict each other",
    ),
    "no official split": (
        "train.py", "data.split.official=true", r"official=true: maccrobat has no official split",
    ),
    "fold without folds": ("train.py", "data.split.fold=1", r"fold=1 without folds"),
    "an option of a group not chosen": (
        "train.py", "eval_dataset.path=x.zip", r"a group that is null; .* eval_dataset=NAME",
    ),
    "an option of a tracker not chosen": (
        "train.py", "logger=csv logger.wandb.offline=true", r"logger=wandb logger\.wandb\.offline",
    ),
    "misspelt option of a tracker": (
        "train.py", "logger.wandb.ofline=true", r"logger\.wandb\.ofline: .*did you mean offline",
    ),
    "an option of no tracker": ("train.py", "logger.offline=true", r"logger\.offline: .*csv, tens"),
    "an empty path": ("train.py", "data=brat data.path=", r"data\.path= is empty; give a path"),
    "an unknown part": ("train.py", "data=demo +data.parts.dev=*", r"data\.parts\.dev: the parts"),
    "a path to be quoted": (
        "train.py", "data=brat data.path=~/notes", r"quote the value too: \"data.path='~/notes'\"",
    ),
    "an option without a value": ("train.py", "dry_run", r"dry_run: .* NAME=VALUE"),
    "sweep without -m": ("train.py", "model=biobert,bioformer", r"biobert,bioformer.*--multirun"),
    "own documents after training": (
        "train.py", "eval_dataset=val", r"eval_dataset: .* are scored anyway; .* another corpus",
    ),
    "added option": ("train.py", "+trainer.max_epoch=3", r"trainer\.max_epoch: .*max_epochs"),
    "unknown dataset": ("evaluate.py", "eval_dataset=nbci", r"nbci: .*maccrobat, ncbi"),
    "unknown label map": (
        "evaluate.py", "eval_dataset=ncbi eval_dataset/label_map=x", r"label_map=x: .*disease_join",
    ),
    "misspelt option of evaluation": ("evaluate.py", "eval_dataset=val rum=x", r"rum: .*run"),
    "run and checkpoint": (
        "evaluate.py", "eval_dataset=ncbi run=a ckpt_path=b", r"run and ckpt_path contradict",
    ),
}  # fmt: skip
# and what files and folders do not hold
OF_FILES = {
    "nothing left to train on": ("train.py", "data.split.test=24", r"test=24.*nothing is left"),
    "no corpus": ("train.py", "data.path={out}/none", r"out/none: corpus maccrobat is not there"),
    "an official split that fits nothing": (
        "train.py", "data=brat data.path={corpora}/maccrobat2020 +data.parts.train=*tarin*",
        r"no file is of a part of the corpus's own split \(train: \*tarin\*\); correct data\.parts",
    ),
    "only a test part": (
        "train.py", "data=ncbi data.path={corpora}/ncbi_disease/NCBItestset_corpus.txt",
        r"no document is left to train on; give the whole corpus",
    ),
    "a part of a corpus without parts": (
        "train.py", "eval_dataset=maccrobat eval_dataset.part=test hub_mirror={hub}",
        r"eval_dataset\.part=test: maccrobat has no parts",
    ),
    "corpus of another format": (
        "train.py", "data=ncbi data.path={corpora}/maccrobat2020", r"maccrobat2020.*no file match",
    ),
    "a model nobody has": (
        "train.py", "model=biobert hub_mirror={out}",
        r"dmis-lab/biobert-v1.1 .*hub_mirror=.*no such folder.*hub cache: not there; "
        r"hub: HF_HUB_OFFLINE is set.*model\.name=DIR.*hub_mirror=DIR",
    ),
    "a mirror without weights": (
        "train.py", "model=biobert hub_mirror={bare}",
        r"no weights \(model.safetensors.*model\.weights=random needs none",
    ),
    "a label map for other types": (
        "train.py", "data=maccrobat eval_dataset=bc5cdr hub_mirror={hub} eval_dataset/label_map="
        "disease_and_chemical",
        r"label map disease_and_chemical: not types of the model",
    ),
    "no type in common": (
        "train.py", "data=ncbi eval_dataset=maccrobat hub_mirror={hub}",
        r"maccrobat has none of the model's types \(Disease\) but Activity, .* and 36 more; say",
    ),
    "a corpus nobody has": (
        "train.py", "data=maccrobat_2018_2020 corpora_dir={out}/corpora",
        r"maccrobat2018_2020: not there; hub: ktgiahieu/.*: HF_HUB_OFFLINE is set\); put it",
    ),
    "no path": ("train.py", "data=brat", r"corpus brat: path is not set; give the folder"),
    "no run": ("evaluate.py", "eval_dataset=ncbi", r"no run .*out/; train one, or give"),
    "no such run": ("evaluate.py", "eval_dataset=val run={out}/x", r"out/x: there is no such fold"),
    "not a run": ("evaluate.py", "eval_dataset=val run={hub}", r"hub.* is not the folder of a run"),
    "no such checkpoint": (
        "evaluate.py", "eval_dataset=ncbi ckpt_path={out}/x.ckpt", r"x\.ckpt: there is no such file"
    ),
}  # fmt: skip
ERRORS = OF_OPTIONS | OF_FILES


@pytest.fixture(scope="module")
def errors(
    start: Start, corpora: Path, mirror: Path, bare: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, "Future[Ended]"]]:
    """Each wrong command with its output folder, all of them started, none of them with torch, and
    those whose options are wrong without numpy."""
    started = {}
    for name, (verb, options, _) in ERRORS.items():
        out = tmp_path_factory.mktemp("wrong") / "out"
        out.mkdir()
        places = {"out": out, "hub": mirror, "bare": bare, "corpora": corpora}
        args = [f"output_dir={out}", *options.format(**places).split()]
        started[name] = out, start(verb, *args, torch=False, numpy=name in OF_FILES)
    return started


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line_before_torch_is_imported(errors: dict, name: str) -> None:
    out, ended = errors[name]
    assert re.search(ERRORS[name][2], ended.result().error()), ended.result().said
    assert not [path for path in out.iterdir() if path.name != "corpora"]  # no run folder


@pytest.mark.parametrize("verb", ["train.py trainer.max_epochs=0", "evaluate.py eval_dataset=val"])
def test_an_error_leaves_a_folder_that_was_there_alone(run: Run, tmp_path: Path, verb: str) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    place = f"hydra.run.dir={tmp_path}/thesis"
    run(*verb.split(), place, f"output_dir={tmp_path}/runs", torch=False).error()
    assert (tmp_path / "thesis" / "chapter.txt").is_file()


def test_a_run_that_has_just_begun_is_left_alone(run: Run, tmp_path: Path) -> None:
    """Two runs with one folder, the first still reading its corpus: no config.yaml yet."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.log").touch()
    ended = run("train.py", *OFFLINE, *SHORT, f"hydra.run.dir={tmp_path}/run", torch=False)
    assert "belongs to another run" in ended.error()
    assert (tmp_path / "run" / "train.log").is_file()
