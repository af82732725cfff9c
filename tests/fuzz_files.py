"""Files for the fuzzing: hostile documents as each format has them, what a format cannot hold,
damage to files, and what a damaged file still says. Nothing here comes from the readers."""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet
from fuzz_documents import ANCHOR, Tagged, document_of, without_halves
from handmade import as_bigbio, as_brat, as_jsonl, as_pubtator, parquet

from medner.documents import Document

Files = dict[str, bytes]


@dataclass(frozen=True)
class Form:
    """How files are written; each format looks at what concerns it."""

    zipped: bool = False
    crlf: bool = False
    rows: str = "jsonl"  # or json, an array, or parquet
    escaped: bool = True  # JSON in ASCII, or its UTF-8 as it is
    separator: str = "\t"  # of columns
    marked: bool = True  # -DOCSTART- where a document starts
    scheme: str = "BIO"  # or BIOES, BILOU


@dataclass(frozen=True)
class Written:
    """``good`` are the documents that must come back, ``bad`` how many cannot; ``whole`` if the
    bad ones spoil the file."""

    files: Files
    good: list[Document]
    bad: int
    whole: bool


def _bytes(text: str, crlf: bool = False) -> bytes:
    return (text.replace("\n", "\r\n") if crlf else text).encode("utf-8", "surrogatepass")


def _halved(*texts: str | None) -> bool:
    return any("\ud800" <= char <= "\udfff" for text in texts for char in text or "")


def _rows(rows: Sequence[dict], form: Form) -> Files:
    if form.rows == "parquet":
        return {"fuzz.parquet": parquet(rows)}
    if form.rows == "json":
        text = json.dumps(rows, ensure_ascii=form.escaped, indent=1)
    else:
        text = "".join(json.dumps(row, ensure_ascii=form.escaped) + "\n" for row in rows)
    return {f"fuzz.{form.rows}": _bytes(text, form.crlf)}


def write_documents(format: str, documents: Sequence[Document], form: Form) -> Written:
    """For brat, PubTator, BigBIO and JSONL."""
    if format in ("bigbio", "jsonl") and form.rows == "parquet":
        documents = [without_halves(document) for document in documents]
    if format != "jsonl":
        documents = [replace(document, group=None) for document in documents]
    if format == "pubtator":
        documents = [_fit_pubtator(document) for document in documents]
    documents = [ANCHOR, *documents]
    if format == "brat":
        brat = as_brat(documents, "\r\n" if form.crlf else "\n")
        files = {without_halves(Document(n, "")).id: _bytes(text) for n, text in brat.items()}
        documents = [replace(d, id=without_halves(Document(d.id, "")).id) for d in documents]
    elif format == "pubtator":
        files = {"fuzz.txt": _bytes(as_pubtator(documents), form.crlf)}
    else:
        files = _rows((as_bigbio if format == "bigbio" else as_jsonl)(documents), form)
    good = [document for document in documents if not _beyond(format, document)]
    halved = any(_halved(d.id, d.text, d.group, *(e.type for e in d.entities)) for d in documents)
    whole = halved and (format == "pubtator" or (format != "brat" and not form.escaped))
    return Written(files, good, len(documents) - len(good), whole)


def _fit_pubtator(document: Document) -> Document:
    """Without what PubTator cannot hold and no reader can tell: a carriage return or blank line
    where a section ends, columns within columns, what may be a title. Offsets stay."""
    text = document.text
    if text[-1].isspace():
        text = f"{text[:-1]}."
    if "\n" in text:
        text = text.replace("|", "_")
    if " " not in text:
        text += " ."
    title, abstract = text.split(" ", 1)
    if title.endswith("\r"):
        title = f"{title[:-1]}."
    found = (e for e in document.entities if not e.discontinuous)
    kept = tuple(replace(entity, type=re.sub(r"[\t\n]", "_", entity.type)) for entity in found)
    return Document(re.sub(r"[|\t\n]", "_", document.id), f"{title} {abstract}", kept)


