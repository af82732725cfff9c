"""Learning rates by layer: each known layout, by hand; what is not understood is refused."""

from pathlib import Path

import pytest
import torch
from mirror import BERT
from transformers import AlbertConfig, AlbertForTokenClassification

from medner.encoder import build_encoder, encoder_config
from medner.errors import ConfigError
from medner.layer_decay import depths, parameter_groups

# of each layout the beginnings of names, by depth; all of two layers
LAYOUTS = {
    "dmis-lab/biobert-v1.1": {
        0: ("classifier.",), 1: ("bert.encoder.layer.1.",), 2: ("bert.encoder.layer.0.",),
        3: ("bert.embeddings.",),
    },
    "distilbert/distilbert-base-uncased": {
        0: ("classifier.",), 1: ("distilbert.transformer.layer.1.",),
        2: ("distilbert.transformer.layer.0.",), 3: ("distilbert.embeddings.",),
    },
    "answerdotai/ModernBERT-base": {
        0: ("head.", "classifier.", "model.final_norm."), 1: ("model.layers.1.",),
        2: ("model.layers.0.",), 3: ("model.embeddings.",),
    },
}  # fmt: skip


def encoder(mirror: Path, name: str) -> torch.nn.Module:
    return build_encoder(encoder_config(mirror / name, ("O", "B-Age", "I-Age"), None, 64), None)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_parameter_is_as_deep_as_its_layer(mirror: Path, name: str) -> None:
    model = encoder(mirror, name)
    found = depths(model)
    assert set(found) == {name for name, _ in model.named_parameters()}
    by_depth = {
        depth: {parameter for parameter in found if found[parameter] == depth}
        for depth in set(found.values())
    }
    assert set(by_depth) == {0, 1, 2, 3}
    for depth, beginnings in LAYOUTS[name].items():
        assert all(parameter.startswith(beginnings) for parameter in by_depth[depth]), by_depth


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_learning_rate_falls_by_the_layer_and_biases_do_not_decay(
    mirror: Path, name: str
) -> None:
    model = encoder(mirror, name)
    found = depths(model)
    groups = parameter_groups(model.named_parameters(), found, 1e-3, 0.01, 0.5)
    rates = {id(member): group for group in groups for member in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(rates) == len(found)
    for parameter, tensor in model.named_parameters():
        group = rates[id(tensor)]
        assert group["lr"] == [1e-3, 5e-4, 2.5e-4, 1.25e-4][found[parameter]]
        assert group["weight_decay"] == (0.01 if tensor.dim() == 2 else 0.0)


def test_layers_that_share_their_weights_are_refused() -> None:
    small = {**BERT, "vocab_size": 50, "embedding_size": 16, "num_hidden_groups": 1}
    model = AlbertForTokenClassification(AlbertConfig(**small))
    with pytest.raises(ConfigError, match=r"layer_decay: albert has 0 lists of 2 layers, not one"):
        depths(model)


def test_without_layer_decay_there_are_two_groups_of_one_rate(mirror: Path) -> None:
    """As many as in checkpoints of before, and in their order."""
    model = encoder(mirror, "dmis-lab/biobert-v1.1")
    matrices, others = parameter_groups(model.named_parameters(), {}, 1e-3, 0.01, 1.0)
    parameters = list(model.parameters())
    assert matrices["lr"] == others["lr"] == 1e-3
    assert list(map(id, matrices["params"])) == [id(p) for p in parameters if p.dim() >= 2]
    assert list(map(id, others["params"])) == [id(p) for p in parameters if p.dim() < 2]
