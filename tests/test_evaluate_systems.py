"""``evaluate.py`` on what other systems predicted, without torch, and on published models."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run
from handmade import release
from real_data import CORPORA, needs_corpora

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.corpora.writers import write_brat
from medner.documents import Document, Entity
from medner.prediction_files import read_predictions, write_predictions
from medner.predictions import Prediction, Span, Tokens

PARTS = {"validation": "CDR_Develop*", "test": "CDR_Test*"}


@pytest.fixture(scope="module")
def bc5cdr(corpora: Path) -> Corpus:
    return read_corpus(CorpusSource("bc5cdr", "pubtator", str(corpora / "bc5cdr"), PARTS))


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def found(document: Document, types: dict[str, str]) -> Prediction:
    """Of three entities in turn: as it is, one character short, not at all."""
    spans = [
        Span(entity.start, entity.end - (number % 3 == 1), types[entity.type], 0.5)
        for number, entity in enumerate(document.entities)
        if number % 3 < 2
    ]
    return Prediction(document.id, tuple(dict.fromkeys(spans)))


def part(corpus: Corpus, name: str) -> list[Document]:
    return [document for document in corpus.documents if document.id in corpus.parts[name]]


def write(path: Path, corpus: Corpus, types: dict[str, str], *parts: str) -> list[Prediction]:
    documents = [document for name in parts for document in part(corpus, name)]
    predictions = [found(document, types) for document in documents]
    write_predictions(path, predictions, documents)
    return predictions


SAME = {"Disease": "Disease", "Chemical": "Chemical"}


def counts(documents: list[Document], predictions: list[Prediction]) -> dict[str, int]:
    """Strict ones, for types that are the gold's."""
    gold = {(d.id, e.fragments, e.type) for d in documents for e in d.entities}
    predicted = {(p.document, s.fragments, s.type) for p in predictions for s in p.spans}
    return {"gold": len(gold), "predicted": len(predicted), "correct": len(gold & predicted)}