def _beyond(format: str, document: Document) -> bool:
    """Whether a reader has to refuse the document."""
    types = [entity.type for entity in document.entities]
    if not document.text.strip() or _halved(document.id, document.text, document.group, *types):
        return True
    if format == "brat":
        return any(re.search(r"\s", type_) for type_ in types)
    if format == "pubtator":
        mentions = map(document.mention, document.entities)
        return "\n" in document.text or any("\t" in mention for mention in mentions)
    return False


def write_tagged(format: str, documents: Sequence[Tagged], form: Form) -> Written:
    """For CoNLL's columns and rows of tokens."""
    documents = [[("gout", "B-A"), (".", "O")], *documents]
    if format == "tokens":
        if form.rows == "parquet":
            documents = [
                [tuple(without_halves(Document(text, "")).id for text in pair) for pair in document]
                for document in documents
            ]
        rows = [
            {"id": str(n), "tokens": [t for t, _ in tokens], "tags": _scheme(tokens, form.scheme)}
            for n, tokens in enumerate(documents)
        ]
        files, names = _rows(rows, form), map(str, range(len(documents)))
        whole = not form.escaped
    else:
        documents = [_fit_conll(tokens, form.separator) for tokens in documents]
        if not form.marked:
            documents = [sentence for tokens in documents for sentence in _sentences(tokens)]
        files = {"fuzz.conll": _bytes(_conll(documents, form), form.crlf)}
        names, whole = (f"fuzz-{n + 1}" for n in range(len(documents))), True
    good, halved = [], False
    for name, tokens in zip(names, documents, strict=True):
        halved |= _halved(*(text for pair in tokens for text in pair))
        document = document_of(name, tokens)
        if not _beyond_tagged(format, document, tokens, form.separator):
            good.append(document)
    return Written(files, good, len(documents) - len(good), whole and halved)


def _beyond_tagged(format: str, document: Document, tokens: Tagged, separator: str) -> bool:
    if _beyond(format, document):
        return True
    if format == "tokens":
        return any(not token and tag != "O" for token, tag in tokens)
    spaced = separator == " " and any(" " in tag for _, tag in tokens)
    return spaced or any(not token or re.search(r".\n", token) for token, _ in tokens)


def _fit_conll(tokens: Tagged, separator: str) -> list[tuple[str, str]]:
    """Without what columns cannot hold and no reader can tell: blanks at their ends, columns
    within columns; a sentence ends once, and in no entity. A token with a newline is kept."""
    made: list[tuple[str, str]] = []
    for token, tag in tokens:
        if token == "\n":
            if made and made[-1][0] != "\n":
                made.append(("\n", "O"))
            continue
        token = re.sub(r"[\t ]" if separator == " " else r"\t", "_", token)
        token = token.strip(" \n")
        if "\n" in token:
            token = "x\ny"
        if separator == " ":
            token = token or "_"
        if tag[0] == "I" and (not made or made[-1][1] == "O"):
            tag = f"B{tag[1:]}"
        made.append((token, re.sub(r"[\t\n]", "_", tag)))
    return made[:-1] if made and made[-1][0] == "\n" else made


def _sentences(tokens: Tagged) -> list[Tagged]:
    found: list[list[tuple[str, str]]] = [[]]
    for token, tag in tokens:
        if token == "\n":
            found.append([])
        else:
            found[-1].append((token, tag))
    return [sentence for sentence in found if sentence]


def _conll(documents: Iterable[Tagged], form: Form) -> str:
    lines = []
    for tokens in documents:
        if form.marked:
            lines += [form.separator.join(("-DOCSTART-", "-X-", "O")), ""]
        for (token, _), tag in zip(tokens, _scheme(tokens, form.scheme), strict=True):
            lines.append("" if token == "\n" else form.separator.join((token, "NN", tag)))
        lines.append("")
    return "\n".join(lines)


# begins, goes on, is alone, ends
_SCHEMES = {"BIO": "BIBI", "BIOES": "BISE", "BILOU": "BIUL"}


