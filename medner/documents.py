"""Documents and entities: what every corpus is read into and every score is computed on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A typed mention.

    ``fragments`` are half-open character offsets ``(start, end)`` into the document's text, in
    order and disjoint: one for all but the discontinuous entities.
    """

    fragments: tuple[tuple[int, int], ...]
    type: str

    def __post_init__(self) -> None:
        if not self.type:
            raise ValueError("an entity needs a type")
        if not self.fragments:
            raise ValueError("an entity needs at least one fragment")
        previous_end = 0
        for start, end in self.fragments:
            if start < previous_end:
                raise ValueError(
                    f"fragments {self.fragments} overlap, are out of order or negative"
                )
            if end <= start:
                raise ValueError(f"fragment ({start}, {end}) is empty")
            previous_end = end

    @property
    def start(self) -> int:
        return self.fragments[0][0]

    @property
    def end(self) -> int:
        return self.fragments[-1][1]

    @property
    def discontinuous(self) -> bool:
        return len(self.fragments) > 1


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its entities, in order of their fragments.

    ``group`` names what must stay on one side of a split (a patient, say); ``None`` leaves the
    document on its own.
    """

    id: str
    text: str
    entities: tuple[Entity, ...] = ()
    group: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "entities", tuple(sorted(self.entities)))
        for entity in self.entities:
            if entity.end > len(self.text):
                raise ValueError(
                    f"document {self.id}: {entity.type} at {entity.start}-{entity.end} "
                    f"ends outside the text of {len(self.text)} characters"
                )

    def mention(self, entity: Entity) -> str:
        """The entity's text, its fragments joined by a space."""
        return " ".join(self.text[start:end] for start, end in entity.fragments)


Parts = Mapping[str, Sequence[Document]]  # train, validation, test, as far as they are there


def entity_types(documents: Iterable[Document]) -> tuple[str, ...]:
    """The types that occur, sorted."""
    return tuple(sorted({entity.type for document in documents for entity in document.entities}))


def collapse_types(documents: Iterable[Document], types: Mapping[str, str]) -> list[Document]:
    """The documents with each entity's type replaced by ``types[type]``, others kept."""
    return [
        replace(
            document,
            entities=tuple(
                replace(entity, type=types.get(entity.type, entity.type))
                for entity in document.entities
            ),
        )
        for document in documents
    ]
