"""What the original study's protocol did to the documents it trained on, one factor at a time.

All else of a run stays as it is: the same validation and test documents with their full annotation,
and the same number of training documents. So what a factor is worth can be measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from omegaconf import DictConfig

from medner.corpora.conversion import REBUILT
from medner.documents import Document, Parts
from medner.errors import UserError
from medner.sources import open_annotations

_COPY = "#copy"  # the end of a copy's id


def as_trained(parts: Parts, data: DictConfig) -> Parts:
    """The parts of a run with its training part as ``data.training`` wants it.

    ``annotation=converted`` leaves of each training document's entities what the hub's conversion
    keeps. ``copies=own`` has every training document twice, as the hub has every report;
    ``copies=test`` is the same but for as many of the second ones as there are test documents: in
    their places are copies of these. A copy has an id of its own.

    Raises:
        UserError: if there is no test part to copy, or it is larger than the training part.
    """
    train, options = list(parts["train"]), data.training
    copied: Sequence[Document] = ()
    if options.copies == "own":
        copied = train
    elif options.copies == "test":
        copied = _with_test_documents(train, parts.get("test", ()))
    train += [replace(document, id=f"{document.id}{_COPY}") for document in copied]
    if options.annotation == "converted":
        train = _converted(train, data)
    return {**parts, "train": train}


def _with_test_documents(train: list[Document], test: Sequence[Document]) -> list[Document]:
    """The second copies where the test part leaks.

    Why so: drawn without regard to twins, a training part of the same size has some of its reports
    once that it would have twice, and in their places those of the test part. No training report is
    lost, nothing but a repetition, so that the difference is what having seen the test reports is
    worth. In the study's own split 88 of 100 documents had their twin in training; here all have.
    """
    if not 0 < len(test) <= len(train):
        raise UserError(
            f"data.training.copies=test: copies of {len(test)} test documents cannot stand among "
            f"{len(train)} of training documents; ask for a test part (data.split.test, test_ids)"
        )
    # by id, so that neither the order of files nor a seed has a say
    kept = sorted(train, key=lambda document: document.id)[len(test) :]
    return [*kept, *test]


def _converted(train: Iterable[Document], data: DictConfig) -> list[Document]:
    _, converted = open_annotations(data)
    entities = {document.id: document.entities for document in converted}
    return [replace(each, entities=entities[_source(each.id)]) for each in train]


def _source(id: str) -> str:
    """The id of the document itself, be this one's a copy's or not."""
    return id.removesuffix(_COPY)


def groups_of_copies(parts: Parts) -> list[tuple[str, str]]:
    """The ids of each copy in the training part and of what it is a copy of: they are twins."""
    ids = [document.id for document in parts["train"]]
    return [(_source(id), id) for id in ids if id != _source(id)]


def describe_training(before: Parts, after: Parts, data: DictConfig) -> dict[str, Any]:
    """For the data report: what the training part was and is.

    Args:
        before, after: the parts as split, and as of :func:`as_trained`.
    """
    return {
        "annotation": data.training.annotation,
        "copies": data.training.copies,
        "documents": {"as_split": len(before["train"]), "trained": len(after["train"])},
        "entities": {"as_split": _entities(before["train"]), "trained": _entities(after["train"])},
    }


def lost_to_conversion(before: Parts, after: Parts, data: DictConfig) -> dict[str, int]:
    """How many entities the hub's conversion has left out, by part: of all that was rebuilt by its
    rule, or of the training part. Empty of the hub's own documents, of which it is not known.

    Args:
        before, after: as of :func:`describe_training`.
    """
    if data.name == REBUILT and not data.rebuild_from:
        return {}
    original = (
        open_annotations(data)[0] if data.rebuild_from else chain.from_iterable(before.values())
    )
    full = {document.id: document for document in original}
    # a document that is in error only in what was left out (on_error=skip) is not in full
    return {
        part: _entities(full.get(_source(document.id), document) for document in documents)
        - _entities(documents)
        for part, documents in after.items()
    }


def training_lines(described: Mapping[str, Any]) -> list[str]:
    """What one should know of a training part that is not as it was split, for the log."""
    if (described["copies"], described["annotation"]) == ("none", "full"):
        return []
    documents, entities = described["documents"], described["entities"]
    return [
        f"training part: {documents['trained']} documents (data.training.copies="
        f"{described['copies']}), {entities['trained']} entities (data.training.annotation="
        f"{described['annotation']}); as split {documents['as_split']} and {entities['as_split']}"
    ]


def _entities(documents: Iterable[Document]) -> int:
    return sum(len(document.entities) for document in documents)
