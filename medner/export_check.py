"""Whether what was exported predicts what the run's own model does: nothing is called written
before it was read again and compared, in fp32 on the CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForTokenClassification, AutoTokenizer

from medner.documents import Document
from medner.errors import UserError
from medner.exported import ExportedTagger
from medner.module import NerModule
from medner.onnx_model import ONNX, OnnxEncoder
from medner.predictions import Prediction
from medner.training import predict

_CLOSE = 1e-3  # between probabilities: other kernels round otherwise, and no more


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many tokens' tags and spans were compared and found equal, and the largest difference
    between probabilities of the likeliest tags."""

    documents: int
    tokens: int
    spans: int
    difference: float

    def __str__(self) -> str:
        spans = f", {self.spans} spans" if self.spans else ""
        return (
            f"{self.documents} documents ({self.tokens} tokens{spans}); their probabilities differ "
            f"by {self.difference:.1g} at most"
        )


def check_transformers(folder: Path, module: NerModule, documents: Sequence[Document]) -> Agreement:
    """Compare the tags of each token with those of plain transformers.

    Args:
        folder: as :func:`medner.exported.write_model` writes it.
        module: the model that it was made from.
        documents: what is more than fits a window is left out.

    Raises:
        UserError: if any tag differs, or a probability by more than 0.001.
    """
    documents = [_fitting(module, document) for document in documents]
    predictions = _predictions(module, documents)
    tag_of = plain_tagger(folder)
    tokens, difference = 0, 0.0
    for document, prediction in zip(documents, predictions, strict=True):
        tags, confidence = tag_of(document.text)
        own = prediction.tokens
        if list(own.tags) != tags:
            raise UserError(
                "plain transformers gives other tags than the run's own model, so that nothing was "
                f"written; its tokenizer ({len(own.tags)} and {len(tags)} tokens of one text) or "
                "its encoder does not survive being saved"
            )
        tokens += len(tags)
        difference = max(difference, np.abs(confidence - own.confidence).max(initial=0))
    return _close(Agreement(len(documents), tokens, 0, difference), "plain transformers")


def plain_tagger(folder: Path) -> Callable[[str], tuple[list[str], NDArray[np.float32]]]:
    """The folder's model as anybody would call it: from a text, the likeliest tag of each token and
    its probability; special tokens are left out, and what is longer than a window is cut."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForTokenClassification.from_pretrained(folder, local_files_only=True).eval()

    def tag(text: str) -> tuple[list[str], NDArray[np.float32]]:
        encoded = tokenizer(
            text, truncation=True, return_tensors="pt", return_special_tokens_mask=True
        )
        of_text = encoded.pop("special_tokens_mask")[0] == 0
        with torch.inference_mode():
            probabilities = model(**encoded).logits[0].softmax(dim=-1)[of_text]
        confidence, best = probabilities.max(dim=-1)
        return [model.config.id2label[at] for at in best.tolist()], confidence.numpy()

    return tag


def check_medner(folder: Path, module: NerModule, documents: Sequence[Document]) -> Agreement:
    """Compare the spans of whole documents, with their confidences, with the folder's as MedNER
    reads it. Raises UserError as ``check_transformers``."""
    return _compare_spans(ExportedTagger(folder), module, documents, "the folder")


def check_onnx(folder: Path, module: NerModule, documents: Sequence[Document]) -> Agreement:
    """The same with the encoder run by ONNX Runtime."""
    tagger = ExportedTagger(folder)
    tagger.encoder = OnnxEncoder(folder / ONNX, tagger.encoder)
    return _compare_spans(tagger, module, documents, "ONNX Runtime")


def _compare_spans(
    tagger: NerModule, module: NerModule, documents: Sequence[Document], what: str
) -> Agreement:
    spans, tokens, difference = 0, 0, 0.0
    expected, found = _predictions(module, documents), _predictions(tagger, documents)
    for own, other in zip(expected, found, strict=True):
        if [(s.start, s.end, s.type) for s in own.spans] != [
            (s.start, s.end, s.type) for s in other.spans
        ]:
            raise UserError(
                f"{what} gives other spans than the run's own model, so that nothing was written"
            )
        spans += len(own.spans)
        tokens += len(own.tokens.tags)
        differences = np.subtract(own.tokens.confidence, other.tokens.confidence)
        difference = max(difference, np.abs(differences).max(initial=0))
    return _close(Agreement(len(documents), tokens, spans, difference), what)


def _close(agreement: Agreement, what: str) -> Agreement:
    if not agreement.difference <= _CLOSE:
        raise UserError(
            f"{what} gives other probabilities than the run's own model (by up to "
            f"{agreement.difference:.4f}), so that nothing was written"
        )
    return replace(agreement, difference=float(agreement.difference))


def _predictions(module: NerModule, documents: Sequence[Document]) -> list[Prediction]:
    data = module.datamodule({"all": documents}, flatten_rule="longest_first", device_batch=4)
    return predict(module, data, "all", "32", "cpu")


def _fitting(module: NerModule, document: Document) -> Document:
    """As much of its text as fits one window."""
    text = document.text
    while True:
        document = Document(document.id, text)
        data = module.datamodule({"all": [document]}, flatten_rule="longest_first")
        tokens, (window, *more) = data.tokenised["all"][0], data.windows["all"]
        if not more:
            return document
        text = text[: int(tokens.ends[window.end - 1]) - 1]  # a cut word may have more tokens
