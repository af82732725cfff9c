"""A token classifier as ONNX, by torch's exporter, and run by ONNX Runtime.

The file is ``onnx/model.onnx``, where the hub's libraries look for it. It takes ``input_ids`` and
``attention_mask``, int64, shape (windows, tokens), and gives ``logits``, fp32, shape (windows,
tokens, tags); windows and tokens may be any number. Needs onnx, onnxscript and onnxruntime: the
extra ``onnx``.
"""

import logging
import warnings
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import PreTrainedModel

ONNX = Path("onnx", "model.onnx")
_INPUTS = ("input_ids", "attention_mask")
_EXAMPLE = (2, 16)  # windows, tokens; neither may be 1, which torch would take for a constant


class _Logits(torch.nn.Module):
    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.encoder(input_ids=input_ids, attention_mask=attention_mask).logits


def write_onnx(path: Path, encoder: PreTrainedModel) -> None:
    """Write the encoder with its classifier, in fp32 and ready for inference, as one file."""
    # two tensors: of one that is given twice torch makes one input
    example = tuple(torch.ones(_EXAMPLE, dtype=torch.int64) for _ in _INPUTS)
    sizes = {0: torch.export.Dim("windows"), 1: torch.export.Dim("tokens")}
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # which tell all that they do
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Logits(encoder.eval()),
            example,
            dynamo=True,
            input_names=_INPUTS,
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(_INPUTS, sizes),
            verbose=False,
        )
    for node in program.model.graph.all_nodes():  # where in which file of this machine it is from
        node.metadata_props.clear()
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(path, external_data=False)


class OnnxEncoder(torch.nn.Module):
    """An ONNX file in the place of a module's ``encoder``, on the CPU."""

    def __init__(self, path: Path, encoder: PreTrainedModel) -> None:
        import onnxruntime

        super().__init__()
        self.config = encoder.config
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        given = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        (logits,) = self._session.run(["logits"], given)
        return SimpleNamespace(logits=torch.from_numpy(logits))
