"""Rows of ``tokens`` and ``tags``, as token classification data sets on the hub have them.

So ``ktgiahieu/maccrobat2018_2020``, whose line breaks are tokens. The text is rebuilt.
"""

from collections.abc import Sequence
from pathlib import PurePath

from medner.corpora.files import SourceFile
from medner.corpora.raw import Annotation, Problems, RawDocument
from medner.corpora.rows import Row, get, read_rows, row_id, typed
from medner.corpora.tags import assemble, parse_tag


def read_token_rows(files: Sequence[SourceFile], problems: Problems) -> list[RawDocument]:
    """The documents, in order of files and rows: ``tokens`` and ``tags``, lists of strings.

    The id is ``document_id`` or ``id``, else the file's name and the row's number. Raises DataError
    for tags that are numbers or unknown, and for other tags than tokens in number.
    """
    return read_rows(files, problems, _document)


def _document(row: Row) -> RawDocument:
    tokens, tags = (get(row.values, name, list) for name in ("tokens", "tags"))
    if len(tokens) != len(tags):
        raise ValueError(
            f"there are {len(tokens)} tokens, but {len(tags)} tags; give every token one tag"
        )
    if tags and {type(tag) for tag in tags} == {int}:
        raise ValueError(
            f"tags are numbers ({tags[0]}, ...); write their names, such as B-Age: a ClassLabel's "
            "features list them in order"
        )
    parsed = []
    for number, (token, tag) in enumerate(zip(tokens, tags, strict=True), start=1):
        typed(token, str, f"token {number}")
        try:
            parsed.append(parse_tag(typed(tag, str, "tag")))
        except ValueError as error:
            raise ValueError(f"token {number}: {error}") from None
    tagged = assemble(tokens, parsed)
    name = row_id(row.values, "document_id", "id")
    return RawDocument(
        id=name if name is not None else f"{PurePath(row.file.name).stem}-{row.number}",
        names=(row.file.name,),
        place=row.place,
        line=row.line,
        texts=(tagged.text,),
        annotations=tuple(
            Annotation(row.line, entity, tagged.text[entity.start : entity.end])
            for entity in tagged.entities
        ),
        passed_over=tagged.passed_over,
    )
