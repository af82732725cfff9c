"""Tokens of a corpus kept on disk: every run on it would find them again.

A file holds ids and offsets, and no text; but whoever has the tokenizer can turn ids into words, so
it is as private as the corpus. Windows are not kept: cutting them takes a thirtieth of the time.
"""

import hashlib
import json
import logging
import unicodedata
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medner.documents import Document
from medner.files import written_whole
from medner.windows import TokenizedDocument, tokenise

if TYPE_CHECKING:
    import pyarrow as pa
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

# Characters. Importing datasets takes as long as tokenising 800,000 of them (bench/scaling.py):
# .8 s of CPU time, of which a corpus of fewer would save nothing.
WORTH = 1_000_000
# to be raised with a change to what TokenizedDocument.of makes of a tokenizer's output
_VERSION = 1
_ARRAYS = {"ids": np.int32, "starts": np.int32, "ends": np.int32, "inside_word": np.bool_}
_ROWS = 10_000  # documents that are written at once


def tokenise_once(
    documents: Sequence[Document], tokenizer: "Tokenizer", folder: Path | None
) -> list[TokenizedDocument]:
    """As :func:`medner.windows.tokenise`, of which the result is kept in ``folder``, and taken from
    there the next time.

    The file's name is a digest of the texts, the tokenizer, and what else has a say, so one that
    fits is there or not. It takes that name when it is whole: processes that write it at once write
    the same. The order of the documents, and so their split, does not matter. Each row has a digest
    of its text and tokens; a file with a row that is not as its digest says is made anew.

    Args:
        folder: made if need be; None for neither reading nor writing. What cannot be written is
            said, and is no error.
    """
    if folder is None or sum(len(document.text) for document in documents) < WORTH:
        return tokenise(documents, tokenizer)
    digests = [_digest(document) for document in documents]
    unique = dict(sorted(zip(digests, documents, strict=True), key=lambda pair: pair[0]))
    path = folder / f"{_key(unique, tokenizer)}.arrow"
    kept = _read(path, unique) if path.exists() else None
    if kept is None:
        kept = dict(zip(unique, tokenise(list(unique.values()), tokenizer), strict=True))
        _write(path, kept)
    else:
        log.info("tokens: as kept in %s", path)
    return [kept[digest].of_document(doc) for digest, doc in zip(digests, documents, strict=True)]


def _digest(document: Document) -> bytes:
    return hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).digest()


def _key(texts: dict[bytes, Document], tokenizer: "Tokenizer") -> str:
    """Of everything that has a say in what the file holds."""
    settings = [_VERSION, version("tokenizers"), unicodedata.unidata_version, tokenizer.to_str()]
    whole = hashlib.sha256(json.dumps(settings).encode())
    whole.update(b"".join(texts))
    return whole.hexdigest()[:32]


def _row_digest(text: bytes, tokens: TokenizedDocument) -> bytes:
    row = hashlib.sha256(text)
    for name in _ARRAYS:
        row.update(getattr(tokens, name))
    return row.digest()


def _write(path: Path, kept: dict[bytes, TokenizedDocument]) -> None:
    from datasets.arrow_writer import ArrowWriter

    try:
        with written_whole(path, binary=True) as file:
            writer = ArrowWriter(stream=file, schema=_schema(), with_metadata=False)
            for rows in _pieces(list(kept.items())):
                writer.write_table(_table(rows))
            writer.finalize(close_stream=False)
    except OSError as error:
        log.warning("tokens cannot be kept in %s (%s)", path.parent, error.strerror or error)
    else:
        log.info("tokens: kept in %s, as private as the corpus", path)


def _schema() -> "pa.Schema":
    import pyarrow as pa

    kinds = {name: pa.int8() if kind is np.bool_ else pa.int32() for name, kind in _ARRAYS.items()}
    lists = {name: pa.list_(kind) for name, kind in kinds.items()}
    return pa.schema({"digest": pa.binary()} | lists)


def _pieces(rows: list[tuple[bytes, TokenizedDocument]]) -> Iterator[list]:
    for at in range(0, len(rows), _ROWS):
        yield rows[at : at + _ROWS]


def _table(rows: list[tuple[bytes, TokenizedDocument]]) -> "pa.Table":
    import pyarrow as pa

    lengths = [len(tokens) for _, tokens in rows]
    bounds = pa.array(np.cumsum([0, *lengths], dtype=np.int32))
    columns = {"digest": pa.array([_row_digest(*row) for row in rows], pa.binary())}
    for name, kind in _ARRAYS.items():
        values = np.concatenate([getattr(tokens, name) for _, tokens in rows])
        values = values.view(np.int8) if kind is np.bool_ else values
        columns[name] = pa.ListArray.from_arrays(bounds, pa.array(values))
    return pa.table(columns, schema=_schema())


def _read(path: Path, texts: dict[bytes, Document]) -> dict[bytes, TokenizedDocument] | None:
    """The tokens of each text, as arrays in the file; None if it is not what it should be."""
    from datasets import Dataset

    kept: dict[bytes, TokenizedDocument] = {}
    try:
        table = Dataset.from_file(str(path)).data.table
        if not table.schema.equals(_schema()) or table.num_rows != len(texts):
            raise ValueError("another table")
        table.validate()
        due = iter(texts.items())
        for batch in table.to_batches():
            digests = batch["digest"].to_pylist()
            for digest, arrays in zip(digests, _rows(batch), strict=True):
                text, document = next(due)
                kept[text] = TokenizedDocument(document, **arrays)
                if _row_digest(text, kept[text]) != digest:
                    raise ValueError("a row is not what was written")
    except Exception as error:  # of many kinds, by what is wrong with the bytes
        problem = str(error).partition("\n")[0]
        log.warning("%s is damaged or no file of tokens (%s): tokenised anew", path, problem)
        return None
    return kept


def _rows(batch: "pa.RecordBatch") -> Iterator[dict[str, np.ndarray]]:
    """Each row's arrays, which are not copied."""
    columns = {}
    for name, kind in _ARRAYS.items():
        values = batch[name].values.to_numpy(zero_copy_only=True)
        columns[name] = batch[name].offsets.to_numpy(), values.view(kind)
    for row in range(batch.num_rows):
        yield {
            name: values[bounds[row] : bounds[row + 1]]
            for name, (bounds, values) in columns.items()
        }
