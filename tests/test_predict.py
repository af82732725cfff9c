"""``predict.py`` as a user types it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import ROOT, Ended, Run
from omegaconf import OmegaConf
from real_data import CORPORA, needs_corpora
from test_evaluate_systems import published

from medner.analysis import read_calibrator
from medner.corpora import CorpusSource, read_corpus
from medner.documents import Document
from medner.prediction_files import read_predictions
from medner.predictions import Prediction, Span
from medner.scoring.label_map import LabelMap, map_predictions

COOL = {"confidence": "minimum", "temperature": 1.3, "spans": 100, "thresholds": {"0.9": 0.7}}
ABSTRACTS = {"NCBI": ("ncbi_disease", "NCBItestset_corpus.txt"),
             "BC5CDR": ("bc5cdr", "CDR_TestSet.PubTator.txt")}  # fmt: skip


@pytest.fixture(scope="module")
def runs(learned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one calibrated run that has learned the small corpora's words."""
    out = shutil.copytree(learned, tmp_path_factory.mktemp("trained") / "runs")
    (folder,) = out.iterdir()
    (folder / "calibration.json").write_text(json.dumps(COOL))
    return out


@pytest.fixture
def notes(corpora: Path, tmp_path: Path) -> Path:
    """Twelve case reports in two folders, with their annotations."""
    reports = sorted((corpora / "maccrobat2020").glob("*.txt"))[:12]
    for number, path in enumerate(reports):
        folder = tmp_path / "notes" / ("ward" if number > 8 else "")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
        shutil.copy(path.with_suffix(".ann"), folder)
    return tmp_path / "notes"


def documents(folder: Path) -> list[Document]:
    found = [
        Document(path.relative_to(folder).with_suffix("").as_posix(), path.read_bytes().decode())
        for path in folder.rglob("*.txt")
    ]
    return sorted(found, key=lambda document: document.id)


def brat(folder: Path) -> dict[str, list[tuple[int, int, str]]]:
    corpus = read_corpus(CorpusSource("it", "brat", str(folder)))
    return {
        document.id: [(e.start, e.end, e.type) for e in document.entities]
        for document in corpus.documents
    }


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---------------------------------------------------------------- folders


def test_notes_become_brat_with_the_newest_run(
    run: Run, runs: Path, notes: Path, tmp_path: Path
) -> None:
    command = ("predict.py", "input=notes/", "output=annotated/", f"output_dir={runs}")
    ended = run(*command, cwd=tmp_path).well()
    assert ended.stdout == ""
    (trained,) = runs.iterdir()
    assert ended.stderr.splitlines() == [
        "input: 12 files of text; annotations are not read (12 .ann)",
        f"model: {trained}/checkpoints/best.ckpt",
        next(line for line in ended.stderr.splitlines() if line.startswith("written: annotated (")),
    ]
    found = brat(tmp_path / "annotated")
    given = documents(notes)
    assert set(found) == {Path(document.id).name for document in given}
    spans = sum(map(len, found.values()))
    assert spans > 100
    assert f"(12 documents read, {spans} spans found)" in ended.stderr
    for document in given:
        path = tmp_path / "annotated" / f"{document.id}.txt"
        assert path.read_bytes() == document.text.encode()
        notes_on = re.findall(
            r"^#\d+\tAnnotatorNotes T\d+\tconfidence ([01]\.\d{4})$",
            path.with_suffix(".ann").read_text(), re.M,
        )  # fmt: skip
        assert len(notes_on) == len(found[path.stem])

    before = content(tmp_path / "annotated")
    again = run(*command, cwd=tmp_path).well()
    assert "annotated is finished already, nothing is left to do (12 documents" in again.stderr
    error = run(*command, "min_confidence=0.5", cwd=tmp_path, torch=False).error()
    assert "output=annotated: was made with min_confidence=0.0, and this call has 0.5;" in error
    assert content(tmp_path / "annotated") == before


