"""What tokens, windows and flat tags lose: cases made by hand, and counts by other means."""

import json
import random
import re

import numpy as np
import pytest

from medner.decoding import reachable
from medner.documents import Document, Entity
from medner.encoding_report import describe_encoding, encoding_details, encoding_lines
from medner.labels import Labels
from medner.reach import BEYOND, DISCONTINUOUS, INSIDE_TOKEN, OVERLAPPING
from medner.windows import TokenizedDocument, Window, cut


def tokens_of(document: Document) -> TokenizedDocument:
    """A token a word."""
    offsets = [match.span() for match in re.finditer(r"\S+", document.text)]
    shape = np.array(offsets, dtype=np.int32).reshape(-1, 2)
    return TokenizedDocument.of(document, np.zeros(len(offsets), dtype=np.int32), shape)


def described(
    parts: dict[str, list[Document]], length: int = 8, context: int = 2, first_only: bool = False
) -> dict:
    tokenised = {part: [tokens_of(d) for d in documents] for part, documents in parts.items()}
    windows = {
        part: [
            window
            for tokens in of_part
            for window in cut(tokens, length, context)[: 1 if first_only else None]
        ]
        for part, of_part in tokenised.items()
    }
    labels = Labels.of(d for documents in parts.values() for d in documents)
    found = [
        reachable(tokens, labels, "longest_first")
        for of_part in tokenised.values()
        for tokens in (map(_cut_off, of_part) if first_only else of_part)
    ]
    whole = {part: sum(map(len, of_part)) for part, of_part in tokenised.items()}
    described = describe_encoding("longest_first", parts, windows, whole, found)
    return json.loads(json.dumps(described))


def _cut_off(tokens: TokenizedDocument) -> TokenizedDocument:
    """What is left of a document if only its first window is read."""
    first: Window = cut(tokens, 8, 2)[0]
    return TokenizedDocument(
        tokens.document, *(of[: first.own_end] for of in (
            tokens.ids, tokens.starts, tokens.ends, tokens.inside_word
        ))
    )  # fmt: skip


def report_of(encoding: dict, **given: object) -> dict:
    read = {"skipped": [], "training_part": trained()}
    read["lost_to_conversion"] = dict.fromkeys(encoding["entities"], 0)
    return read | {"encoding": encoding} | given


def trained(copies: int = 0) -> dict:
    return {"documents": {"as_split": 1, "trained": 1 + copies}}


#             0         1         2         3
#             0123456789012345678901234567890123456789
SENTENCE = "left and right lung cancer, stage IV now"
LOSING = Document(
    "d",
    SENTENCE,
    (
        Entity(((0, 4), (15, 19)), "Site"),  # left ... lung
        Entity(((9, 26),), "Disease"),  # right lung cancer
        Entity(((15, 19),), "Site"),  # lung
        Entity(((28, 31),), "Stage"),  # sta|ge: inside a token
        Entity(((34, 36),), "Stage"),  # IV
    ),
)
FINE = Document("e", "no lung cancer at all.", (Entity(((3, 14),), "Disease"),))


def test_each_loss_has_its_cause_and_part() -> None:
    encoding = described({"train": [LOSING], "validation": [FINE]})
    lost = {tuple(map(tuple, loss["fragments"])): loss for loss in encoding["lost_entities"]}
    assert {fragments: loss["why"] for fragments, loss in lost.items()} == {
        ((0, 4), (15, 19)): DISCONTINUOUS,
        ((9, 26),): INSIDE_TOKEN,  # "cancer," is one token here
        ((15, 19),): OVERLAPPING,
        ((28, 31),): INSIDE_TOKEN,
    }
    assert {loss["part"] for loss in lost.values()} == {"train"}
    assert encoding["lost"] == 4 and encoding["entities"] == {"train": 5, "validation": 1}
    assert encoding["tokens"] == {"train": 8, "validation": 5}
    assert encoding["windows"] == {"train": 1, "validation": 1}
    report = report_of(encoding)
    assert encoding_lines(report) == [
        "tokens: 13 in 2 windows; with flat tags they reach 0.333 of the gold"
    ]
    assert (
        encoding_details(report, [LOSING, FINE])
        == """\
            tokens  windows
train            8        1
validation       5        1
2 of 2 documents are read to the end

entities                             all   train  validation
in the files                           6       5           1
lost to the conversion                 0       0           0
read                                   6       5           1
lost to the window                     0       0           0
lost to the tokenizer                  2       2           0
lost to flat tags: overlapping         1       1           0
lost to flat tags: discontinuous       1       1           0
within reach                           2       1           1
best recall                       0.3333  0.2000      1.0000
(data.flatten=longest_first; a run lists what is lost in its data_report.json)
  2 begins or ends inside a token, such as
    d 9-26 Disease: right lung cancer
    d 28-31 Stage: sta
  1 discontinuous, such as
    d 0-4;15-19 Site: left ... lung
  1 overlaps another, such as
    d 15-19 Site: lung"""
    )


