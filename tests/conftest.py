"""Small corpora in the releases' formats, tiny models, and the verbs as a user starts them."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
import yaml

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores; torch reads it once

# how long an example takes says something of the machine, and of what else runs on it
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parent.parent

MODELS = {  # of conf/model, with their names on the hub
    "biobert": "dmis-lab/biobert-v1.1",
    "bioformer": "bioformers/bioformer-16L",
    "biomedbert": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext",
    "distilbert": "distilbert/distilbert-base-uncased",
    "modernbert": "answerdotai/ModernBERT-base",
}

# Three mentions of each of MACCROBAT's types: a model that learns them by heart finds them again.
MENTIONS = {
    "Activity": ("jogging", "gardening", "heavy lifting"),
    "Administration": ("orally", "intravenously", "by inhalation"),
    "Age": ("54-year-old", "aged 7 years", "19-month-old"),
    "Area": ("3 x 4 cm", "12 mm2", "2.5 by 1.5 cm"),
    "Biological_attribute": ("blood group", "body habitus", "handedness"),
    "Biological_structure": ("left kidney", "pulmonary", "femoral artery"),
    "Clinical_event": ("admitted", "discharged", "transferred"),
    "Color": ("yellowish", "dark red", "pale"),
    "Coreference": ("this lesion", "these findings", "the former"),
    "Date": ("March 2011", "12 June", "October 1998"),
    "Detailed_description": ("dilated", "poorly differentiated", "non-tender"),
    "Diagnostic_procedure": ("CT scan", "echocardiography", "liver biopsy"),
    "Disease_disorder": ("asthma", "cardiomyopathy", "tuberculosis", "lupus nephritis"),
    "Distance": ("4 cm above", "two miles", "10 mm from"),
    "Dosage": ("40 mg daily", "5 mg/kg", "two tablets"),
    "Duration": ("for six weeks", "over ten days", "three-month"),
    "Family_history": ("mother had diabetes", "no affected siblings", "father died of stroke"),
    "Frequency": ("twice a day", "weekly", "every 8 hours"),
    "Height": ("172 cm tall", "1.60 m", "six feet"),
    "History": ("smoking history", "previous appendectomy", "prior transfusions"),
    "Lab_value": ("7.4 g/dL", "elevated", "within normal limits"),
    "Mass": ("350 g", "1.2 kg specimen", "900 grams"),
    "Medication": ("prednisone", "amoxicillin", "warfarin", "cisplatin"),
    "Nonbiological_location": ("emergency department", "our hospital", "the outpatient clinic"),
    "Occupation": ("carpenter", "retired nurse", "farm worker"),
    "Other_entity": ("the written consent", "guidelines", "a questionnaire"),
    "Other_event": ("car accident", "a long flight", "the bee sting"),
    "Outcome": ("recovered fully", "died", "remained well"),
    "Personal_background": ("Japanese", "Caucasian", "Somali"),
    "Qualitative_concept": ("satisfactory", "unusual", "compatible"),
    "Quantitative_concept": ("numerous", "several", "at least four"),
    "Severity": ("severe", "mild", "moderately"),
    "Sex": ("woman", "boy", "gentleman"),
    "Shape": ("oval", "crescent-shaped", "nodular"),
    "Sign_symptom": ("fever", "chest pain", "vomiting", "swollen ankles"),
    "Subject": ("his brother", "the donor", "her mother"),
    "Texture": ("firm", "rubbery", "gelatinous"),
    "Therapeutic_procedure": ("haemodialysis", "laparotomy", "radiotherapy"),
    "Time": ("at midnight", "08:30", "the next morning"),
    "Volume": ("250 ml", "two litres", "30 cc"),
    "Weight": ("weighed 81 kg", "underweight", "birth weight 3100 g"),
}
OFTEN = ("Disease_disorder", "Sign_symptom", "Medication")
FILLERS = (
    "and", "then", "with", "which", "after", "before", "because", "whereas", "later", "however",
    "although", "when", "while", "also", "again", "still", "further", "now", "given", "shown",
    "noted", "seen", "found", "taken", "made", "kept", "both", "another", "first", "second", "last",
    "meanwhile", "therefore", "thus", "instead", "despite", "since", "until", "about", "around",
    "under", "beyond", "upon", "towards", "there", "here", "once", "soon", "perhaps", "indeed",
    "besides", "otherwise", "yet",
)  # fmt: skip


class Text:
    """A text that remembers where its mentions are: ``entities`` holds (fragments, type)."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.text = ""
        self.entities: list[tuple[tuple[tuple[int, int], ...], str]] = []

    def say(self, words: str, type_: str | None = None, separator: str = " ") -> tuple[int, int]:
        if self.text and not self.text.endswith("\n"):
            self.text += separator
        span = len(self.text), len(self.text) + len(words)
        self.text += words
        if type_:
            self.entities.append(((span,), type_))
        return span

    def mention(self, type_: str, as_type: str | None = None) -> None:
        """A mention between words of which no four are likely to meet again."""
        for _ in range(2):
            self.say(self.random.choice(FILLERS))
        self.say(self.random.choice(MENTIONS[type_]), as_type or type_)

    def stop(self) -> None:
        self.text += ".\n"


