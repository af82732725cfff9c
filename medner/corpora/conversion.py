"""What the hub's conversion, ``ktgiahieu/maccrobat2018_2020``, leaves of MACCROBAT's brat files.

It keeps a text-bound line only if it starts at or after the end of the last one that it kept, *in
the order of the file*. Lines of an ``.ann`` are in the order in which annotators worked, not in
that of the text: a line from far down, met early, costs all that stands before it. Of 25,189
entities of MACCROBAT2020, 13,414 are left. Discontinuous ones are left out here, so that what is
kept is a part of what there was. Counts cannot tell whether the conversion did so: of the 160
reports at hand as many entities remain if those are taken whole, from first character to last.

The texts stay as they are. The hub's are tokens, joined by a space here: on those, predictions
could not be scored on the original gold.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from medner.corpora.raw import Annotation, RawDocument
from medner.documents import Document

REBUILT = "maccrobat_2018_2020"  # the corpus that the conversion made
MACCROBAT = "maccrobat"  # of this one, for one
YEARS = ("2018", "2020")


def kept(annotations: Sequence[Annotation]) -> tuple[Annotation, ...]:
    """Those that the conversion keeps, of a file's annotations in its order."""
    found: list[Annotation] = []
    for annotation in annotations:
        entity = annotation.entity
        if not entity.discontinuous and (not found or entity.start >= found[-1].entity.end):
            found.append(annotation)
    return tuple(found)


def convert(raw: RawDocument) -> RawDocument:
    """A document as its format's reader found it, with what the conversion keeps."""
    annotations = kept(raw.annotations)
    lost = Counter(entities=len(raw.annotations) - len(annotations))
    return replace(raw, annotations=annotations, passed_over=raw.passed_over + lost)


def twice(documents: Iterable[Document]) -> list[Document]:
    """Every document for both years, as ``ID.2018`` and ``ID.2020``.

    The true twins differ in their annotation, and a little in their texts; these are identical.
    """
    return [replace(each, id=f"{each.id}.{year}") for each in documents for year in YEARS]
