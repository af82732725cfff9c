"""Layer-wise learning rates: the lower a layer, the less of the pretrained it gives up.

Howard and Ruder, Universal language model fine-tuning (ACL 2018); per layer as in ELECTRA and BEiT.
"""

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from medner.errors import ConfigError


def depths(encoder: PreTrainedModel) -> dict[str, int]:
    """How deep below the head each parameter of a token classifier is, by its name.

    The head, and what the encoder puts behind its layers, is 0, the top layer 1, the lowest of n
    layers n, and the embeddings n + 1. The layers are found as the one list of modules that is as
    long as the configuration says.

    Raises:
        ConfigError: if there is no such list, or several: layers that share their weights, say.
    """
    base = encoder.base_model
    prefix = f"{encoder.base_model_prefix}."
    number = encoder.config.num_hidden_layers
    lists = [
        name
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == number
    ]
    outermost = [name for name in lists if not any(name.startswith(f"{of}.") for of in lists)]
    if len(outermost) != 1:
        raise ConfigError(
            f"trainer.layer_decay: {encoder.config.model_type} has {len(outermost)} lists of "
            f"{number} layers, not one, so that what is below what is unknown; leave it out"
        )
    layers = f"{prefix}{outermost[0]}."
    embeddings = tuple(
        f"{prefix}{name}." for name, module in base.named_modules()
        if isinstance(module, torch.nn.Embedding)
    )  # fmt: skip
    found, below = {}, True
    for name, _ in encoder.named_parameters():  # in the order in which the encoder was put together
        if name.startswith(layers):
            below = False
            found[name] = number - int(name.removeprefix(layers).partition(".")[0])
        elif name.startswith(prefix) and (below or name.startswith(embeddings)):
            found[name] = number + 1
        else:
            found[name] = 0
    return found


def parameter_groups(
    parameters: Iterable[tuple[str, torch.nn.Parameter]],
    depth: dict[str, int],
    learning_rate: float,
    weight_decay: float,
    layer_decay: float,
) -> list[dict]:
    """Parameters for AdamW, two groups a depth: matrices decay, biases and norms do not.

    Args:
        parameters: by name; what needs no gradient is left out.
        depth: as of :func:`depths`; of what is not in it 0.
        learning_rate: at depth 0; each depth has that of the one above times ``layer_decay``.
    """
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {(0, True): [], (0, False): []}
    for name, parameter in parameters:
        if parameter.requires_grad:
            key = depth.get(name, 0), parameter.dim() >= 2
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": members,
            "lr": learning_rate * layer_decay**at,
            "weight_decay": weight_decay if matrices else 0.0,
        }
        for (at, matrices), members in groups.items()
    ]