def _scheme(tokens: Tagged, scheme: str) -> list[str]:
    """The tags, BIO, in another scheme."""
    begins, goes_on, alone, ends = _SCHEMES[scheme]
    tags = [tag for _, tag in tokens]
    made = []
    for tag, after in pairwise([*tags, "O"]):
        last = after[0] != "I"
        prefix = {"O": "O", "B": alone if last else begins, "I": ends if last else goes_on}
        made.append(prefix[tag[0]] + tag[1:])
    return made


# Damage

INSERTED = (
    *(b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\xcc\x81", b"\xe2\x80\x8b", b"\xf0\x9f\x98\x80"),
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\0",
        b"\t",
        b" ",
        b"|",
        b";",
        b'"',
        b"\\",
        b"{",
        b"]",
        b"-",
    ),
    *(b"0", b"9", b"99999999999999999999", b"9" * 5000, b"\xd9\xa3", b"1 2", b"T1\tA 0 1\t", b"-1"),
    *(b"null", b"true", b"1e3", b"\\ud800", b"-DOCSTART-\n", b"B-", b"|t|", b"\xe2\x80\xa8", b","),
)
DAMAGE = ("flip", "delete", "insert", "number", "blank", "repeat", "drop", "swap", "cut", "empty")

Damage = tuple[str, int, int | bytes]  # kind, where, what; bytes go into the first file


def damaged(files: Files, damages: Iterable[Damage]) -> Files:
    files = dict(files)
    for kind, where, what in damages:
        which, what = (0, what) if isinstance(what, bytes) else divmod(what, len(files))[::-1]
        name = sorted(files)[which]
        files[name] = damaged_bytes(files[name], kind, where, what)
    return files


def damaged_bytes(data: bytes, kind: str, where: int, what: int | bytes) -> bytes:
    at = where % max(len(data), 1)
    if isinstance(what, bytes):
        return data[:at] + what + data[at:]
    if kind == "insert":
        return data[:at] + INSERTED[what % len(INSERTED)] + data[at:]
    if kind == "flip" and data:
        return data[:at] + bytes([data[at] ^ 1 << what % 8]) + data[at + 1 :]
    if kind == "delete":
        return data[:at] + data[at + 1 + what % 9 :]
    if kind == "number" and (numbers := list(re.finditer(rb"\d{1,9}", data))):  # one more or less
        number = numbers[where % len(numbers)]
        other = str(max(int(number[0]) + (1 if what % 3 else -1), 0)).encode()
        return data[: number.start()] + other + data[number.end() :]
    if kind == "blank" and (columns := list(re.finditer(rb"[\t\n\"]", data))):  # beside a column
        at = columns[where % len(columns)].start() + what % 2
        return data[:at] + b" " + data[at:]
    if kind in ("cut", "empty"):
        return data[: at if kind == "cut" else 0]
    lines = data.split(b"\n")
    line = where % len(lines)
    if kind == "repeat":
        lines.insert(what % (len(lines) + 1), lines[line])
    elif kind == "drop":
        del lines[line]
    elif kind == "swap":
        other = what % len(lines)
        lines[line], lines[other] = lines[other], lines[line]
    return b"\n".join(lines)


# What a file says, whoever reads it: squeezed texts, and mentions as its lines print them


def squeezed(text: str) -> str:
    """Without white space, which a format may print otherwise."""
    return "".join(text.split())


def one_line(mention: str) -> str:
    return mention.replace("\r", "").replace("\n", " ")


Said = tuple[Counter[str], Counter[tuple]]


