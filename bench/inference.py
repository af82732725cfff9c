"""From raw text to spans, beside transformers' pipeline: tokens a second and F1.

    python bench/inference.py runs/FOLDER
    python bench/inference.py runs/FOLDER corpora/bc5cdr/CDR_TestSet.PubTator.txt

Texts are the run's own test documents, and those of a file of PubTator. Both sides take the same
exported model, in fp32 and in what else the machine multiplies matrices in. The pipeline has
``aggregation_strategy="simple"`` and ``stride=128``, with batches of 1 and 8; MedNER finds spans as
``predict.py`` does. Each measurement is a process of its own that has read a few of the texts
before the clock runs; they take turns, and what stands there are medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from machine import has_bf16, machine, markdown, operations, peak
from tokenizers import Tokenizer
from transformers import AutoModelForTokenClassification, pipeline

from medner.config import INT8
from medner.corpora import CorpusSource, read_corpus
from medner.corpora.writers import write_jsonl
from medner.documents import Document
from medner.parts import own_parts
from medner.predictions import Prediction, Span
from medner.runs import load_config
from medner.scoring.matching import score
from medner.systems import from_hub

ROOT = Path(__file__).resolve().parent.parent
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
SIDES = (
    *("pipeline fp32 1", "pipeline fp32 8", "MedNER 32 8"),
    *(("pipeline bf16 1", "pipeline bf16 8", "MedNER bf16-mixed 8") if has_bf16() else ()),
    *(() if torch.cuda.is_available() else ("MedNER int8 8",)),
)
TURNS, FIRST = 3, 4


def by_pipeline(model: Path, precision: str, batch: int) -> Callable[[Sequence[Document]], list]:
    tagger = pipeline(
        "token-classification", model=str(model), aggregation_strategy="simple", stride=128,
        dtype=DTYPES[precision], device=0 if torch.cuda.is_available() else -1,
    )  # fmt: skip

    def predict(documents: Sequence[Document]) -> list[Prediction]:
        found = tagger([document.text for document in documents], batch_size=batch)
        return [
            Prediction(
                document.id,
                tuple(Span(each["start"], each["end"], each["entity_group"]) for each in spans),
            )
            for document, spans in zip(documents, found, strict=True)
        ]

    return predict


def by_medner(model: Path, precision: str, batch: int) -> Callable[[Sequence[Document]], list]:
    return from_hub(
        str(model), model, model, precision=precision, device_batch=batch, accelerator="auto"
    ).predict


def measure(side: str, model: Path, texts: Path) -> dict[str, float]:
    """Seconds for all texts, and F1 of what was found (strict, micro)."""
    name, precision, batch = side.split()
    predict = {"pipeline": by_pipeline, "MedNER": by_medner}[name](model, precision, int(batch))
    documents = read_corpus(CorpusSource("texts", "jsonl", str(texts))).documents
    predict(documents[:FIRST])
    began = time.perf_counter()
    found = predict(documents)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "f1": score(documents, found).overall.f1}


def documents_of(run: Path, pubtator: Path | None) -> Sequence[Document]:
    if pubtator:
        return read_corpus(CorpusSource("texts", "pubtator", str(pubtator))).documents
    config = load_config(run)
    return own_parts(run, config.data, config.corpora_dir)[1]["test"]


def work(model: Path, documents: Sequence[Document]) -> tuple[int, float]:
    """Tokens of all texts, and floating-point operations for them without a window's context."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    encoder = AutoModelForTokenClassification.from_pretrained(model)
    lengths = [len(tokenizer.encode(document.text).ids) for document in documents]
    longest = encoder.config.max_position_embeddings
    each = (n * operations(encoder, min(n, longest), training=False) for n in lengths)
    return sum(lengths), sum(each)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("pubtator", type=Path, nargs="?")
    options = parser.parse_args()
    documents = documents_of(options.run, options.pubtator)
    measured: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as scratch:
        model, texts = Path(scratch, "model"), Path(scratch, "texts.jsonl")
        export = [sys.executable, "export.py", f"run={options.run.resolve()}", f"output={model}"]
        subprocess.run(export, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        write_jsonl(texts, documents)
        tokens, whole = work(model, documents)
        for _ in range(TURNS):
            for side, turns in measured.items():
                command = [sys.executable, __file__, "measure", side, str(model), str(texts)]
                ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                turns.append(json.loads(ended.stdout.splitlines()[-1]))
    print(f"## Inference: {len(documents)} documents, {tokens:,} tokens\n\n{machine()}\n")
    print(markdown(table(measured, tokens, whole, scored=not options.pubtator)))


def table(
    measured: dict[str, list[dict[str, float]]], tokens: int, whole: float, scored: bool
) -> list[tuple[str, ...]]:
    """Times, as ratios to the fastest pipeline's."""
    fastest = {name: peak(DTYPES[name]) for name in ("fp32", *(["bf16"] if has_bf16() else []))}
    seconds = {
        side: statistics.median(turn["seconds"] for turn in turns)
        for side, turns in measured.items()
    }
    best = min(took for side, took in seconds.items() if side.startswith("pipeline"))
    rows = [("precision, batch", "tokens/s", "to the best pipeline", "share of the peak", "F1")]
    for side, turns in measured.items():
        took = seconds[side]
        share = f"{whole / took / fastest['bf16' if 'bf16' in side else 'fp32']:.0%}"
        f1 = f"{turns[0]['f1']:.3f}" if scored else ""
        share = "" if INT8 in side else share  # torch has no such GEMM
        rows.append((side, f"{tokens / took:,.0f}", f"{best / took:.2f}", share, f1))
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
    else:
        main()
