"""The side that MedNER's training is held against: Hugging Face's Trainer at its defaults, with the
usual tokenisation for token classification. Run by training.py; prints one line of JSON.

Words get the tag of the entity that begins or goes on there, on their first token. Nothing is
truncated: what is behind 512 tokens makes another example, so that both sides read the same.
"""

import argparse
import json
import re
import time
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

IGNORED = -100


class Clock(TrainerCallback):
    """When the first step began."""

    began: float | None = None

    def on_step_begin(self, *_: object, **__: object) -> None:
        self.began = self.began or time.perf_counter()


def read(path: Path) -> list[dict]:
    """Documents in MedNER's JSON lines; of an entity in pieces all from the first to the last."""
    documents = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for entity in (entity for document in documents for entity in document["entities"]):
        entity["start"], entity["end"] = entity["fragments"][0][0], entity["fragments"][-1][1]
    return documents


def words_of(document: dict) -> tuple[list[tuple[int, int]], list[str]]:
    """Offsets of the words, and their BIO tags."""
    offsets = [found.span() for found in re.finditer(r"\w+|[^\w\s]", document["text"])]
    tags = ["O"] * len(offsets)
    for entity in sorted(document["entities"], key=lambda one: one["start"] - one["end"]):
        inside = [
            at for at, (s, e) in enumerate(offsets) if s < entity["end"] and e > entity["start"]
        ]
        if all(tags[at] == "O" for at in inside):
            for at in inside:
                tags[at] = f"{'B' if at == inside[0] else 'I'}-{entity['type']}"
    return offsets, tags


def examples(documents: list[dict], tokenizer, ids: dict[str, int], length: int) -> list[dict]:
    """One for each 512 tokens of a document, with the words and the document they come from."""
    made = []
    for number, document in enumerate(documents):
        offsets, tags = words_of(document)
        encoded = tokenizer(
            [document["text"][s:e] for s, e in offsets], is_split_into_words=True,
            truncation=True, max_length=length, return_overflowing_tokens=True,
        )  # fmt: skip
        for part, input_ids in enumerate(encoded["input_ids"]):
            words = encoded.word_ids(part)
            first = [w is not None and w != b for w, b in zip(words, [None, *words], strict=False)]
            made.append(
                {
                    "input_ids": input_ids,
                    "labels": [
                        ids[tags[w]] if here else IGNORED
                        for w, here in zip(words, first, strict=True)
                    ],
                    "words": [w if here else None for w, here in zip(words, first, strict=True)],
                    "document": number,
                    "tokens": sum(w is not None for w in words),
                }
            )
    return made


def spans(offsets: list[tuple[int, int]], tags: list[str]) -> list[dict]:
    """As seqeval reads tags: an I- that continues nothing begins an entity."""
    found: list[dict] = []
    before = "O"
    for (start, end), tag in zip(offsets, tags, strict=True):
        if tag != "O":
            if tag[0] == "I" and before[2:] == tag[2:]:
                found[-1]["end"] = end
            else:
                found.append({"start": start, "end": end, "type": tag[2:]})
        before = tag
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("train", "test", "model", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train, test = read(options.train), read(options.test)
    types = sorted({entity["type"] for d in (*train, *test) for entity in d["entities"]})
    tags = ["O", *(f"{letter}-{type_}" for type_ in types for letter in "BI")]
    ids = {tag: number for number, tag in enumerate(tags)}
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForTokenClassification.from_pretrained(
        options.model, num_labels=len(tags), dtype=torch.float32
    )
    length = min(512, model.config.max_position_embeddings)
    rows = examples(train, tokenizer, ids, length)
    columns = ("input_ids", "labels")
    trainer = Trainer(
        model,
        TrainingArguments(
            options.output,
            num_train_epochs=options.epochs,
            seed=options.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            learning_rate=options.learning_rate,
        ),
        train_dataset=[{name: row[name] for name in columns} for row in rows],
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    seconds = time.perf_counter() - clock.began
    tokens = sum(row["tokens"] for row in rows) * options.epochs
    found = [["O"] * len(words_of(document)[0]) for document in test]
    held = examples(test, tokenizer, ids, length)
    logits = trainer.predict([{name: row[name] for name in columns} for row in held]).predictions
    for row, values in zip(held, np.argmax(logits, axis=-1), strict=True):
        for word, tag in zip(row["words"], values, strict=False):
            if word is not None:
                found[row["document"]][word] = tags[tag]
    with (options.output / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for document, of_words in zip(test, found, strict=True):
            found_spans = spans(words_of(document)[0], of_words)
            for span in found_spans:
                span["text"] = document["text"][span["start"] : span["end"]]
            row = {"document": document["id"], "spans": found_spans}
            file.write(json.dumps(row) + "\n")
    print(json.dumps({"tokens": tokens, "seconds": seconds, "steps": trainer.state.global_step}))


if __name__ == "__main__":
    main()
