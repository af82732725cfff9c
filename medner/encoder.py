"""The encoder: its tokenizer, its configuration, its weights.

A model's folder may come from anybody: no code in it is run, and weights are tensors and no more.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from medner.errors import ConfigError, UserError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # data loaders fork

import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from medner.cpu_kernels import use_cpu_kernels

transformers_logging.disable_progress_bar()  # a bar for the second that loading takes

# of a configuration: code to import, or to fetch from the hub; a dtype, which is ours to choose;
# and where it was read from
_NOT_TAKEN = (
    "_name_or_path", "auto_map", "attn_implementation", "_attn_implementation",
    "experts_implementation", "_experts_implementation", "dtype", "torch_dtype",
)  # fmt: skip
# an option of ours -> what encoders call it; ModernBERT has two places for hidden states
_DROPOUT = {
    "dropout": ("hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout"),
    "attention_dropout": ("attention_probs_dropout_prob", "attention_dropout"),
}


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
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
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
    folder: Path, tags: tuple[str, ...], attention_dropout: float | None, window_length: int,
    dropout: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The configuration of a token classifier on this encoder, as plain values.

    Args:
        folder: of the pretrained model.
        tags: names of the outputs, in order.
        attention_dropout: probability, or None to keep the encoder's own.
        window_length: tokens, special ones counted, that it must take at once.
        dropout: probability for hidden states and before the head, or None likewise.

    Raises:
        ConfigError: if the encoder has no setting for a dropout, or takes fewer tokens.
        UserError: if it is not one of the library's own.
    """
    try:
        config = AutoConfig.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            id2label=dict(enumerate(tags)),
            label2id={tag: index for index, tag in enumerate(tags)},
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: no encoder: {str(error).splitlines()[0]}") from None
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and window_length > longest:
        raise ConfigError(
            f"window.length={window_length}: {config.model_type} takes at most {longest} tokens"
        )
    for option, value in (("dropout", dropout), ("attention_dropout", attention_dropout)):
        if value is None:
            continue
        names = [name for name in _DROPOUT[option] if hasattr(config, name)]
        if not names:
            raise ConfigError(
                f"model.{option}={value}: {config.model_type} has no such setting; leave it out"
            )
        if option == "dropout" and getattr(config, "classifier_dropout", None) is not None:
            names.append("classifier_dropout")  # null is that of hidden states
        for name in names:
            setattr(config, name, value)
    return _taken(json.loads(config.to_json_string(use_diff=False)))


def _taken(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _NOT_TAKEN}


def build_encoder(config: dict[str, Any], weights: Path | None) -> PreTrainedModel:
    """A token classifier in fp32: pretrained from the folder ``weights``, or random.

    Raises:
        UserError: if the folder's weights do not fit the encoder, or hold more than tensors.
    """
    config = AutoConfig.for_model(**_taken(config))
    if weights is None:
        model = AutoModelForTokenClassification.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )
    else:
        model = _pretrained(config, weights)
    use_cpu_kernels(model)
    return model.train()  # a pretrained one comes ready for inference, with dropout off


def _pretrained(config: PretrainedConfig, weights: Path) -> PreTrainedModel:
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # else it warns that the new head is not pretrained
    try:
        model, loading = AutoModelForTokenClassification.from_pretrained(
            weights,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,  # of pytorch_model.bin; safetensors, which goes first, is no more
            output_loading_info=True,
        )
    except (UnpicklingError, EOFError):
        raise UserError(
            f"{weights}: pytorch_model.bin is no file of weights, or holds more than tensors, and "
            "nothing else is loaded"
        ) from None
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
    return model
