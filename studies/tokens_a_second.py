"""How many tokens a second a model reads on this machine, and how long all of PubMed would take.

    python studies/tokens_a_second.py abstracts.jsonl WORDS...

reads what predict.py reads (its words: run=, text_column=, trainer.device_batch=, ...), predicts it
after a first stretch that is not counted, and prints the arithmetic of docs/large_corpora.md.
Counted are tokenizer, model and decoding; reading and writing are not. With a card it goes by the
clock; without, by the time that one core computes, which other programs on the machine do not
lengthen.
"""

import sys
import time
from collections.abc import Callable
from itertools import islice

import torch
from hydra import compose, initialize_config_dir

from medner.config import check
from medner.documents import Document
from medner.input_rows import Columns
from medner.inputs import open_input
from medner.schema import PROJECT, register
from medner.systems import find_model, load_model

ABSTRACTS, CARDS = 37_000_000, 8
FIRST, MOST = 64, 20_000  # documents: predicted once before they count, and all


def main() -> None:
    path, *words = sys.argv[1:]
    register()
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        config = compose("predict", [f"input={path}", "output=-", *words])
    check(config)
    source = open_input(path, config.input_format, Columns(config.text_column, config.id_column))
    texts = (Document(text.id, text.text) for text in source if not text.problem)
    documents = list(islice(texts, MOST))
    torch.set_num_threads(1)
    predict = load_model(config, *find_model(config)).predict
    on_card = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    clock: Callable[[], float] = time.perf_counter if on_card else time.process_time
    predict(documents[:FIRST])
    began = clock()
    tokens = sum(len(prediction.tokens.offsets) for prediction in predict(documents))
    speed, length = tokens / (clock() - began), tokens / len(documents)
    device = torch.cuda.get_device_name() if on_card else "one core of a CPU"
    hours = ABSTRACTS * length / (CARDS * speed) / 3600
    print(f"{len(documents)} documents, {speed:,.0f} tokens a second on {device}")
    products = f"{ABSTRACTS:,} x {length:.0f} tokens / ({CARDS} x {speed:,.0f} a second)"
    print(f"{products} = {hours:,.1f} hours")


if __name__ == "__main__":
    main()
