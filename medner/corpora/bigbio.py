"""BigBIO's schema for knowledge bases, ``bigbio_kb``, a document a row.

Source: Fries and others (2022), BigBIO; offsets count characters of the whole document.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from medner.corpora.files import SourceFile
from medner.corpora.raw import Annotation, Problems, RawDocument
from medner.corpora.rows import Row, get, read_rows, row_id, spans, typed
from medner.documents import Entity

_PASSED_OVER = ("events", "coreferences", "relations")
_WIDEST_GAP = 1_000_000  # characters; wider, an offset is wrong


def read_bigbio(files: Sequence[SourceFile], problems: Problems) -> list[RawDocument]:
    """The documents, in order of files and rows; events, coreferences and relations are passed
    over.

    The text is its passages, each at its offsets, with spaces between them. Raises DataError for
    passages that overlap or are not as long as their offsets say.
    """
    return read_rows(files, problems, _document)


def _document(row: Row) -> RawDocument:
    name = row_id(row.values, "document_id", "id")
    if name is None:
        raise ValueError("there is neither document_id nor id; give each document an id of its own")
    annotations = []
    for number, entity in enumerate(get(row.values, "entities", list), start=1):
        try:
            annotations.append(_annotation(row, entity))
        except ValueError as error:
            raise ValueError(f"entity {number}: {error}; correct the entity") from None
    counts = {kind: len(get(row.values, kind, list, optional=True) or ()) for kind in _PASSED_OVER}
    return RawDocument(
        id=name,
        names=(row.file.name,),
        place=row.place,
        line=row.line,
        texts=(_text(row.values),),
        annotations=tuple(annotations),
        passed_over=Counter(counts),
    )


def _text(values: dict[str, Any]) -> str:
    placed: list[tuple[int, int, str]] = []
    for number, passage in enumerate(get(values, "passages", list), start=1):
        texts = get(passage, "text", list)
        offsets = spans(get(passage, "offsets", list), "offsets")
        if len(texts) != len(offsets):
            raise ValueError(
                f"passage {number} has {len(texts)} texts, but {len(offsets)} offsets; "
                "give each text its [start, end]"
            )
        for text, (start, end) in zip(texts, offsets, strict=True):
            typed(text, str, "text")
            if start < 0 or end - start != len(text):
                raise ValueError(
                    f"passage {number} at {start}-{end} has a text of {len(text)} characters; "
                    "correct its offsets, which count characters of the document"
                )
            placed.append((start, end, text))
    text = ""
    for start, end, part in sorted(placed):
        if start < len(text):
            raise ValueError(
                f"the passage at {start}-{end} overlaps the one before, which ends at {len(text)}; "
                "correct their offsets, which count characters of the document"
            )
        if start - len(text) > _WIDEST_GAP:
            raise ValueError(
                f"the passage at {start}-{end} is {start - len(text):,} characters after the one "
                "before; correct their offsets, which count characters of the document"
            )
        text += " " * (start - len(text)) + part
    return text


def _annotation(row: Row, entity: Any) -> Annotation:
    texts = [typed(text, str, "text") for text in get(entity, "text", list)]
    fragments = spans(get(entity, "offsets", list), "offsets")
    return Annotation(row.line, Entity(fragments, get(entity, "type", str)), " ".join(texts))
