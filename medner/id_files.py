"""Files that name documents: ids for a part of a split, and groups that a split must not cut."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from medner.errors import DataError, UserError


def check_known(ids: Iterable[str], known: Collection[str], source: str | Path) -> None:
    """UserError, naming ``source`` (a file or an option), where ids are not among the known."""
    known = set(known)
    unknown = [id for id in dict.fromkeys(ids) if id not in known]
    if unknown:
        raise UserError(
            f"{source}: {count(len(unknown), 'id')} not among the {len(known)} documents: "
            f"{some(unknown)}; take them out, or check that this is the right corpus"
        )


def read_ids(path: str | Path) -> tuple[str, ...]:
    """Document ids, one a line; blank lines and what follows # are left out.

    DataError where an id is repeated, UserError where the file cannot be read or names none.
    """
    lines: dict[str, int] = {}
    for number, id in _lines(path):
        if id in lines:
            raise DataError(path, number, f"{id} is already on line {lines[id]}", "keep one")
        lines[id] = number
    return tuple(lines)


def read_groups(path: str | Path) -> list[tuple[str, ...]]:
    """Groups of ids from lines ``document, group``, separated by a tab or a comma.

    A first line ``document,group`` is a header; blank lines and what follows # are left out.
    DataError where a line has not two fields, or puts a document into a second group.
    """
    group_of: dict[str, str] = {}
    for place, (number, line) in enumerate(_lines(path)):
        fields = [field.strip() for field in line.split("\t" if "\t" in line else ",")]
        if place == 0 and [field.lower() for field in fields] == ["document", "group"]:
            continue
        if len(fields) != 2 or not all(fields):
            raise DataError(path, number, f"not a document and a group: {line}", "give both ids")
        document, group = fields
        if group_of.setdefault(document, group) != group:
            problem = f"{document} is already in group {group_of[document]}"
            raise DataError(path, number, problem, "a document has one group")
    groups = defaultdict(list)
    for document, group in group_of.items():
        groups[group].append(document)
    return [tuple(documents) for documents in groups.values()]


def _lines(path: str | Path) -> list[tuple[int, str]]:
    """Numbered lines without comments and blanks; UserError where there are none."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    numbered = enumerate(text.splitlines(), 1)
    lines = [(n, line) for n, raw in numbered if (line := re.sub(r"(^|\s)#.*", "", raw).strip())]
    if not lines:
        raise UserError(f"{path} has no ids")
    return lines


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
