"""What comes behind the encoder: spans found in documents, and scored, in CPU seconds.

    python bench/decoding.py corpora/bc5cdr/CDR_TestSet.PubTator.txt

In place of an encoder's there are probabilities drawn at random, with the gold's tags likelier.
Tokens are MiniLM's. Validation takes spans alone, prediction the confidences and tokens as well.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine, markdown
from numpy.typing import NDArray
from scaling import RULE, minilm

from medner.corpora import CorpusSource, read_corpus
from medner.decoding import find_spans, predict
from medner.labels import Labels, flatten
from medner.scoring.matching import score
from medner.windows import TokenizedDocument, tokenise

TURNS = 5
TYPES = (2, 41)
_NOISE, _RAISED = 2.0, 7.0  # some tags are wrong in most documents, so that BIO must be mended


def drawn(tokens: TokenizedDocument, labels: Labels, rng: np.random.Generator) -> NDArray:
    """Log probabilities in fp32, shape (tokens, tags)."""
    entities = flatten(tokens.document.entities, RULE)
    tags = labels.encode(entities, tokens.starts, tokens.ends)
    logits = _NOISE * rng.standard_normal((len(tags), len(labels.tags)), dtype=np.float32)
    logits[np.arange(len(tags)), tags] += _RAISED
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def seconds(step: Callable[[], Any]) -> float:
    """The median of a few turns."""
    taken = []
    for _ in range(TURNS):
        before = time.process_time()
        step()
        taken.append(time.process_time() - before)
    return statistics.median(taken)


def measure(tokenised: list[TokenizedDocument], labels: Labels) -> list[tuple[float, str]]:
    """Of each step: CPU seconds, and what it is called."""
    rng = np.random.default_rng(0)
    outputs = [(tokens, drawn(tokens, labels, rng)) for tokens in tokenised]
    documents = [tokens.document for tokens in tokenised]
    found = [find_spans(*output, labels) for output in outputs]
    return [
        (seconds(lambda: [find_spans(*output, labels) for output in outputs]), "spans alone"),
        (seconds(lambda: score(documents, found)), "score"),
        (seconds(lambda: [predict(*output, labels) for output in outputs]), "spans, confidences"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="a file of PubTator")
    source = CorpusSource("abstracts", "pubtator", str(parser.parse_args().corpus))
    tokenised = tokenise(read_corpus(source).documents, minilm())
    known = Labels.of([tokens.document for tokens in tokenised]).types
    measured = []
    for types in TYPES:
        others = [f"Type {number}" for number in range(types - len(known))]
        measured.append(measure(tokenised, Labels((*known, *others))))
    rows = [("CPU seconds", *(f"{types} types" for types in TYPES))]
    for of_step in zip(*measured, strict=True):
        rows.append((of_step[0][1], *(f"{taken:.2f}" for taken, _ in of_step)))
    tokens = sum(map(len, tokenised))
    print(f"## Decoding: {len(tokenised)} documents, {tokens:,} tokens\n\n{machine()}\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
