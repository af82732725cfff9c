"""Tagged tokens as a text with entities.

BIO (IOB2), IOB1, BIOES and BILOU are read by one rule, that of conlleval (Tjong Kim Sang and
Buchholz, CoNLL-2000): a chunk goes on from B or I to an I, E or L of the same type; whatever else
is not O starts one. So an I after O, or after another type, starts an entity.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medner.documents import Entity

_TAG = re.compile(r"([BIESLU])-(.+)", re.DOTALL)


def parse_tag(tag: str) -> tuple[str, str]:
    """Prefix and type: ``B-Age`` is B, Age; ``O`` has no type. Raises ValueError."""
    if tag == "O":
        return "O", ""
    match = _TAG.fullmatch(tag)
    if match is None:
        raise ValueError(
            f"tag {tag!r} is unknown; write O, or a type after B-, I-, E-, S- (or L-, U-)"
        )
    return match[1], match[2]


def chunks(tags: Sequence[tuple[str, str]]) -> list[tuple[int, int, str]]:
    """First token, token after the last, and type of each chunk, of parsed tags."""
    found: list[tuple[int, int, str]] = []
    previous = "O", ""
    for at, (prefix, type_) in enumerate(tags):
        if prefix in "IEL" and previous[0] in "BI" and previous[1] == type_:
            found[-1] = found[-1][0], at + 1, type_
        elif prefix != "O":
            found.append((at, at + 1, type_))
        previous = prefix, type_
    return found


@dataclass(frozen=True, slots=True)
class TaggedText:
    text: str
    entities: tuple[Entity, ...]
    passed_over: Counter[str]


def assemble(tokens: Sequence[str], tags: Sequence[tuple[str, str]]) -> TaggedText:
    """The tokens joined by a space, and the chunks as entities.

    A token that is a line break stands without spaces round it. An empty token outside all
    entities is passed over; in one it is a ValueError.
    """
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    empty: Counter[str] = Counter()
    length, glue = 0, ""
    for number, (token, (prefix, _)) in enumerate(zip(tokens, tags, strict=True), start=1):
        if not token:
            if prefix != "O":
                raise ValueError(f"token {number} is empty, but tagged as an entity")
            empty["empty tokens"] += 1
            spans.append((length, length))
            continue
        is_break = not token.strip("\r\n")
        lead = "" if is_break else glue
        parts += [lead, token]
        spans.append((length + len(lead), length + len(lead) + len(token)))
        length = spans[-1][1]
        glue = "" if is_break else " "
    entities = tuple(
        Entity(((spans[first][0], spans[after - 1][1]),), type_)
        for first, after, type_ in chunks(tags)
    )
    return TaggedText("".join(parts), entities, empty)
