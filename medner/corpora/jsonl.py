"""MedNER's own format: a JSON object a line, as ``medner.corpora.writers`` writes it.

``{"id": "1", "text": "He has gout", "group": "patient 7", "entities": [{"type": "Disease",
"fragments": [[7, 11]], "text": "gout"}]}``; ``group`` may be left out. An entity's ``text`` is its
fragments joined by a space.
"""

from collections.abc import Sequence
from typing import Any

from medner.corpora.files import SourceFile
from medner.corpora.raw import Annotation, Problems, RawDocument
from medner.corpora.rows import Row, get, read_rows, row_id, spans
from medner.documents import Entity

PATTERNS = ("*.jsonl", "*.json")


def read_jsonl(files: Sequence[SourceFile], problems: Problems) -> list[RawDocument]:
    """The documents, in order of files and lines. Raises DataError for a field that is missing,
    unknown, or of another kind."""
    return read_rows(files, problems, _document)


def _document(row: Row) -> RawDocument:
    _check_names(row.values, ("id", "text", "group", "entities"))
    name = row_id(row.values, "id")
    if name is None:
        raise ValueError("there is no id; give each document one of its own")
    annotations = []
    for number, entity in enumerate(get(row.values, "entities", list), start=1):
        try:
            _check_names(entity, ("type", "fragments", "text"))
            fragments = spans(get(entity, "fragments", list), "fragments")
            made = Entity(fragments, get(entity, "type", str))
            annotations.append(Annotation(row.line, made, get(entity, "text", str)))
        except ValueError as error:
            raise ValueError(f"entity {number}: {error}; correct the entity") from None
    return RawDocument(
        id=name,
        names=(row.file.name,),
        place=row.place,
        line=row.line,
        texts=(get(row.values, "text", str),),
        annotations=tuple(annotations),
        group=row_id(row.values, "group"),
    )


def _check_names(values: Any, names: tuple[str, ...]) -> None:
    """A field that is misspelt is not to be passed over in silence."""
    if isinstance(values, dict) and (unknown := sorted(set(values) - set(names))):
        raise ValueError(f"field {unknown[0]!r} is unknown, there is {', '.join(names)}")
