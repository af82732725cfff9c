"""Hostile documents for the fuzzing: what readers and tokenizers may trip over, small and large."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import strategies as st

from medner.documents import Document, Entity

PIECES = (
    *("a", "B", "mg", "word", "x-ray", "12", "½", "ﬁ", "ß", "İ", "é", "각", "क्षि", "ཀྵ", "漢字"),
    *("\u0301", "e\u0301", "\u0315\u0300", "\u0344", "\u1100\u1161"),  # combining
    *("שלום", "مِرحبا", "\u202e", "\u2066", "\u200f"),  # right to left
    *("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\ufe0f"),  # without width
    *("😀", "👩‍👩‍👧", "🇩🇪", "\U0010ffff", "\U000e0001", "𝔸"),  # four bytes
    *("\0", "\x01", "\x7f", "\ufffd", "\uffff"),
    *(" ", " ", "  ", "\n", "\r", "\r\n", "\n\n", "\t", "\x0b", "\x0c", "\x1c", "\x85", "\xa0"),
    *("\u2005", "\u2028", "\u2029", "\u3000"),
    *("|", ";", "#", "*", '"', "\\", "\\n", "\\ud800", "[", "{", "</s>", "[CLS]", "[MASK]", "O"),
)
TYPES = (
    *("A", "A", "B", "Lab_value", "a b", "é\u0301", "😀", "\u200b", "\u202eA", "B-A", "O", "0 1"),
    *("A\rB", "A\tB", "A\nB", "\x85", "\0"),
)
ID_ENDS = (
    "",
    "",
    "é",
    "e\u0301",
    "😀",
    "א",
    "\u200b",
    "\x85",
    ".",
    " ",
    "a b",
    "#2",
    "|",
    "\t",
    "'",
)
HALVES = ("\ud800", "\udbff", "\udc00", "\udfff")  # lone surrogates

# every read corpus begins with it, so that there always is a good document, and an entity
ANCHOR = Document("-", "gout .", (Entity(((0, 4),), "A"),))

_pieces = st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"])
texts = st.lists(_pieces, min_size=1, max_size=12).map("".join)


@st.composite
def entities(draw: st.DrawFn, length: int) -> list[Entity]:
    """Anywhere in a text of ``length``: at its ends, nested, crossing, twice, in fragments."""
    found = []
    for _ in range(draw(st.integers(0, 5))):
        bounds = sorted(draw(st.lists(st.integers(0, length), min_size=2, max_size=6)))
        fragments = [pair for pair in pairwise(bounds) if pair[0] < pair[1]]
        if draw(st.booleans()):
            fragments = [(bounds[0], bounds[-1])] if fragments else []
        if fragments := fragments[:: draw(st.integers(1, 2))]:
            found.append(Entity(tuple(fragments), draw(st.sampled_from(TYPES))))
            found += found[-1:] * draw(st.sampled_from((0, 0, 0, 1)))
    return found


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    """One to three; one in about six has half of a surrogate pair somewhere."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(texts)
        name = f"{number}{draw(st.sampled_from(ID_ENDS))}"
        group = draw(st.sampled_from((None, None, "g\u0301 1")))
        document = Document(name, text, tuple(draw(entities(len(text)))), group)
        if draw(st.integers(0, 5)) == 5:
            document = _with_half(draw, document)
        made.append(document)
    return made


def _with_half(draw: st.DrawFn, document: Document) -> Document:
    half = draw(st.sampled_from(HALVES))
    where = draw(st.sampled_from(("text", "text", "id", "group", "type")))
    if where == "text":
        at = draw(st.integers(0, len(document.text) - 1))
        return replace(document, text=document.text[:at] + half + document.text[at + 1 :])
    if where == "type":
        return replace(document, entities=tuple(replace(e, type=half) for e in document.entities))
    return replace(document, **{where: f"{document.id}{half}"})


def without_halves(document: Document) -> Document:
    def whole(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    return Document(
        whole(document.id),
        whole(document.text),
        tuple(replace(entity, type=whole(entity.type)) for entity in document.entities),
        document.group and whole(document.group),
    )


# Tagged tokens, as (token, BIO tag)

Tagged = Sequence[tuple[str, str]]

_tokens = st.sampled_from(("\n", "\n", "\r\n", "", *PIECES, *HALVES[:1])) | st.lists(
    _pieces, min_size=1, max_size=4
).map("".join)


@st.composite
def tagged(draw: st.DrawFn) -> list[list[tuple[str, str]]]:
    """One to three documents; a token is a line break, empty or half a surrogate pair at times."""
    return [
        well_formed([(draw(_tokens), draw(_tags)) for _ in range(draw(st.integers(1, 10)))])
        for _ in range(draw(st.integers(1, 3)))
    ]


_tags = st.sampled_from(("O", "O", "O", "B", "I", "I")).flatmap(
    lambda prefix: (
        st.just("O") if prefix == "O" else st.sampled_from(TYPES).map(f"{prefix}-".__add__)
    )
)


def well_formed(tokens: Tagged) -> list[tuple[str, str]]:
    """BIO: an I after O starts an entity, after another type goes on with that."""
    made: list[tuple[str, str]] = []
    for token, tag in tokens:
        before = made[-1][1] if made else "O"
        if tag[0] == "I":
            tag = f"B{tag[1:]}" if before == "O" else f"I{before[1:]}"
        made.append((token, tag))
    return made


def document_of(name: str, tokens: Tagged) -> Document:
    """What the tokens say: a space between tokens, none beside a line break, nothing for an empty
    token."""
    text, spans, found = "", [], []
    for token, tag in tokens:
        if not token:
            continue
        if text and set(token) - set("\r\n") and not spans[-1][2]:
            text += " "
        spans.append((len(text), len(text) + len(token), not set(token) - set("\r\n")))
        text += token
        if tag[0] == "B":
            found.append([spans[-1][0], spans[-1][1], tag[2:]])
        elif tag[0] == "I" and found:
            found[-1][1] = spans[-1][1]
    return Document(name, text, tuple(Entity(((a, b),), type_) for a, b, type_ in found))


# Large ones

LENGTH = 1_000_000


def million(name: str = "million", skip: str = "") -> Document:
    """A text of a million characters without those in ``skip``; entities at its ends, over all of
    it, and one in every thousand characters."""
    pieces = "".join(piece for piece in PIECES if not set(piece) & set(skip))
    text = f"a {pieces}" * (LENGTH // len(pieces) + 1)
    text = f"{text[: LENGTH - 2]} ."
    spans = [(0, 1), (LENGTH - 1, LENGTH), (0, LENGTH)]
    spans += [(at, at + 7) for at in range(0, LENGTH - 7, 1000)]
    return Document(name, text, tuple(Entity((span,), "A") for span in spans))


def crowded(name: str = "crowded", skip: str = "") -> Document:
    """4,000 entities over one another, every one of them over the middle of 2,100 characters."""
    text = million(skip=skip).text[:2098] + " ."
    spans = [(at % 1000, 1100 + at // 4) for at in range(4000)]
    return Document(name, text, tuple(Entity((span,), "AB"[span[1] % 2]) for span in spans))
