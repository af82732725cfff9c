"""Tables for the terminal."""

import re
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as text: the first column to the left, numbers to the right.

    A column is one of numbers if all its cells under the heading are numbers or empty.
    """
    columns = []
    for column in zip(*rows, strict=True):
        width = max(map(len, column))
        right = all(re.fullmatch(r"[\d.]*", cell) for cell in column[1:])
        columns.append([cell.rjust(width) if right else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
