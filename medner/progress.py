"""How far a stream has come, and how long it will take."""

import logging
import sys
import time

log = logging.getLogger(__name__)
_SECONDS = 60.0  # between two lines where nobody watches
_WATCHED = 0.5  # between two where somebody does


class Progress:
    """Says so on standard error: in a line that is written over on a terminal, else once a minute.

    Args:
        size: of all that is to be read, in bytes; None if it is not known.
    """

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._watched = sys.stderr.isatty()
        self._began: tuple[float, int, int] | None = None
        self._said = time.monotonic()

    def say(self, documents: int, position: int) -> None:
        """So many documents are done, and so many bytes are read.

        The rate is that since the first call, behind all that is done but once.
        """
        now = time.monotonic()
        self._began = self._began or (now, documents, position)
        if now - self._said < (_WATCHED if self._watched else _SECONDS):
            return
        self._said = now
        line = self._line(documents, position, now)
        if self._watched:
            print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)
        else:
            log.info("%s", line)

    def _line(self, documents: int, position: int, now: float) -> str:
        began, first_documents, first_position = self._began
        said = f"{documents:,} documents"
        if documents == first_documents or now == began:
            return said
        said += f", {(documents - first_documents) / (now - began):,.3g} a second"
        if not self._size or position == first_position:
            return said
        left = (now - began) * (self._size - position) / (position - first_position)
        return f"{said}, {100 * position / self._size:.0f} % read, about {duration(left)} left"

    def end(self) -> None:
        """Take the line away."""
        if self._watched:
            print(f"\r{'':<78}\r", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """In words, to about a tenth."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