def test_a_bad_document_is_told_and_the_others_are_predicted(
    run: Run, runs: Path, notes: Path, tmp_path: Path
) -> None:
    """The exit code and the last line say so, and they do it again."""
    (notes / "bad.txt").write_bytes(b"line\n\xff")
    (notes / "ward" / "empty.txt").touch()
    command = ("predict.py", f"input={notes}", f"output={tmp_path}/out", f"output_dir={runs}")
    for _ in range(2):
        ended = run(*command)
        assert ended.code == 3
        assert ended.said.splitlines()[-1] == (
            f"error: 2 of 14 documents failed; why is in {tmp_path}/out/failed.jsonl"
        )
    assert len(brat(tmp_path / "out")) == 12
    lines = (tmp_path / "out" / "failed.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"file": f"{notes}/bad.txt", "line": 2, "reason": "not UTF-8 at byte 5"},
        {"file": f"{notes}/ward/empty.txt", "line": None, "reason": "the text is empty"},
    ]


def rows(folder: Path, given: list[Document]) -> list[Path]:
    """The documents as each kind of rows."""
    records = [{"note": d.id, "body": d.text, "ward": 3} for d in given]
    folder.mkdir()
    lines = (json.dumps(record) + "\n" for record in records)
    (folder / "rows.jsonl").write_text("".join(lines))
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    table = pyarrow.Table.from_pylist(records)
    pyarrow.parquet.write_table(table, folder / "rows.parquet", row_group_size=5)
    return sorted(folder.iterdir())


def test_rows_of_each_kind_give_the_same_predictions(
    run: Run, runs: Path, notes: Path, tmp_path: Path
) -> None:
    given = documents(notes)
    found = []
    for path in rows(tmp_path / "rows", given):
        out = tmp_path / f"out{path.suffix}"
        run(
            "predict.py", f"input={path}", f"output={out}", f"output_dir={runs}",
            "text_column=body", "id_column=note", "trainer.precision=32",
        ).well()  # fmt: skip
        found.append((out / "predictions.jsonl").read_bytes())
    assert found[0] == found[1] == found[2]
    predictions = read_predictions(tmp_path / "out.csv" / "predictions.jsonl", given)
    assert [prediction.document for prediction in predictions] == [each.id for each in given]
    assert sum(len(prediction.spans) for prediction in predictions) > 100
    # and of files beside each other; what is predicted together has a say in the last digits
    shards = tmp_path / "shards"
    shards.mkdir()
    lines = (tmp_path / "rows" / "rows.jsonl").read_text().splitlines(keepends=True)
    (shards / "1.jsonl").write_text("".join(lines[:5]))
    (shards / "2.jsonl").write_text("".join(lines[5:]))
    run(
        "predict.py", f"input={shards}", f"output={tmp_path}/all", f"output_dir={runs}",
        "text_column=body", "id_column=note", "trainer.precision=32", "format=parquet",
    ).well()  # fmt: skip
    table = pyarrow.parquet.read_table(tmp_path / "all" / "predictions.parquet")
    assert table["document"].to_pylist() == [each.id for each in given]
    confidences = [span["confidence"] for row in table["spans"].to_pylist() for span in row]
    expected = [span.confidence for each in predictions for span in each.spans]
    assert confidences == pytest.approx(expected, rel=1e-3)


def test_a_page_to_look_at(run: Run, runs: Path, notes: Path, tmp_path: Path) -> None:
    run(
        "predict.py", f"input={notes}/ward", f"output={tmp_path}/page", f"output_dir={runs}",
        "format=html",
    ).well()  # fmt: skip
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 3
    assert page.count("data-type=") > 30


# ---------------------------------------------------------------- pipes


