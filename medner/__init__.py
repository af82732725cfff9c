"""MedNER: clinical named entity recognition whose scores can be trusted.

``medner.load`` gives a trained model, ready for texts: see :mod:`medner.tagger`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medner.tagger import Tagger, load

__all__ = ["Tagger", "load"]


def __getattr__(name: str) -> Any:
    """What is imported when it is asked for: the package by itself takes no time."""
    if name in __all__:
        from medner import tagger

        return getattr(tagger, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
