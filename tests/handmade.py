"""Corpora written by hand in every format, and the real ones, read once."""

import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

import pyarrow
import pyarrow.parquet
from real_data import CORPORA

from medner.corpora import Corpus, CorpusSource, read_corpus
from medner.documents import Document, Entity

DEMO = Path(__file__).resolve().parent.parent / "demo"
THREE_PARTS = {"train": "*train*", "validation": "*develop*", "test": "*test*"}
CDR_PARTS = {
    "train": "CDR_Training*PubTator*",
    "validation": "CDR_Develop*PubTator*",
    "test": "CDR_Test*PubTator*",
}
RELEASES = {
    "maccrobat": CorpusSource("maccrobat", "brat", "maccrobat2020", errata="maccrobat2020"),
    "ncbi": CorpusSource("ncbi", "pubtator", "ncbi_disease", THREE_PARTS, "ncbi_disease"),
    "bc5cdr": CorpusSource("bc5cdr", "pubtator", "bc5cdr", CDR_PARTS),
    "demo": CorpusSource("demo", "brat", str(DEMO / "case_reports")),
    "demo abstracts": CorpusSource("demo_abstracts", "pubtator", str(DEMO / "abstracts")),
}


def release(name: str) -> CorpusSource:
    source = RELEASES[name]
    return replace(source, path=str(Path(CORPORA or "") / source.path))


@cache
def real(name: str) -> Corpus:
    return read_corpus(release(name))


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def pack(source: Path, archive: Path, inside: str = "release") -> Path:
    """A zip of a folder, with what macOS adds; members are not in order."""
    files = sorted((file for file in source.rglob("*") if file.is_file()), reverse=True)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.mkdir(inside)
        for file in files:
            name = PurePosixPath(inside, file.relative_to(source))
            packed.writestr(str(name), file.read_bytes())
            packed.writestr(f"__MACOSX/{name.parent}/._{name.name}", b"\x00\x05\x16\x07")
        packed.writestr(f"{inside}/.DS_Store", b"\x00")
    return archive


def read(format: str, path: Path, **options) -> Corpus:
    return read_corpus(CorpusSource("hand", format, str(path), **options))


def entities(corpus: Corpus) -> list[tuple]:
    """(document id, type, fragments, mention on one line) of every entity."""
    return [
        (document.id, entity.type, entity.fragments, document.mention(entity).replace("\n", " "))
        for document in corpus.documents
        for entity in document.entities
    ]


# Files of rows


def jsonl(rows: Iterable[object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def json_array(rows: Iterable[object]) -> bytes:
    return json.dumps(list(rows), indent=1).encode()


def parquet(rows: Sequence[dict]) -> bytes:
    data = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), data)
    return data.getvalue()


ROW_FILES = {"jsonl": jsonl, "json": json_array, "parquet": parquet}


# Documents as each format has them


def as_brat(documents: Iterable[Document], line_end: str = "\n") -> dict[str, str]:
    files = {}
    for document in documents:
        lines = [
            f"T{number}\t{entity.type} "
            + ";".join(f"{start} {end}" for start, end in entity.fragments)
            + "\t"
            + document.mention(entity).replace("\n", " ")
            for number, entity in enumerate(document.entities, start=1)
        ]
        files[f"{document.id}.txt"] = document.text
        files[f"{document.id}.ann"] = line_end.join([*lines, ""])
    return files


def as_pubtator(documents: Iterable[Document]) -> str:
    """Titles end at the first space."""
    blocks = []
    for document in documents:
        title, abstract = document.text.split(" ", 1)
        lines = [f"{document.id}|t|{title}", f"{document.id}|a|{abstract}"]
        for entity in document.entities:
            columns = (entity.start, entity.end, document.mention(entity), entity.type, "D1")
            lines.append("\t".join(map(str, (document.id, *columns))))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def as_bigbio(documents: Iterable[Document]) -> list[dict]:
    """Each text in two passages, of which the second comes first; a space between them is left
    out, as between title and abstract."""
    rows = []
    for number, document in enumerate(documents):
        end = document.text.find(" ", 1)
        bounds = [(end + 1, len(document.text)), (0, end)] if end > 0 else [(0, len(document.text))]
        rows.append(
            {
                "id": str(number),
                "document_id": document.id,
                "passages": [
                    {
                        "id": f"{number}-{start}",
                        "type": "part",
                        "text": [document.text[start:end]],
                        "offsets": [[start, end]],
                    }
                    for start, end in bounds
                ],
                "entities": [
                    {
                        "id": f"{number}-T{at}",
                        "type": entity.type,
                        "text": [document.text[start:end] for start, end in entity.fragments],
                        "offsets": [list(fragment) for fragment in entity.fragments],
                        "normalized": [{"db_name": "MESH", "db_id": "D1"}],
                    }
                    for at, entity in enumerate(document.entities)
                ],
                "events": [],
                "coreferences": [],
                "relations": [
                    {"id": "r", "type": "CID", "arg1_id": "a", "arg2_id": "b", "normalized": []}
                ],
            }
        )
    return rows