def piped(runs: Path, text: bytes, *options: str, environment: dict[str, str]) -> Ended:
    words = [sys.executable, "predict.py", "input=-", "output=-", f"output_dir={runs}", *options]
    ended = subprocess.run(words, cwd=ROOT, env=environment, input=text, capture_output=True)
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def test_standard_input_and_output(
    runs: Path, notes: Path, verbs_environment: dict[str, str]
) -> None:
    given = documents(notes)[:3]
    lines = [json.dumps({"id": each.id, "text": each.text}) for each in given]
    lines.insert(1, '{"text": 17}')
    ended = piped(runs, "\n".join(lines).encode(), environment=verbs_environment)
    assert ended.code == 3
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [record["document"] for record in found] == [each.id for each in given]
    for record, document in zip(found, given, strict=True):
        assert all(
            document.text[span["start"] : span["end"]] == span["text"] for span in record["spans"]
        )
    assert "standard input:2: the text is to be text, not 17" in ended.stderr
    assert ended.error() == "error: 1 of 4 documents failed; why is said above"
    # the whole of it is one text
    text = given[0].text.encode()
    ended = piped(runs, text, "input_format=text", environment=verbs_environment).well()
    assert json.loads(ended.stdout) == found[0] | {"document": "stdin"}


def test_a_reader_that_has_enough_ends_it_in_one_line(
    runs: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    (tmp_path / "many.jsonl").write_text('{"text": "severe asthma and fever"}\n' * 3000)
    words = [f"input={tmp_path}/many.jsonl", "output=-", f"output_dir={runs}"]
    with subprocess.Popen(
        [sys.executable, "predict.py", *words], cwd=ROOT, env=verbs_environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert json.loads(process.stdout.readline())["document"] == "1"
        process.stdout.close()
        said = process.stderr.read().splitlines()
    assert process.returncode == 1
    assert re.fullmatch(r"error: standard output was closed after \d+ documents", said[-1])
    assert len(said) == 3


def test_a_signal_ends_a_pipe_with_its_number(
    runs: Path, verbs_environment: dict[str, str]
) -> None:
    """It waits for more, with all that it was given a stretch of behind it."""
    words = ["input=-", "output=-", "trainer.device_batch=1", f"output_dir={runs}"]
    with subprocess.Popen(
        [sys.executable, "predict.py", *words], cwd=ROOT, env=verbs_environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        process.stdin.write('{"text": "severe asthma and fever"}\n' * 20)
        process.stdin.flush()
        found = [process.stdout.readline() for _ in range(16)]
        process.send_signal(signal.SIGTERM)
        rest, said = process.stdout.read(), process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM, said
    assert [json.loads(line)["document"] for line in found] == [str(n) for n in range(1, 17)]
    assert rest == ""
    assert said.splitlines()[-1] == "interrupted by SIGTERM"
    assert "Traceback" not in said


# ---------------------------------------------------------------- what is predicted


def places(predictions: list[Prediction]) -> list[tuple[str, list[tuple]]]:
    return [
        (each.document, [(s.start, s.end, s.type, s.confidence) for s in each.spans])
        for each in predictions
    ]


@pytest.mark.parametrize("name", ABSTRACTS)
def test_spans_and_confidences_are_those_of_an_evaluation(
    run: Run, runs: Path, corpora: Path, tmp_path: Path, name: str
) -> None:
    held_against_evaluation(run, runs, corpora, tmp_path, name)


@needs_corpora
@pytest.mark.slow
@pytest.mark.parametrize("name", ABSTRACTS)
def test_spans_and_confidences_on_real_abstracts(
    run: Run, runs: Path, tmp_path: Path, name: str
) -> None:
    held_against_evaluation(run, runs, Path(CORPORA), tmp_path, name)


def held_against_evaluation(run: Run, runs: Path, corpora: Path, place: Path, name: str) -> None:
    """Before and after a label map that joins spans, to the last digit."""
    path = corpora.joinpath(*ABSTRACTS[name])
    corpus = read_corpus(CorpusSource(name, "pubtator", str(path)))
    lines = (json.dumps({"id": d.id, "text": d.text}) + "\n" for d in corpus.documents)
    (place / "abstracts.jsonl").write_text("".join(lines))
    dataset = {"NCBI": "ncbi", "BC5CDR": "bc5cdr"}[name]
    run(
        "evaluate.py", f"eval_dataset={dataset}", f"eval_dataset.path={path}", "eval_dataset/"
        "label_map=disease_joined", f"output_dir={runs}",
    ).well()  # fmt: skip
    (trained,) = runs.iterdir()
    folder = trained / "evaluations" / f"{dataset}_test_disease_joined"
    raw = read_predictions(folder / "predictions.jsonl", corpus.documents)
    label_map = LabelMap.from_config(
        OmegaConf.to_container(OmegaConf.load(folder / "label_map.yaml"))
    )
    mapped = map_predictions(label_map, corpus.documents, raw, label_map.types).predictions
    calibrator = read_calibrator(trained)
    for expected, options in ((raw, ()), (mapped, ("label_map=disease_joined",))):
        out = place / f"out{len(options)}"
        run(
            "predict.py", f"input={place}/abstracts.jsonl", f"output={out}", f"output_dir={runs}",
            *options,
        ).well()  # fmt: skip
        found = read_predictions(out / "predictions.jsonl", corpus.documents)
        assert places(found) == places(calibrator.apply(expected))
        assert sum(len(each.spans) for each in found) > len(corpus.documents) / 4
    assert (
        "Disease" in {span.type for each in found for span in each.spans} <= {"Disease", "Chemical"}
    )


def test_only_what_is_sure_enough(run: Run, runs: Path, notes: Path, tmp_path: Path) -> None:
    spans: list[list[Span]] = []
    for least in (0.0, 0.5):
        out = tmp_path / str(least)
        run(
            "predict.py", f"input={notes}", f"output={out}", f"output_dir={runs}", "format=jsonl",
            f"min_confidence={least}",
        ).well()  # fmt: skip
        found = read_predictions(out / "predictions.jsonl", documents(notes))
        spans.append([span for each in found for span in each.spans])
    assert 0 < len(spans[1]) < len(spans[0])
    assert spans[1] == [span for span in spans[0] if span.confidence >= 0.5]


def test_with_weights_of_8_bits(run: Run, runs: Path, notes: Path, tmp_path: Path) -> None:
    """Nearly the same spans, with other confidences."""
    found = []
    for precision in ("32", "int8"):
        out = tmp_path / precision
        words = (f"input={notes}", f"output={out}", f"output_dir={runs}", "format=jsonl")
        run("predict.py", *words, f"trainer.precision={precision}").well()
        found.append(read_predictions(out / "predictions.jsonl", documents(notes)))
    exact, rounded = (
        {(each.document, s.start, s.end, s.type): s.confidence for each in of for s in each.spans}
        for of in found
    )
    same = exact.keys() & rounded.keys()
    assert len(same) > 0.9 * len(exact) > 20 and len(same) > 0.9 * len(rounded)
    assert any(exact[key] != rounded[key] for key in same)


def test_what_8_bits_do_to_scores_stands_beside_them(run: Run, runs: Path, tmp_path: Path) -> None:
    (folder,) = shutil.copytree(runs, tmp_path / "runs").iterdir()
    words = ("eval_dataset=test", f"run={folder}", "trainer.precision=int8", "logger=none")
    said = run("evaluate.py", *words).well().stdout
    assert f"written: {folder}/evaluations/test_identity_int8\n" in said
    table = run("report.py", f"runs={folder}", cwd=tmp_path).well().stdout.split("\n\n")[0]
    rows = [re.split("  +", line)[:2] for line in table.splitlines()[2:4]]
    assert sorted(rows) == [["bioformer, maccrobat", "1"], ["bioformer, maccrobat int8", "1"]]


def test_a_published_model(run: Run, mirror: Path, notes: Path, tmp_path: Path) -> None:
    hub = tmp_path / "mirror"
    published(mirror / "dmis-lab" / "biobert-v1.1", hub / "someone" / "diseases")
    for name, words in {
        "hub": ("hf_model=someone/diseases", f"hub_mirror={hub}"),
        "folder": (f"hf_model={hub}/someone/diseases",),
    }.items():
        run("predict.py", f"input={notes}", f"output={tmp_path}/{name}", *words).well()
    assert brat(tmp_path / "hub") == brat(tmp_path / "folder")
    types = {type_ for spans in brat(tmp_path / "hub").values() for _, _, type_ in spans}
    assert types == {"DISEASE", "GENE"}


FROM_PYTHON = """
import sys
from pathlib import Path
import medner
assert "torch" not in sys.modules
tagger = medner.load(sys.argv[1])
text = Path(sys.argv[2]).read_bytes().decode()
for span in tagger(text).spans:
    print(span.start, span.end, span.type, repr(span.confidence))
"""


def test_from_python_as_from_the_command_line(
    run: Run, runs: Path, notes: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    document = documents(notes)[0]
    path = notes / f"{document.id}.txt"
    run("predict.py", f"input={path}", f"output={tmp_path}/out", f"output_dir={runs}",
        "format=jsonl").well()  # fmt: skip
    (prediction,) = read_predictions(tmp_path / "out" / "predictions.jsonl", [document])
    (trained,) = runs.iterdir()
    for model in (trained, trained / "checkpoints" / "best.ckpt"):
        ended = subprocess.run(
            [sys.executable, "-c", FROM_PYTHON, model, path], cwd=ROOT, env=verbs_environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines() == [
            f"{span.start} {span.end} {span.type} {span.confidence!r}" for span in prediction.spans
        ]


# ---------------------------------------------------------------- errors

ERRORS = {
    "": "input is not set; give input=",
    "input={notes}": "output is not set; give output=",
    "input={notes}/x output=out": r"input=.*/x: there is no such file or folder",
    "input={notes} output={notes}/out": r"output=.*/notes/out: lies in input=.*/notes, and would",
    "input={notes} output=out format=xml": "format=xml: takes brat, jsonl, parquet, html or null",
    "input={notes} output=- format=brat": "format=brat: to standard output goes jsonl; give a fo",
    "input={notes} output=out min_confidence=2": r"min_confidence=2.0: takes a number from 0 to 1",
    "input={notes} output=out label_map=x": "label_map=x: label_map takes disease_and_chemical",
    "input={notes} output=out run=a hf_model=b": "run and hf_model contradict each other",
    "input={notes} output=out run={notes}": r"notes is not the folder of a run",
    "input={notes} output=out output_dir=no": r"no run with a finished best checkpoint in no/",
    "input={notes} output=out input_format=csv": r"holds no file that ends with \.csv or \.tsv",
    "input={notes} output=out text_colum=x": "text_colum: there is no such option; .*text_column",
    "input={notes} output={notes}.txt": r"notes\.txt: takes a folder, or - for standard output",
}


@pytest.mark.parametrize("options", ERRORS)
def test_an_error_is_one_line_before_torch_is_imported(
    run: Run, runs: Path, notes: Path, tmp_path: Path, options: str
) -> None:
    Path(f"{notes}.txt").write_text("a file")
    words = [word.format(notes=notes) for word in options.split()]
    if "output_dir" not in options:
        words.append(f"output_dir={runs}")
    ended = run("predict.py", *words, cwd=tmp_path, torch=False)
    assert re.search(ERRORS[options], ended.error()), ended.said
    assert not (tmp_path / "out").exists()


def test_a_label_map_for_other_types_leaves_no_folder(
    run: Run, runs: Path, notes: Path, tmp_path: Path
) -> None:
    words = (f"input={notes}", f"output={tmp_path}/out", f"output_dir={runs}")
    ended = run("predict.py", *words, "label_map=disease_and_chemical")
    assert ended.code == 2
    assert "label map disease_and_chemical: not types of the model" in ended.error()
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- interruptions


def many(path: Path, given: list[Document], copies: int) -> int:
    """The documents again and again, some of them broken; how many there are."""
    with path.open("w") as file:
        for number in range(copies * len(given)):
            text = f"{number}. {given[number % len(given)].text[:400]}"
            file.write(json.dumps({"text": text if number % 50 != 17 else None}) + "\n")
    return copies * len(given)


def begun(
    words: list[str], environment: dict[str, str], folder: Path, read: int
) -> subprocess.Popen:
    """A process that has so many documents behind it."""
    process = subprocess.Popen(
        [sys.executable, "predict.py", *words], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    state = folder / "predict.json"
    while process.poll() is None and (not state.exists() or read_json(state)["read"] < read):
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
    return process


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["brat", "jsonl", "html"])
def test_a_killed_process_is_followed_by_one_that_goes_on(
    run: Run, runs: Path, notes: Path, tmp_path: Path, verbs_environment: dict[str, str],
    format_: str,
) -> None:  # fmt: skip
    """Every document once, and not a byte differs from a run that nothing interrupted."""
    count = many(tmp_path / "many.jsonl", documents(notes), 100)
    words = [f"input={tmp_path}/many.jsonl", f"output_dir={runs}", f"format={format_}"]
    whole = run("predict.py", *words, f"output={tmp_path}/whole")
    assert whole.code == 3
    words.append(f"output={tmp_path}/out")
    for read in (1, 300, 700):
        process = begun(words, verbs_environment, tmp_path / "out", read)
        process.kill()
        process.communicate()
    ended = run("predict.py", *words)
    assert ended.code == 3
    assert re.search(r"going on after [67]\d\d documents|going on after \d{3,4} doc", ended.stderr)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    state = read_json(tmp_path / "out" / "predict.json")
    assert (state["read"], state["failed"]) == (count, count // 50)
    if format_ == "jsonl":
        lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
        failed = (tmp_path / "out" / "failed.jsonl").read_text().splitlines()
        numbers = [int(json.loads(line)["document"]) for line in lines]
        assert numbers == sorted(numbers)
        assert sorted(numbers + [json.loads(line)["line"] for line in failed]) == list(
            range(1, count + 1)
        )


@pytest.mark.slow
def test_a_signal_ends_it_with_what_to_type(
    run: Run, runs: Path, notes: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    many(tmp_path / "many.jsonl", documents(notes), 100)
    words = [f"input={tmp_path}/many.jsonl", f"output_dir={runs}", f"output={tmp_path}/out"]
    process = begun(words, verbs_environment, tmp_path / "out", 1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 75
    assert said.splitlines()[-1] == "interrupted by SIGTERM; to go on: the same command"
    assert run("predict.py", *words).code == 3
    run("predict.py", *words[:2], f"output={tmp_path}/whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


MEASURED = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("peak", peak // (1024 if sys.platform == "darwin" else 1), file=sys.stderr)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_documents(
    runs: Path, tmp_path: Path, verbs_environment: dict[str, str]
) -> None:
    """Twenty times as many documents, 60 MB more of text: kept, they would take that much."""
    peaks = []
    for count in (100, 2000):
        with (tmp_path / "many.jsonl").open("w") as file:
            for number in range(count):
                text = f"Note {number}: severe asthma{' ' * 30_000}."
                file.write(json.dumps({"text": text}) + "\n")
        ended = subprocess.run(
            [sys.executable, "-c", MEASURED, "predict.py", f"input={tmp_path}/many.jsonl",
             f"output={tmp_path}/out{count}", f"output_dir={runs}"],
            cwd=ROOT, env=verbs_environment | {"PYTHONPATH": str(ROOT)}, capture_output=True,
            text=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert f"({count} documents read, " in ended.stderr
        peaks.append(int(re.search(r"peak (\d+)", ended.stderr)[1]))
    assert peaks[1] - peaks[0] < 15_000, peaks  # kilobytes
    assert os.path.getsize(tmp_path / "many.jsonl") > 60_000_000  # noqa: PTH202