def case_report(number: int) -> Text:
    """A case report with 20 of the types; number 0 is long, 1 has overlaps, 2 a gap."""
    report = Text(number)
    names = list(MENTIONS)
    types = [names[(number * 20 + i) % len(names)] for i in range(20)] + [*OFTEN, *OFTEN]
    if number == 0:
        types = names * 3  # more tokens than an encoder takes
    report.random.shuffle(types)
    for at in range(0, len(types), 3):
        for type_ in types[at : at + 3]:
            report.mention(type_)
        report.stop()
    if number % 2:  # what disease_joined joins
        report.say("there")
        report.say("severe", "Severity")
        report.say("asthma", "Disease_disorder")
        report.stop()
    if number == 1:
        start, _ = report.say("pulmonary", "Biological_structure")
        _, end = report.say("tuberculosis")
        report.entities.append((((start, end),), "Disease_disorder"))
        report.stop()
    if number == 2:
        pain, _, knee = report.say("pain"), report.say("and stiffness"), report.say("in the knee")
        report.entities.append(((pain, knee), "Sign_symptom"))
        report.stop()
    return report


def write_brat(folder: Path, reports: dict[str, Text]) -> None:
    folder.mkdir(parents=True)
    for name, report in reports.items():
        lines = []
        for number, (fragments, type_) in enumerate(report.entities, 1):
            offsets = ";".join(f"{start} {end}" for start, end in fragments)
            mention = " ".join(report.text[start:end] for start, end in fragments)
            lines.append(f"T{number}\t{type_} {offsets}\t{mention}\n")
        lines.append("R1\tMODIFY Arg1:T1 Arg2:T2\t\n")
        (folder / f"{name}.txt").write_text(report.text, encoding="utf-8")
        (folder / f"{name}.ann").write_text("".join(lines), encoding="utf-8")


def write_pubtator(path: Path, first_id: int, documents: int, types: dict[str, str]) -> None:
    """Abstracts whose mentions are those of ``types``: the release's type to MACCROBAT's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for id in range(first_id, first_id + documents):
        abstract = Text(id)
        abstract.mention(next(iter(types.values())), next(iter(types)))
        title = len(abstract.text)
        for type_ in [*types, *types, *types]:
            abstract.mention(types[type_], type_)
        start, _ = abstract.say("severe")
        _, end = abstract.say("asthma")
        abstract.entities.append((((start, end),), next(iter(types))))
        # title and abstract are joined by one character, as the words at that place are
        lines += [f"{id}|t|{abstract.text[:title]}", f"{id}|a|{abstract.text[title + 1 :]}"]
        for ((start, end),), type_ in abstract.entities:
            lines.append(f"{id}\t{start}\t{end}\t{abstract.text[start:end]}\t{type_}\tD000001")
        if "Chemical" in types:
            lines.append(f"{id}\tCID\tD000002\tD000001")
        lines.append("")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MACCROBAT, NCBI Disease and BC5CDR in small, laid out as their releases."""
    label_map = yaml.safe_load(
        (ROOT / "conf/eval_dataset/label_map/disease_disorder.yaml").read_text()
    )
    named = {*label_map["left_out"], *(t for types in label_map["types"].values() for t in types)}
    assert named == set(MENTIONS)

    folder = tmp_path_factory.mktemp("data") / "nonsensewardpath"
    reports = {f"{15939911 + number}": case_report(number) for number in range(24)}
    write_brat(folder / "maccrobat2020", reports)
    diseases = {
        "SpecificDisease": "Disease_disorder",
        "DiseaseClass": "Disease_disorder",
        "Modifier": "Sign_symptom",
        "CompositeMention": "Sign_symptom",
    }
    for first_id, part, documents in ((100, "train", 8), (200, "develop", 3), (300, "test", 4)):
        path = folder / "ncbi_disease" / f"NCBI{part}set_corpus.txt"
        write_pubtator(path, first_id, documents, diseases)
    both = {"Disease": "Disease_disorder", "Chemical": "Medication"}
    for first_id, part, documents in (
        (400, "Training", 3), (500, "Development", 3), (600, "Test", 4),
    ):  # fmt: skip
        path = folder / "bc5cdr" / f"CDR_{part}Set.PubTator.txt"
        write_pubtator(path, first_id, documents, both)
    return folder


