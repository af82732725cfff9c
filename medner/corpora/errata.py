"""The releases' known errors, listed in the open."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WrongMention:
    """A mention that the release prints otherwise than its text; the offsets are kept."""

    document: str
    type: str
    fragments: tuple[tuple[int, int], ...]
    annotated: str
    text: str
    reason: str = field(compare=False)

    def __str__(self) -> str:
        return (
            f"{self.document}: {self.type} at {offsets(self.fragments)} is annotated as "
            f"{self.annotated!r}, the text has {self.text!r}: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class RepeatedDocument:
    """A document that the release holds twice; the second is kept under a new id, and both in one
    group, so that no split parts them."""

    document: str
    second_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.document}: the second becomes {self.second_id}: {self.reason}"


Erratum = WrongMention | RepeatedDocument

ERRATA: dict[str, tuple[Erratum, ...]] = {
    "maccrobat2020": (
        WrongMention(
            document="25661749",
            type="Dosage",
            fragments=((2837, 2841),),
            annotated="8\u2005mg\t\u2005",
            text="8\u2005mg",
            reason="the mention column goes on with a tab and a space that the offsets leave out",
        ),
    ),
    "ncbi_disease": (
        WrongMention(
            document="10923035",
            type="SpecificDisease",
            fragments=((711, 761),),
            annotated='generalized epilepsy and febrile seizures " plus "  ',
            text='generalized epilepsy and febrile seizures " plus "',
            reason="the mention column ends in stray spaces that the offsets leave out",
        ),
        WrongMention(  # the same mention, in copies of the release as it is served elsewhere
            document="10923035",
            type="SpecificDisease",
            fragments=((711, 761),),
            annotated="generalized epilepsy and febrile seizures   plus  ",
            text='generalized epilepsy and febrile seizures " plus "',
            reason="the mention column has blanks where the text has quotation marks",
        ),
        RepeatedDocument(
            document="8528200",
            second_id="8528200#2",
            reason="the training part holds the same abstract with the same mentions twice, and "
            "published counts (593 documents, 5,145 mentions) hold both",
        ),
    ),
}


def offsets(fragments: tuple[tuple[int, int], ...]) -> str:
    """As messages print them."""
    return ";".join(f"{start}-{end}" for start, end in fragments)
