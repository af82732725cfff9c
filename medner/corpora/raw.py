"""What a reader hands over, not checked yet, and where it puts a document that is in error."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from medner.documents import Entity
from medner.errors import DataError


@dataclass(frozen=True, slots=True)
class Annotation:
    """An entity, the mention its file prints beside the offsets (fragments joined by a space), and
    its line (from 1; None where the document's place says it all)."""

    line: int | None
    entity: Entity
    mention: str


@dataclass(frozen=True, slots=True)
class RawDocument:
    """What a reader found.

    ``names`` are the base names of its files; ``place`` and ``line`` say where its annotations
    start. ``texts`` are the readings that the offsets may count in: one, or two where the text's
    lines end in CRLF. ``passed_over`` counts what was not read, by kind. ``note`` is what the user
    should know of how it was read.
    """

    id: str
    names: tuple[str, ...]
    place: str
    line: int | None
    texts: tuple[str, ...]
    annotations: tuple[Annotation, ...]
    group: str | None = None
    passed_over: Counter[str] = field(default_factory=Counter)
    note: str | None = None

    @property
    def where(self) -> str:
        return f"{self.place}:{self.line}" if self.line else self.place


class Problems:
    """A document in error is raised or, with ``skip``, left out whole and its message kept."""

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        self.messages: list[str] = []

    @contextmanager
    def document(self) -> Iterator[None]:
        """Around all that is done for one document; what follows in the block is not reached."""
        try:
            yield
        except DataError as error:
            if not self.skip:
                raise
            self.messages.append(str(error))