@pytest.fixture(scope="session")
def mirror(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub mirror with a tiny model for each of ``conf/model``, weights random."""
    from mirror import write_mirror

    texts = [path.read_text() for path in sorted(corpora.rglob("*.txt"))]
    return write_mirror(tmp_path_factory.mktemp("hub"), texts)


@pytest.fixture(scope="session")
def bare(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mirror without weights."""
    weights = shutil.ignore_patterns("*.safetensors", "*.bin")
    return shutil.copytree(mirror, tmp_path_factory.mktemp("bare") / "hub", ignore=weights)


@dataclass(frozen=True)
class Ended:
    """How a subprocess ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr

    def well(self) -> "Ended":
        assert self.code == 0, f"exit code {self.code}\n{self.said}"
        return self

    def error(self) -> str:
        """The one line that says what was wrong; there is no traceback."""
        assert self.code != 0, self.said
        assert "Traceback" not in self.said, self.said
        lines = [line for line in self.said.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.said
        return lines[0]


Run = Callable[..., Ended]
Start = Callable[..., "Future[Ended]"]


@pytest.fixture(scope="session")
def verbs_environment(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the verbs in tests: a home of their own, the small corpora, no hub."""
    return {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ} | {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "LANG": "C.UTF-8",
        "MEDNER_CORPORA": str(corpora),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",  # two run at once
    }


@pytest.fixture(scope="session")
def warm(
    verbs_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[list[str], Path], Ended]]:
    """Runs a verb in a process that has libraries imported; see ``warm_server.py``."""
    folder = Path(tempfile.mkdtemp())  # pytest's own is too long a path for a socket
    address = str(folder / "socket")
    env = verbs_environment | {"TOKENIZERS_PARALLELISM": "false"}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "warm_server.py"), address],
        env=env, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout.readline() == "ready\n"

        def run(words: list[str], cwd: Path) -> Ended:
            command = json.dumps({"words": words, "cwd": str(cwd), "env": verbs_environment})
            with (
                socket.socket(socket.AF_UNIX) as connection,
                tempfile.TemporaryFile("w+") as out,
                tempfile.TemporaryFile("w+") as err,
            ):
                connection.connect(address)
                descriptors = [out.fileno(), err.fileno()]
                socket.send_fds(connection, [f"{command}\n".encode()], descriptors)
                code = connection.makefile().readline()
                out.seek(0)
                err.seek(0)
                return Ended(int(code), out.read(), err.read())

        yield run
        server.kill()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def run(
    verbs_environment: dict[str, str],
    warm: Callable[[list[str], Path], Ended],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """``run("train.py", "model=...", cwd=..., env=...)``, in an environment of its own.

    With ``torch=False`` an import of torch or transformers is an error, with ``numpy=False`` one of
    numpy, the hub's client and the like too. ``fresh`` starts Python anew, as a given ``env`` does;
    else libraries are there already.
    """
    without_torch, without_numpy = (tmp_path_factory.mktemp("blocker") for _ in range(2))
    for blocker, packages in (
        (without_torch, ("torch", "transformers", "pytorch_lightning")),
        (without_numpy, ("numpy", "huggingface_hub", "pyarrow", "datasets", "wandb")),
    ):
        for package in packages:
            problem = f"raise AssertionError('{package} was imported')\n"
            (blocker / f"{package}.py").write_text(problem)

    def run(
        verb: str, *args: str, cwd: Path = ROOT, env: dict[str, str] | None = None,
        torch: bool = True, numpy: bool = True, fresh: bool = False,
    ) -> Ended:  # fmt: skip
        words = [str(ROOT / verb) if cwd != ROOT else verb, *map(str, args)]
        if torch and numpy and not fresh and env is None:
            return warm(words, cwd)
        blockers = [] if torch and numpy else [str(without_torch)]
        blockers += [] if numpy else [str(without_numpy)]
        path = {"PYTHONPATH": os.pathsep.join(blockers)} if blockers else {}
        env = verbs_environment | (env or {}) | path
        ended = subprocess.run(
            [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture(scope="session")
def learned(run: Run, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, of a tiny model that has learned the small corpora's words."""
    out = tmp_path_factory.mktemp("learned") / "runs"
    run(
        "train.py", "model=bioformer", f"hub_mirror={mirror}", f"output_dir={out}", "logger=none",
        "trainer.max_epochs=25", "trainer.learning_rate=1e-2", "trainer.ema_decay=0",
    ).well()  # fmt: skip
    return out


@pytest.fixture(scope="session")
def start(run: Run) -> Iterator[Start]:
    """As ``run``, but in the background, two at a time: starting takes one core for seconds."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield lambda *args, **options: pool.submit(run, *args, **options)
        pool.shutdown(cancel_futures=True)
