"""Tiny models with random weights, laid out as the hub's repositories of ``conf/model``."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from conftest import MODELS
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)  # fmt: skip
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 600
BERT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 512,
}  # fmt: skip


def write_mirror(hub: Path, texts: Sequence[str]) -> Path:
    """The five models below ``hub``/owner/name; the vocabularies are learnt from the texts."""
    torch.manual_seed(0)
    bioformer, biomedbert = hub / MODELS["bioformer"], hub / MODELS["biomedbert"]

    folder = hub / MODELS["distilbert"]
    size = write_word_pieces(folder, texts, lower=True, tokenizer_class="DistilBertTokenizer")
    config = DistilBertConfig(vocab_size=size, dim=32, hidden_dim=64, n_layers=2, n_heads=2)
    DistilBertForMaskedLM(config).save_pretrained(folder)

    size = write_word_pieces(biomedbert, texts, lower=True)
    BertForMaskedLM(BertConfig(vocab_size=size, **BERT)).save_pretrained(biomedbert)

    size = write_word_pieces(bioformer, texts, lower=False)
    BertForMaskedLM(BertConfig(vocab_size=size, **BERT)).save_pretrained(bioformer)

    # the hub has no safetensors of this one, and its weights are those of the bare encoder
    folder = hub / MODELS["biobert"]
    size = write_word_pieces(folder, texts, lower=False, tokenizer_class="BertTokenizer")
    model = BertModel(BertConfig(vocab_size=size, **BERT))
    model.config.architectures = ["BertModel"]
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")

    folder = hub / MODELS["modernbert"]
    ids = write_byte_level(folder, texts)
    config = ModernBertConfig(
        vocab_size=len(ids), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=1024, global_attn_every_n_layers=2,
        local_attention=16, pad_token_id=ids["[PAD]"], cls_token_id=ids["[CLS]"],
        bos_token_id=ids["[CLS]"], sep_token_id=ids["[SEP]"], eos_token_id=ids["[SEP]"],
    )  # fmt: skip
    ModernBertForMaskedLM(config).save_pretrained(folder)
    return hub


def write_word_pieces(
    folder: Path, texts: Sequence[str], *, lower: bool, tokenizer_class: str | None = None
) -> int:
    """``vocab.txt`` and the hub's few settings beside it; the number of word pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = tokenizer.get_vocab()
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(sorted(ids, key=ids.get)) + "\n", "utf-8")
    settings = {"do_lower_case": lower, "model_max_length": 512}
    if tokenizer_class:
        settings["tokenizer_class"] = tokenizer_class
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(ids)


def write_byte_level(folder: Path, texts: Sequence[str]) -> dict[str, int]:
    """``tokenizer.json`` of a byte-level BPE that adds [CLS] and [SEP]; token to id."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    ids = tokenizer.get_vocab()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "pad", "mask", "unk")}
    settings = {**names, "model_max_length": 8192, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return ids