def as_jsonl(documents: Iterable[Document]) -> list[dict]:
    return [
        {
            "id": document.id,
            "text": document.text,
            **({"group": document.group} if document.group else {}),
            "entities": [
                {
                    "type": entity.type,
                    "fragments": entity.fragments,
                    "text": document.mention(entity),
                }
                for entity in document.entities
            ],
        }
        for document in documents
    ]


def tagged(document: Document) -> list[tuple[str, str]]:
    """(token, BIO tag), of a text whose tokens stand a space apart and newlines are tokens."""
    found, at = [], 0
    for line_number, line in enumerate(document.text.split("\n")):
        if line_number:
            found.append(("\n", "O"))
        for token in line.split(" "):
            tag = "O"
            for entity in document.entities:
                if entity.start <= at < entity.end:
                    tag = f"{'B' if entity.start == at else 'I'}-{entity.type}"
            found.append((token, tag))
            at += len(token) + 1
    return found


def as_token_rows(documents: Iterable[Document]) -> list[dict]:
    return [
        {
            "id": document.id,
            "tokens": [token for token, _ in tagged(document)],
            "tags": [tag for _, tag in tagged(document)],
        }
        for document in documents
    ]


def as_conll(documents: Iterable[Document], separator: str = "\t") -> str:
    lines = []
    for document in documents:
        lines += [separator.join(("-DOCSTART-", "-X-", "O")), ""]
        for token, tag in tagged(document):
            lines.append("" if token == "\n" else separator.join((token, "NN", tag)))
        lines.append("")
    return "\n".join(lines)


FLAT = [
    Document(
        "small-1",
        "Gout and high fever since Monday .",
        (Entity(((0, 4),), "Disease"), Entity(((9, 19),), "Sign"), Entity(((20, 32),), "Date")),
    ),
    Document("small-2", "No mention 😀 here ."),
    Document("small-3", "Aspirin aspirin \u2005 daily", (
        Entity(((0, 7),), "Drug"), Entity(((8, 15),), "Drug"), Entity(((18, 23),), "Frequency"),
    )),
]  # fmt: skip
LINES = Document(
    "small-4",
    "He took\naspirin and ibuprofen .",
    (Entity(((3, 7),), "Act"), Entity(((8, 15),), "Drug"), Entity(((20, 29),), "Drug")),
)
NESTED = Document(
    "small-5",
    "pain and stiffness\nin the knee",
    (
        Entity(((0, 4), (19, 30)), "Sign"),
        Entity(((9, 30),), "Sign"),
        Entity(((26, 30),), "Structure"),
        Entity(((18, 21),), "Odd"),
    ),
)

# format -> (file names and contents, the documents they hold)
SMALL = {
    "brat": (as_brat([*FLAT, LINES, NESTED]), [*FLAT, LINES, NESTED]),
    "pubtator": ({"small.txt": as_pubtator(FLAT)}, FLAT),
    "conll": ({"small.conll": as_conll([*FLAT, LINES])}, [*FLAT, LINES]),
    "conll with spaces": ({"small.txt": as_conll([*FLAT, LINES], " ")}, [*FLAT, LINES]),
    **{
        f"{format} as {form}": ({f"small.{form}": pack_rows(as_rows(documents))}, documents)
        for format, as_rows, documents in (
            ("bigbio", as_bigbio, [*FLAT, LINES, NESTED]),
            ("tokens", as_token_rows, [*FLAT, LINES]),
            (
                "jsonl",
                as_jsonl,
                [*FLAT, replace(LINES, group="a"), replace(NESTED, group="a")],
            ),
        )
        for form, pack_rows in ROW_FILES.items()
        if (format, form) != ("jsonl", "parquet")
    },
}
