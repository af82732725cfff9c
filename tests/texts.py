"""Texts with all that makes offsets go wrong, and entities anywhere in them."""

from itertools import count

from hypothesis import strategies as st

from medner.documents import Document, Entity

PIECES = [
    "a", "B", " ", "  ", "\t", "\n", "\r\n", "\r", "é", "e\u0301", "\u2005", "\u2028", "\x85",
    "\x1c", "\ufeff", "😀", "\\n", '"', "\x00",
]  # fmt: skip
TYPES = ["Age", "Lab_value", "X-1", "É\x7f"]
_numbers = count()


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A text that is not blank, with one or more entities of one to three fragments."""
    pieces = draw(st.lists(st.sampled_from(PIECES), max_size=30))
    pieces.insert(draw(st.integers(0, len(pieces))), "word")
    text = "".join(pieces)
    at = text.index("word")
    found = [Entity(((at, at + 4),), "Word")]
    for _ in range(draw(st.integers(0, 5))):
        bounds = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6)))
        fragments = tuple(
            (start, end)
            for start, end in zip(bounds[::2], bounds[1::2], strict=False)
            if start < end
        )
        if fragments:
            found.append(Entity(fragments, draw(st.sampled_from(TYPES))))
    return Document(f"{next(_numbers)}", text, tuple(found))