@pytest.mark.parametrize(
    ("given", "files", "conversion"),
    [
        ({"lost_to_conversion": {"train": 4, "test": 3}}, "in the files +9 +5 +4",
         "lost to the conversion +7 +4 +3"),
        ({"lost_to_conversion": {"train": 3, "test": 0}}, "in the files +5 +4 +1",
         "lost to the conversion +3 +3 +0"),
        ({"training_part": trained(copies=1)}, "in the files, copies counted +2 +1 +1",
         "lost to the conversion +0 +0 +0"),
        ({"skipped": ["one", "two"]}, "in the files, 2 documents aside +2 +1 +1",
         "lost to the conversion +0 +0 +0"),
        ({"lost_to_conversion": {}}, "in the files +2 +1 +1",
         "lost to the conversion: not known"),
    ],
)  # fmt: skip
def test_what_was_lost_before_is_in_the_table(
    given: dict[str, object], files: str, conversion: str
) -> None:
    """Of the whole corpus, where it was rebuilt, or of the training part."""
    other = Document("f", FINE.text, FINE.entities)
    encoding = described({"train": [FINE], "test": [other]})
    said = encoding_details(report_of(encoding, **given), [FINE, other])
    for row in (files, conversion, "read +2 +1 +1"):
        assert re.search(rf"^{row}$", said, re.M), said


def long_documents() -> list[Document]:
    draw = random.Random(0)
    documents = []
    for number in range(30):
        text = " ".join(draw.choices(["lung", "cancer", "of", "the"], k=draw.randint(1, 60)))
        ends = [match.end() for match in re.finditer(r"\S+", text)]
        starts = [match.start() for match in re.finditer(r"\S+", text)]
        entities, at = [], 0
        while at < len(starts):
            last = min(at + draw.randint(0, 4), len(starts) - 1)
            if draw.random() < 0.6:
                entities.append(Entity(((starts[at], ends[last]),), draw.choice("AB")))
            at = last + 1
        documents.append(Document(f"{number:02}", f"{text} ...", tuple(entities)))
    return documents


def test_windows_lose_nothing_though_entities_lie_across_them() -> None:
    documents = long_documents()
    encoding = described({"train": documents[:20], "test": documents[20:]})
    assert encoding["lost"] == 0 and encoding["lost_entities"] == []
    assert encoding["read_to_the_end"] == encoding["documents"] == 30
    across = 0
    for document in documents:
        tokens = tokens_of(document)
        owner = {t: w for w in cut(tokens, 8, 2) for t in range(w.own_start, w.own_end)}
        for entity in document.entities:
            inside = (tokens.starts < entity.end) & (tokens.ends > entity.start)
            owners = {owner[t] for t in np.flatnonzero(inside).tolist()}
            across += len(owners) - 1
    assert encoding["across_windows"] == across > 10


def test_what_windows_leave_out_is_counted_as_theirs() -> None:
    """As if the first window alone were read."""
    documents = long_documents()
    encoding = described({"train": documents}, first_only=True)
    behind = whole = 0
    for document in documents:
        tokens = tokens_of(document)
        seen = cut(tokens, 8, 2)[0].own_end
        whole += len(tokens) - (document.text.endswith(" ...")) <= seen
        behind += sum(entity.end > tokens.ends[seen - 1] for entity in document.entities)
    assert behind > 50 and 0 < whole < 30
    assert encoding["read_to_the_end"] == whole
    causes = [loss["why"] for loss in encoding["lost_entities"]]
    assert causes == [BEYOND] * behind and encoding["lost"] == behind
    said = encoding_details(report_of(encoding), documents)
    assert re.search(rf"^lost to the window  +{behind}  +{behind}$", said, re.M)
    entities = sum(len(document.entities) for document in documents)
    tokens = sum(len(tokens_of(document)) for document in documents)
    (cut_off,) = encoding["tokens_cut"].values()
    assert cut_off == tokens - encoding["tokens"]["train"] > 100
    assert encoding_lines(report_of(encoding))[1] in said.splitlines()
    assert encoding_lines(report_of(encoding))[1].endswith(
        f"{cut_off / tokens:.1%} of the tokens and {behind / entities:.1%} of the entities "
        f"({behind} of {entities}) are cut off, and nothing is found there"
    )
    assert f"\n{whole} of 30 documents are read to the end\n" in said
    assert re.search(rf"^  {behind} ends beyond what was read, such as$", said, re.M)


def test_a_text_without_letters_is_read_to_its_end() -> None:
    dashes = Document("-", " -- ")
    encoding = described({"train": [FINE, dashes]})
    assert encoding["read_to_the_end"] == 2
    assert encoding["reachable"]["recall"] == pytest.approx(1)
