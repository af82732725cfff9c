"""The encoder: its tokenizer, its configuration, its weights."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medner.errors import ConfigError, UserError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # data loaders fork

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()  # a bar for the second that loading takes

_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


@dataclass(frozen=True)
class TokenizerFiles:
    """A fast tokenizer as its files, so that a checkpoint needs nothing beside itself."""

    files: dict[str, str]

    @classmethod
    def load(cls, folder: Path) -> "TokenizerFiles":
        """Read a folder's tokenizer, whatever its files, without truncation and padding.

        Raises:
            UserError: if there is none, or only a slow one, which gives no offsets.
        """
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder}: no tokenizer: {str(error).splitlines()[0]}") from None
        if not tokenizer.is_fast:
            raise UserError(f"{folder}: only a slow tokenizer, which gives no character offsets")
        # MiniLM's file has truncation and padding to 128 baked in
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        with tempfile.TemporaryDirectory() as scratch:
            paths = [Path(path) for path in tokenizer.save_pretrained(scratch)]
            return cls({path.name: path.read_text("utf-8") for path in paths if path.is_file()})

    def tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_str(self.files["tokenizer.json"])
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def special_ids(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that go before and behind a text."""
    with_special = tokenizer.encode("a").ids
    text = tokenizer.encode("a", add_special_tokens=False).ids
    for at in range(len(with_special) - len(text) + 1):
        if with_special[at : at + len(text)] == text:
            return with_special[:at], with_special[at + len(text) :]
    raise UserError("the tokenizer changes a text when it adds its special tokens")


def encoder_config(
    folder: Path, tags: tuple[str, ...], attention_dropout: float | None, window_length: int
) -> dict[str, Any]:
    """The configuration of a token classifier on this encoder, as plain values.

    Args:
        folder: of the pretrained model.
        tags: names of the outputs, in order.
        attention_dropout: probability, or None to keep the encoder's own.
        window_length: tokens, special ones counted, that it must take at once.

    Raises:
        ConfigError: if the encoder has no setting for attention dropout, or takes fewer tokens.
    """
    config = AutoConfig.from_pretrained(
        folder,
        local_files_only=True,
        id2label=dict(enumerate(tags)),
        label2id={tag: index for index, tag in enumerate(tags)},
    )
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and window_length > longest:
        raise ConfigError(
            f"window.length={window_length}: {config.model_type} takes at most {longest} tokens"
        )
    if attention_dropout is not None:
        names = [name for name in _ATTENTION_DROPOUT if hasattr(config, name)]
        if not names:
            raise ConfigError(
                f"model.attention_dropout={attention_dropout}: {config.model_type} has no such "
                "setting; leave it out"
            )
        setattr(config, names[0], attention_dropout)
    values = json.loads(config.to_json_string(use_diff=False))
    values.pop("_name_or_path", None)  # where the folder is: checkpoints go to other people
    return values


def build_encoder(config: dict[str, Any], weights: Path | None) -> PreTrainedModel:
    """A token classifier in fp32: pretrained from the folder ``weights``, or random.

    Raises:
        UserError: if the folder's weights do not fit the encoder.
    """
    values = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    config = AutoConfig.for_model(**values)
    if weights is None:
        return AutoModelForTokenClassification.from_config(config, dtype=torch.float32)
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # else it warns that the new head is not pretrained
    try:
        model, loading = AutoModelForTokenClassification.from_pretrained(
            weights,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
    finally:
        transformers_logging.set_verbosity(level)
    # the head, and what some libraries put before it, is new; all of the encoder must be there
    prefix = f"{model.base_model_prefix}."
    missing = sorted(key for key in loading["missing_keys"] if key.startswith(prefix))
    if missing:
        raise UserError(
            f"{weights}: the weights lack {len(missing)} of the encoder's tensors, {missing[0]} "
            "among them; is it a model of another kind?"
        )
    return model.train()  # it comes ready for inference, with dropout off