def test_predictions_of_any_system_are_scored_without_torch(
    run: Run, bc5cdr: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "llm.jsonl"
    predictions = write(path, bc5cdr, SAME, "test")
    ended = run("evaluate.py", f"predictions={path}", "eval_dataset=bc5cdr", torch=False).well()
    folder = tmp_path / "evaluations" / "llm.jsonl" / "bc5cdr_test_identity"
    assert ended.stdout.rstrip().endswith(f"to look at: {folder}/report.html")
    metrics, analysis = (read_json(folder / f"{name}.json") for name in ("metrics", "analysis"))
    wanted = counts(part(bc5cdr, "test"), predictions)
    overall = metrics["scores"]["overall"]
    assert {name: overall[name] for name in wanted} == wanted
    assert metrics["label_map"] == "identity"
    assert read_predictions(folder / "predictions.jsonl") == predictions

    assert "4 documents are too few for intervals" in ended.stdout
    assert analysis["intervals"] is None
    partial = analysis["matching"]["partial"]["overall"]
    assert partial["partial"] == wanted["predicted"] - wanted["correct"]
    errors = analysis["errors"]
    assert sum(errors["false_positives"].values()) == wanted["predicted"] - wanted["correct"]
    assert sum(errors["false_negatives"].values()) == wanted["gold"] - wanted["correct"]
    assert errors["false_negatives"]["shorter"] == partial["partial"]
    assert errors["false_negatives"]["unreachable"] == 0  # no tokens: not known
    assert analysis["confidence"]["spans"]["before"]["accuracy"] == pytest.approx(
        wanted["correct"] / wanted["predicted"]
    )
    assert analysis["tokens"] is None
    assert set(analysis["recall_by"]) == {"length", "form"}
    assert len(analysis["by_document"]) == len(part(bc5cdr, "test"))
    assert analysis["alignment"]["verdict"] == "aligned"


def test_a_page_to_share_says_nothing_of_the_documents_or_of_files(
    run: Run, bc5cdr: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "Mrs_Smith.jsonl"
    write(path, bc5cdr, SAME, "test")
    run(
        "evaluate.py", f"predictions={path}", "eval_dataset=bc5cdr", "text=false", torch=False
    ).well()
    folder = tmp_path / "evaluations" / "Mrs_Smith.jsonl" / "bc5cdr_test_identity"
    html = (folder / "report.html").read_text()
    assert "<h1>a system on bc5cdr_test</h1>" in html
    assert "Smith" not in html and str(tmp_path) not in html
    for document in part(bc5cdr, "test"):
        assert document.id not in html
        assert all(document.mention(entity) not in html for entity in document.entities)


def test_brat_s_predictions_need_no_texts_and_may_be_missing(
    run: Run, bc5cdr: Corpus, tmp_path: Path
) -> None:
    documents = part(bc5cdr, "test")
    predictions = [found(document, SAME) for document in documents]
    made = [
        Document(d.id, d.text, tuple(Entity(s.fragments, s.type) for s in p.spans))
        for d, p in zip(documents, predictions, strict=True)
    ]
    write_brat(tmp_path / "system", made)
    for text in (tmp_path / "system").glob("*.txt"):
        text.unlink()
    missing = documents[0].id
    (tmp_path / "system" / f"{missing}.ann").unlink()
    words = ("evaluate.py", f"predictions={tmp_path}/system", "eval_dataset=bc5cdr")
    error = run(*words, torch=False).error()
    assert f"1 of 4 documents of bc5cdr_test are not there ({missing})" in error
    assert "allow_missing=true" in error
    ended = run(*words, "allow_missing=true", torch=False).well()
    assert "predictions: not there, so taken as predicted empty: 1 document" in ended.stdout
    folder = tmp_path / "evaluations" / "system" / "bc5cdr_test_identity"
    overall = read_json(folder / "metrics.json")["scores"]["overall"]
    wanted = counts(documents, predictions[1:])
    assert {name: overall[name] for name in wanted} == wanted


def test_predictions_on_another_text_are_refused(run: Run, bc5cdr: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "system.jsonl"
    write(path, bc5cdr, SAME, "test")
    lines = path.read_text().splitlines()
    record = json.loads(lines[1])
    for span in record["spans"]:
        span["start"], span["end"] = span["start"] + 1, span["end"] + 1
    lines[1] = json.dumps(record)
    path.write_text("\n".join(lines) + "\n")
    error = run("evaluate.py", f"predictions={path}", "eval_dataset=bc5cdr", torch=False).error()
    assert f"{path}:2: text " in error


def test_the_best_map_is_chosen_on_the_validation_part(
    run: Run, bc5cdr: Corpus, tmp_path: Path
) -> None:
    """A system whose types no map that ships knows; one of them is worthless."""
    path = tmp_path / "system.jsonl"
    types = {"Disease": "Medication", "Chemical": "Disease_disorder"}  # the wrong way round
    predictions = write(path, bc5cdr, types, "validation", "test")
    words = ("evaluate.py", f"predictions={path}", "eval_dataset=bc5cdr")
    ended = run(*words, "best_map=true", torch=False).well()
    assert "label map: the best on bc5cdr_validation, F1 0." in ended.stdout
    assert "  Chemical: Disease_disorder" in ended.stdout
    folder = tmp_path / "evaluations" / "system.jsonl" / "bc5cdr_test_best_on_bc5cdr_validation"
    overall = read_json(folder / "metrics.json")["scores"]["overall"]
    back = {own: type_ for type_, own in types.items()}
    mapped = [
        Prediction(p.document, tuple(Span(s.start, s.end, back[s.type]) for s in p.spans))
        for p in predictions
    ]
    test = part(bc5cdr, "test")
    wanted = counts(test, [p for p in mapped if p.document in {d.id for d in test}])
    assert {name: overall[name] for name in wanted} == wanted
    rows = read_json(folder / "analysis.json")["label_map"]["maps"]
    assert rows[0]["label_map"] == "best_on_bc5cdr_validation"
    assert len(rows) > 2
    # the map can be taken again
    group = tmp_path / "conf" / "eval_dataset" / "label_map"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text((folder / "label_map.yaml").read_text())
    words = (words[0], f"--config-dir={tmp_path}/conf", *words[1:], "eval_dataset/label_map=mine")
    again = run(*words, torch=False).well()
    assert "not scored, for they are not asked for: 3 documents" in again.stdout
    assert read_json(folder / "metrics.json")["scores"]["overall"] == overall


def test_a_system_with_types_of_its_own_needs_a_map(
    run: Run, bc5cdr: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "system.jsonl"
    write(path, bc5cdr, {"Disease": "DIS", "Chemical": "CHEM"}, "test")
    words = ("evaluate.py", f"predictions={path}", "eval_dataset=bc5cdr")
    error = run(*words, torch=False).error()
    assert "neither mapped nor left out: 'CHEM', 'DIS'" in error
    label_map = "{name: mine, types: {Disease: [DIS]}, left_out: [CHEM]}"
    ended = run(*words, f"eval_dataset.label_map={label_map}", torch=False).well()
    assert "bc5cdr_test, label map: mine (strict)" in ended.stdout


def published(encoder: Path, folder: Path) -> None:
    """A token classifier with this encoder's shape and tokenizer, and random weights."""
    from transformers import AutoConfig, AutoModelForTokenClassification

    shutil.copytree(encoder, folder)
    names = dict(enumerate(("I-DISEASE", "B-DISEASE", "O", "B-GENE", "I-GENE")))
    config = AutoConfig.from_pretrained(folder, id2label=names)
    torch.manual_seed(0)
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)


def test_a_published_model_from_a_hub_s_mirror(run: Run, mirror: Path, tmp_path: Path) -> None:
    """What random weights find is not worth much, but it is scored."""
    published(mirror / "dmis-lab" / "biobert-v1.1", tmp_path / "hub" / "someone" / "diseases")
    words = ("evaluate.py", "eval_dataset=ncbi", f"hub_mirror={tmp_path}/hub")
    ended = run(
        *words, "hf_model=someone/diseases", f"output_dir={tmp_path}/runs", "logger=csv"
    ).well()
    results = tmp_path / "runs/published/someone_diseases/evaluations/ncbi_test_same_names"
    assert f"written: {results}\n" in ended.stdout
    assert (results / "metrics.csv").is_file()
    metrics = read_json(results / "metrics.json")
    assert metrics["hf_model"] == "someone/diseases"
    predictions = read_predictions(results / "predictions.jsonl")
    found = [span.type for prediction in predictions for span in prediction.spans]
    assert set(found) == {"DISEASE", "GENE"}
    assert metrics["scores"]["overall"]["predicted"] == found.count("DISEASE")
    assert metrics["mapping"]["left_out"] == {"GENE": found.count("GENE")}

    error = run(*words, "hf_model=someone/else").error()
    assert "model someone/else is not to be had" in error


@needs_corpora
@pytest.mark.slow
def test_bc5cdr_s_test_part_takes_less_than_15_seconds(run: Run, tmp_path: Path) -> None:
    """All of it, from the start of the process: a model of MACCROBAT's types, with tokens."""
    corpus = read_corpus(release("bc5cdr"))
    documents = part(corpus, "test")
    rng = np.random.default_rng(0)
    predictions = [with_tokens(document, rng) for document in documents]
    path = tmp_path / "system.jsonl"
    write_predictions(path, predictions, documents)
    started = os.times()
    ended = run(
        "evaluate.py", f"predictions={path}", "eval_dataset=bc5cdr", torch=False,
        env={"MEDNER_CORPORA": str(CORPORA)},
    ).well()  # fmt: skip
    ended_at = os.times()
    # the processor's time, whatever else the machine does
    spent = ended_at.children_user - started.children_user
    assert 1 < spent + ended_at.children_system - started.children_system < 15
    assert "gold and predictions are aligned" in ended.stdout
    analysis = read_json(next(tmp_path.rglob("analysis.json")))
    assert all(value for section, value in analysis.items() if section != "leak")
    assert len(analysis["by_document"]) == 500
    overall = read_json(next(tmp_path.rglob("metrics.json")))["scores"]["overall"]
    for figure in ("f1", "precision", "recall"):
        low, high = analysis["intervals"][figure]
        assert overall[figure] - 0.05 < low < overall[figure] < high < overall[figure] + 0.05


def with_tokens(document: Document, rng: np.random.Generator) -> Prediction:
    """What a model might say of white-space tokens: gold, often a token short, and inventions."""
    types = {"Disease": "Disease_disorder", "Chemical": "Medication"}
    words = [match.span() for match in re.finditer(r"\w+|[^\w\s]", document.text)]
    tags = ["O"] * len(words)
    for entity in document.entities:
        inside = [at for at, (s, e) in enumerate(words) if s < entity.end and entity.start < e]
        kept = inside[: len(inside) - int(rng.random() < 0.3)]
        for number, at in enumerate(kept):
            tags[at] = f"{'I' if number else 'B'}-{types[entity.type]}"
    for at in rng.choice(len(words), len(words) // 10, replace=False):
        tags[at] = "B-Sign_symptom"
    spans, first = [], None
    for at, tag in enumerate([*tags, "O"]):
        if first is not None and not tag.startswith("I"):
            rows = tuple(
                (-float(rng.gamma(1, 0.3)), -3.0, -4.0, -5.0, -2.0) for _ in range(first, at)
            )
            confidence = float(np.exp(np.mean([row[0] for row in rows])))
            start, end = words[first][0], words[at - 1][1]
            tokens = tuple(range(first, at))
            spans.append(Span(start, end, tags[first][2:], confidence, (), tokens, rows))
            first = None
        if tag.startswith("B"):
            first = at
    tokens = Tokens(tuple(words), tuple(tags), (0.9,) * len(words), classes=83)
    return Prediction(document.id, tuple(spans), tokens)
