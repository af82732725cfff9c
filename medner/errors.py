"""Errors that the user can mend: the entry points print them as one line, without a traceback."""

from pathlib import Path


class UserError(Exception):
    """Something the user gave is wrong; the message says what, and what to do."""


class ConfigError(UserError):
    """An option is misspelt, has a wrong value, or contradicts another."""


class IncompleteError(UserError):
    """It is done, but for documents that could not be read or predicted."""


class OutOfMemoryError(UserError):
    """A device does not hold what it is to compute with, whatever the document."""


class DataError(UserError):
    """A file does not hold what it should; the message is one line, whatever the file holds."""

    def __init__(self, path: str | Path, line: int | None, problem: str, remedy: str = "") -> None:
        place = f"{path}:{line}" if line else str(path)
        message = f"{place}: {problem}" + (f"; {remedy}" if remedy else "")
        # names may hold newlines, and half of a surrogate pair, which no file takes
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))
