"""What may leave this machine: options in words, digests of documents, names of models."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from omegaconf import OmegaConf

from medner import sharing
from medner.documents import Document
from medner.schema import EvaluateConfig, TrainConfig


def test_a_document_s_digest_cannot_be_guessed_from_its_id() -> None:
    document = Document("15939911", "The text.", ())
    assert sharing.document_digest(document) == sharing.document_digest(document)
    others = [Document("15939911", "the text.", ()), Document("15939912", "The text.", ())]
    assert len({sharing.document_digest(each) for each in (document, *others)}) == 3


PRIVATE = {
    "output_dir", "corpora_dir", "token_cache", "hub_mirror", "run", "repeat", "ckpt_path",
    "model.name", "hf_model", "predictions",
    "logger.wandb.project", "logger.wandb.entity",
    *(f"{data}.{option}" for data in ("data", "eval_dataset") for option in (
        "path", "parts", "homepage", "release.folder", "release.hub",
        "release.fingerprint", "release.files",
    )),
    "data.split.test_ids", "data.split.groups", "data.split.known_twins", "data.rebuild_from",
}  # fmt: skip


def options_in_words(schema: type, group: str = "") -> set[str]:
    """The options of a schema that take strings, or lists and mappings of them."""
    found = set()
    for name, hint in get_type_hints(schema).items():
        kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
        nested = [kind for kind in kinds if is_dataclass(kind)]
        if nested and getattr(hint, "__origin__", None) is not list:
            found |= options_in_words(nested[0], f"{group}{name}.")
        elif not set(kinds) <= {int, float, bool}:
            found.add(f"{group}{name}")
    assert {field.name for field in fields(schema)} == set(get_type_hints(schema))
    return found


@pytest.mark.parametrize("schema", [TrainConfig, EvaluateConfig])
def test_every_option_in_words_is_either_shared_or_kept(schema: type) -> None:
    """Whoever adds an option decides: sharing.WORDS, or PRIVATE above."""
    known = sharing.WORDS | sharing.TYPES
    assert not known & PRIVATE
    assert options_in_words(schema) <= known | PRIVATE
    everything = options_in_words(TrainConfig) | options_in_words(EvaluateConfig)
    assert known | PRIVATE == everything


def test_a_model_s_name_is_shared_only_if_it_is_the_hub_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    shared = {
        name: sharing.shareable_options(OmegaConf.create({"model": {"name": name}}))["model"][
            "name"
        ]
        for name in (
            "dmis-lab/biobert-v1.1",
            "models/mine",
            "~/x/y",
            "/a/b",
            "../a",
            "mine",
            "a/b/c",
        )
    }
    assert shared.pop("dmis-lab/biobert-v1.1") == "dmis-lab/biobert-v1.1"
    assert set(shared.values()) == {"a local folder"}
