"""Whether what was exported predicts what the run's own model does: nothing is called written
before it was read again and compared, in fp32 on the CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from transformers import AutoModelForTokenClassification, AutoTokenizer

from medner.documents import Document
from medner.errors import UserError
from medner.exported import ExportedTagger
from medner.inference import Predictor
from medner.module import NerModule
from medner.onnx_model import ONNX, OnnxEncoder
from medner.predictions import Prediction, Tokens

# Differences between probabilities: other kernels round otherwise, by up to 1e-5 so far. Where two
# readings are nearly as likely, that little decides between them.
_CLOSE, _TIE = 1e-3, 3e-5


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many tokens and spans were compared and found equal; the largest difference between
    probabilities of the likeliest tags; and in how many documents a tie fell otherwise."""

    documents: int = 0
    tokens: int = 0
    spans: int = 0
    difference: float = 0.0
    ties: int = 0

    def __str__(self) -> str:
        spans = f", {self.spans} spans" if self.spans else ""
        ties = f"; in {self.ties} of them a tie fell otherwise" if self.ties else ""
        return (
            f"{self.documents} documents ({self.tokens} tokens{spans}), probabilities within "
            f"{self.difference:.1g}{ties}"
        )


def check_transformers(folder: Path, module: NerModule, documents: Sequence[Document]) -> Agreement:
    """Compare the tags of each token with those of plain transformers.

    Args:
        folder: as :func:`medner.exported.write_model` writes it.
        module: the model that it was made from.
        documents: what is more than fits a window is left out.

    Raises:
        UserError: if a tag differs and it is no tie, or a probability by more than 0.001.
    """
    documents = [_fitting(module, document) for document in documents]
    tag_of = plain_tagger(folder)
    same = Agreement()
    for document, prediction in zip(documents, _predictions(module, documents), strict=True):
        tags, confidence = tag_of(document.text)
        own = prediction.tokens
        if len(tags) != len(own.tags):
            raise UserError(
                f"plain transformers makes {len(tags)} tokens of a text of which the run's own "
                f"model makes {len(own.tags)}, so that nothing was written"
            )
        differ = np.not_equal(tags, own.tags)
        same = _added(same, "plain transformers", "tags", own, confidence, differ)
    return same


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
    same = Agreement()
    expected, found = _predictions(module, documents), _predictions(tagger, documents)
    for own, other in zip(expected, found, strict=True):
        places = [[(span.start, span.end, span.type) for span in one.spans] for one in (own, other)]
        differ = np.array(places[0] != places[1])
        same = _added(same, what, "spans", own.tokens, other.tokens.confidence, differ)
        same = replace(same, spans=same.spans + len(own.spans))
    return same


def _added(
    same: Agreement, what: str, kind: str, own: Tokens, confidence: ArrayLike,
    differ: NDArray[np.bool_],
) -> Agreement:  # fmt: skip
    """With one more document. ``differ`` says whether its tags, shape (tokens,), or its spans,
    shape (), are others than the run's own; UserError if it is more than a tie."""
    differences = np.abs(np.subtract(own.confidence, confidence))
    largest = float(differences.max(initial=0.0))
    problem = None
    if (differ & (differences > _TIE)).any():
        problem = kind
    elif not largest <= _CLOSE:
        problem = f"probabilities (by {largest:.4f})"
    if problem:
        raise UserError(
            f"{what} gives other {problem} than the run's own model, so that nothing was written"
        )
    return Agreement(
        same.documents + 1,
        same.tokens + len(own.tags),
        same.spans,
        max(same.difference, largest),
        same.ties + bool(differ.any()),
    )


def _predictions(module: NerModule, documents: Sequence[Document]) -> list[Prediction]:
    encoder = module.encoder
    try:
        return Predictor(module, "32", "cpu", 4)(documents)
    finally:
        module.encoder = encoder  # a predictor takes a module for itself


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
