"""Encoders: their settings by the right name, their weights whole, in fp32."""

import json
from pathlib import Path

import pytest
import torch
from conftest import MODELS
from safetensors.torch import load_file, save_file

from medner.encoder import TokenizerFiles, build_encoder, encoder_config, special_ids
from medner.errors import ConfigError, UserError

TAGS = ("O", "B-Age", "I-Age")
BERT = ("biobert", "bioformer", "biomedbert")
NAMES = {  # and what each calls attention's dropout
    name: "attention_probs_dropout_prob" if model in BERT else "attention_dropout"
    for model, name in MODELS.items()
}


@pytest.mark.parametrize("name", NAMES)
def test_each_architecture_is_built_from_plain_values(mirror: Path, name: str) -> None:
    config = json.loads(json.dumps(encoder_config(mirror / name, TAGS, 0.25, 512)))
    assert config[NAMES[name]] == 0.25
    model = build_encoder(config, mirror / name)
    assert getattr(model.config, NAMES[name]) == 0.25
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(part.training for part in model.modules())
    rates = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert name == "answerdotai/ModernBERT-base" or 0.25 in rates
    logits = model(input_ids=torch.tensor([[2, 7, 3]])).logits
    assert logits.shape == (1, 3, 3)
    kept = encoder_config(mirror / name, TAGS, None, 512)[NAMES[name]]
    assert kept == json.loads((mirror / name / "config.json").read_text())[NAMES[name]]


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_of_the_folder(mirror: Path, name: str) -> None:
    config = encoder_config(mirror / name, TAGS, None, 512)
    both = [build_encoder(config, mirror / name).base_model.state_dict() for _ in range(2)]
    assert all(torch.equal(both[0][key], both[1][key]) for key in both[0])
    fresh = build_encoder(config, None).base_model.state_dict()
    assert not all(torch.equal(both[0][key], fresh[key]) for key in both[0])


def test_weights_that_lack_a_layer_are_refused(mirror: Path, tmp_path: Path) -> None:
    folder = mirror / "bioformers/bioformer-16L"
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if ".layer.1." not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the weights lack 16 of the encoder's tensors"):
        build_encoder(encoder_config(tmp_path, TAGS, None, 512), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_tokenizer_is_the_same_from_its_files(mirror: Path, name: str) -> None:
    files = TokenizerFiles.load(mirror / name)
    tokenizer = TokenizerFiles(json.loads(json.dumps(files.files))).tokenizer()
    before, behind = special_ids(tokenizer)
    assert [len(before), len(behind)] == [1, 1]
    long = tokenizer.encode("fever and cough " * 400)
    assert len(long.ids) > 1200 and long.ids[:1] == before and long.ids[-1:] == behind
    assert tokenizer.encode("", add_special_tokens=False).ids == []


@pytest.mark.parametrize("content", ['{"a":', '{"a": 1}'])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match="no tokenizer"):
        TokenizerFiles.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dmis-lab/biobert-v1.1", "bert"), ("distilbert/distilbert-base-uncased", "distilbert")],
)
def test_a_window_must_fit_the_encoder(mirror: Path, name: str, kind: str) -> None:
    assert encoder_config(mirror / name, TAGS, None, 512)
    with pytest.raises(
        ConfigError, match=rf"^window\.length=513: {kind} takes at most 512 tokens$"
    ):
        encoder_config(mirror / name, TAGS, None, 513)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_that_of_every_hidden_state(mirror: Path, name: str) -> None:
    config = encoder_config(mirror / name, TAGS, None, 512, dropout=0.35)
    model = build_encoder(config, None)
    rates = {
        place: module.p
        for place, module in model.named_modules()
        if isinstance(module, torch.nn.Dropout) and ".attention.dropout" not in place
        and "attention.self" not in place
    }  # fmt: skip
    assert set(rates.values()) == {0.35}, rates
    assert len(rates) >= 4
    kept = encoder_config(mirror / name, TAGS, None, 512)
    assert config[NAMES[name]] == kept[NAMES[name]]  # attention's own
