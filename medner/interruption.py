"""SIGTERM and SIGINT end a command; training first finishes its batch and saves."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_deferring = False
_asked: int | None = None
_asked_at = 0.0
_TWICE = 1.0  # seconds in which a signal may come twice: to the process, and to its group


class Interrupted(BaseException):
    """No Exception: nobody should take it for a job that failed, and go on to the next."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.go_on = ""  # what to type to go on, if a verb knows


def listen() -> None:
    """Answer the two signals from now on, with :class:`Interrupted`; see ``deferred``."""
    for signum in _SIGNALS:
        signal.signal(signum, _answer)


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, a first signal is only noted, for ``asked`` to tell; a second one ends at once."""
    global _deferring, _asked
    _deferring, _asked = True, None
    try:
        yield
    finally:
        _deferring = False
    if _asked is not None:  # nobody was left to ask
        raise Interrupted(_asked)


def asked() -> int | None:
    """The signal that came, if one did."""
    return _asked


def _answer(signum: int, frame: FrameType | None) -> None:
    global _asked, _asked_at
    if signum == _asked and time.monotonic() - _asked_at < _TWICE:
        return
    if not _deferring or _asked is not None:
        raise Interrupted(signum)
    _asked, _asked_at = signum, time.monotonic()
    log.info("%s: finishing the batch, then saving", signal.Signals(signum).name)
