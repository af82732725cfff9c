"""Documents written in the formats that hold all of them: brat and MedNER's JSONL.

What is written reads back to the same documents; what a format cannot express is a UserError,
before anything is written.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from medner.documents import Document
from medner.errors import UserError
from medner.files import written_whole

_LONGEST_NAME = 255  # bytes, of a file's name


def write_jsonl(path: str | Path, documents: Iterable[Document]) -> None:
    """Write one JSON object a line (see ``medner.corpora.jsonl``); the file appears whole or not at
    all. Raises UserError for ids that are not unique, and for texts that no reader takes."""
    documents = list(documents)
    _check(path, documents)
    with written_whole(path) as file:
        for document in documents:
            entities = [
                {
                    "type": entity.type,
                    "fragments": entity.fragments,
                    "text": document.mention(entity),
                }
                for entity in document.entities
            ]
            group = {} if document.group is None else {"group": document.group}
            record = {"id": document.id, "text": document.text, **group, "entities": entities}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_brat(folder: str | Path, documents: Iterable[Document]) -> None:
    """Write ``ID.txt`` and ``ID.ann`` of each document; the folder appears whole or not at all.

    Raises UserError where the folder holds something, for ids that are no file names, types with
    white space, groups, which brat does not have, and what ``write_jsonl`` refuses.
    """
    folder, documents = Path(folder).absolute(), list(documents)
    _check(folder, documents)
    _check_brat(folder, documents)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder}: holds something already; give a folder that is new or empty")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir()
        for document in documents:
            # as bytes: offsets count the newlines as they are
            (temporary / f"{document.id}.txt").write_bytes(document.text.encode())
            (temporary / f"{document.id}.ann").write_bytes(_standoff(document).encode())
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _standoff(document: Document) -> str:
    lines = []
    for number, entity in enumerate(document.entities, start=1):
        offsets = ";".join(f"{start} {end}" for start, end in entity.fragments)
        mention = document.mention(entity).replace("\n", " ")
        lines.append(f"T{number}\t{entity.type} {offsets}\t{mention}\n")
    return "".join(lines)


def _check(path: str | Path, documents: Sequence[Document]) -> None:
    """What no reader takes."""
    ids: set[str] = set()
    for document in documents:
        if document.id in ids:
            raise UserError(f"{path}: document id {document.id} occurs twice; ids are to be unique")
        ids.add(document.id)
        if not document.id.strip():
            raise UserError(f"{path}: document id {document.id!r} is blank; give it a name")
        if document.group is not None and not document.group.strip():
            raise UserError(f"{path}: the group of document {document.id!r} is blank")
        if not document.text.strip():
            raise UserError(f"{path}: document {document.id!r} has no text; leave it out")
        types = [entity.type for entity in document.entities]
        for value in (document.id, document.text, document.group or "", *types):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise UserError(
                    f"{path}: document {document.id!r} has half of a surrogate pair, which UTF-8 "
                    "cannot hold"
                ) from None


def _check_brat(folder: Path, documents: Sequence[Document]) -> None:
    """What brat cannot express."""
    names: dict[str, str] = {}
    for document in documents:
        name = document.id
        # files whose names start with a dot are hidden, and not read
        if re.search(r"[/\\\0]", name) or name.startswith("."):
            raise UserError(f"{folder}: document id {name!r} is no file name; write JSONL instead")
        if len(f"{name}.ann".encode()) > _LONGEST_NAME:
            raise UserError(f"{folder}: document id {name!r} is too long for a file name")
        other = names.setdefault(name.casefold(), name)
        if other != name:
            raise UserError(
                f"{folder}: document ids {other!r} and {name!r} are the same file to some systems; "
                "write JSONL instead"
            )
        if document.group is not None:
            raise UserError(
                f"{folder}: document {name!r} has a group, which brat does not have; write JSONL, "
                "or documents without groups"
            )
        for entity in document.entities:
            if re.search(r"\s", entity.type):
                raise UserError(
                    f"{folder}: type {entity.type!r} has white space, which ends a type in brat; "
                    "rename it, or write JSONL"
                )