def said(format: str, files: Files) -> Said:
    """Squeezed texts; and (type, fragments, mention), of tagged tokens only the squeezed mentions
    of a document (of CoNLL: of the file) one after another."""
    texts: Counter[str] = Counter()
    mentions: Counter[tuple] = Counter()
    for name, data in files.items():
        content = data.decode("utf-8", "replace")
        lines = content.removeprefix("\ufeff").split("\n")
        if format == "brat" and name.endswith(".txt"):
            texts[squeezed(content)] += 1
        elif format == "brat":
            for line in lines:
                if match := re.match(r"T\d+\t(\S+) ([\d ;]+)\t(.*)", line, re.DOTALL):
                    pairs = [pair.split() for pair in match[2].split(";")]
                    mentions[match[1], _fragments(pairs), one_line(match[3])] += 1
        elif format == "pubtator":
            _pubtator_said(lines, texts, mentions)
        elif format == "conll":
            columns = [
                line.split("\t") if "\t" in line else line.strip(" ").split(" ")
                for line in lines
                if line.strip() and not line.startswith("-DOCSTART-")
            ]
            _tokens_said([(c[0], c[-1].strip(" \r")) for c in columns], texts, mentions)
        else:
            for row in _said_rows(data, lines):
                try:
                    _row_said(format, row, texts, mentions)
                except (KeyError, TypeError, ValueError, AttributeError):
                    continue  # a row in error
    return texts, mentions


def _fragments(pairs: Iterable[Sequence]) -> tuple[tuple[int, int], ...]:
    try:
        return tuple((int(start), int(end)) for start, end in pairs)
    except (ValueError, OverflowError):  # too many digits, or infinity
        return ()


def _pubtator_said(lines: list[str], texts: Counter, mentions: Counter) -> None:
    title = ""
    for line in lines:
        columns = line.removesuffix("\r").split("\t")
        if section := re.match(r"[^|\t]+\|([ta])\|(.*)", line, re.DOTALL):
            if section[1] == "a":
                texts[squeezed(title + section[2])] += 1
            title = section[2]
        elif len(columns) >= 5 and columns[1].isdecimal() and columns[2].isdecimal():
            mentions[columns[4], _fragments([columns[1:3]]), one_line(columns[3])] += 1


def _said_rows(data: bytes, lines: list[str]) -> list[Any]:
    if data.startswith(b"PAR1"):
        try:
            return pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
        except (pyarrow.ArrowException, OSError, ValueError):
            return []
    if "\n".join(lines).lstrip().startswith("["):
        try:
            return json.loads("\n".join(lines), object_pairs_hook=_object)
        except ValueError:
            return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line, object_pairs_hook=_object))
        except ValueError:
            continue
    return rows


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a field occurs twice")
    return values


def _row_said(format: str, row: Any, texts: Counter, mentions: Counter) -> None:
    if format == "tokens":
        return _tokens_said(list(zip(row["tokens"], row["tags"], strict=True)), texts, mentions)
    if format == "jsonl":
        texts[squeezed(row["text"])] += 1
    else:
        parts = [
            (offsets, text)
            for passage in row["passages"]
            for offsets, text in zip(passage["offsets"], passage["text"], strict=True)
        ]
        texts[squeezed("".join(text for _, text in sorted(parts)))] += 1
    for entity in row["entities"]:
        texts_of = [entity["text"]] if format == "jsonl" else entity["text"]
        fragments = _fragments(entity["fragments" if format == "jsonl" else "offsets"])
        mentions[entity["type"], fragments, one_line(" ".join(texts_of))] += 1
    return None


def _tokens_said(tokens: Tagged, texts: Counter, mentions: Counter) -> None:
    texts[squeezed("".join(token for token, _ in tokens))] += 1
    mentions[(squeezed("".join(token for token, tag in tokens if tag != "O")),)] += 1


def held(format: str, documents: Sequence[Document]) -> Said:
    """The same of documents that were read."""
    if format not in ("conll", "tokens"):
        return Counter(squeezed(document.text) for document in documents), Counter(
            (entity.type, entity.fragments, one_line(document.mention(entity)))
            for document in documents
            for entity in document.entities
        )
    pairs = [
        (squeezed(d.text), squeezed("".join(d.mention(e) for e in d.entities))) for d in documents
    ]
    if format == "conll":
        pairs = [tuple(map("".join, zip(*pairs, strict=True)))]
    return Counter(text for text, _ in pairs), Counter((mention,) for _, mention in pairs)


# On disk


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The same bytes every time."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return data.getvalue()


def put(folder: Path, files: Files, form: Form) -> Path:
    """The folder, or a zip in it."""
    if form.zipped:
        (folder / "fuzz.zip").write_bytes(zipped(files))
        return folder / "fuzz.zip"
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
