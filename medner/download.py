"""Files over HTTP: a cut connection goes on where it stopped, and a file is whole or not there."""

import hashlib
import json
import logging
import re
import time
import zipfile
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from medner.errors import UserError

TIMEOUT = 10  # seconds without a byte
WAITS = (1.0, 2.0, 4.0)  # seconds before the next try after a cut

log = logging.getLogger(__name__)


class InterruptedDownloadError(UserError):
    """The connection was cut; what came is kept for the next call."""


def download(url: str, path: Path, *, md5: str | None = None, size: int | None = None) -> None:
    """Fetch a file, or what is missing of it, by way of ``path``.part.

    An earlier part is gone on with (Range, If-Range: RFC 9110) if the server still has the same
    file. Proxies are those of the environment.

    Args:
        md5, size: what is published of the file; None where nothing is.

    Raises:
        InterruptedDownloadError: after the last of several tries.
        UserError: if there is no such file, or not the one that is wanted: the part is removed.
    """
    part, state = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")
    answered = False
    for wait in (*WAITS, None):
        try:
            if not _complete(url, part, state):
                with _ask(url, part, state) as response:
                    answered = True
                    _receive(response, url, part, state)
            break
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            if not answered:
                raise UserError(f"{url} is out of reach ({reason})") from None
            if wait is None:
                progress = _progress(part, state)
                raise InterruptedDownloadError(f"{url}: cut {progress} ({reason})") from None
            log.warning("%s: cut (%s); trying again in %g s", url, reason, wait)
            time.sleep(wait)
    problem = _problem(part, path.name, md5, size)
    state.unlink()
    if problem:
        part.unlink()
        raise UserError(f"{url}: {problem}")
    part.replace(path)


def published_sum(article: str, url: str) -> tuple[str, int]:
    """The md5 and the size in bytes that figshare's interface publishes of the file at ``url``.

    ``article`` is the address of the article, such as api.figshare.com/v2/articles/NUMBER; a
    file's address ends in its id. Raises UserError.
    """
    file_id = url.rstrip("/").rpartition("/")[2]
    try:
        with urlopen(_request(article), timeout=TIMEOUT) as response:
            files = json.load(response)["files"]
        for file in files:
            if str(file["id"]) == file_id:
                return file["computed_md5"], file["size"]
    except (OSError, HTTPException) as error:
        raise UserError(f"{article} is out of reach ({error})") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{article} does not answer as figshare's interface does") from None
    raise UserError(f"{article} lists no file {file_id}")


def _request(url: str, headers: dict[str, str] | None = None) -> Request:
    # some hosts refuse urllib's own name
    return Request(url, headers={"User-Agent": "medner", **(headers or {})})


def _ask(url: str, part: Path, state: Path) -> HTTPResponse:
    """The answer to a request for the file, or for the rest of it."""
    kept = _kept(state)
    headers = {}
    if part.exists() and kept.get("url") == url and kept.get("validator"):
        headers = {
            "Range": f"bytes={part.stat().st_size}-",
            "If-Range": kept["validator"],
        }
    try:
        response = urlopen(_request(url, headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and headers:  # the part is longer than the file
            part.unlink()
            return _ask(url, part, state)
        raise UserError(f"{url} answers {error.code} {error.reason}") from None
    if response.status not in (200, 206):  # such as 202 and no content: a check for robots
        response.close()
        raise UserError(f"{url} answers {response.status} {response.reason}, without the file")
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise UserError(f"{url} answers with a web page, such as a login, instead of the file")
    return response


def _receive(response: HTTPResponse, url: str, part: Path, state: Path) -> None:
    """Append to the part if the answer goes on from there, and begin anew otherwise."""
    headers = response.headers
    start, length = 0, int(headers["Content-Length"]) if headers["Content-Length"] else None
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers["Content-Range"] or "")
        if not found or int(found[1]) != part.stat().st_size:
            part.unlink()
            raise ConnectionError(f"the answer goes on at {headers['Content-Range']}")
        start, length = int(found[1]), int(found[2])
    tag = headers["ETag"] or ""
    validator = tag if tag.startswith('"') else headers["Last-Modified"]  # a weak tag is no promise
    kept = {"url": url, "validator": validator, "length": length}
    size = "size unknown" if length is None else f"{length:,} bytes"
    log.info("downloading %s (%s) from %s", part.stem, size, url)
    bar = tqdm(
        total=length, initial=start, unit="B", unit_scale=True, desc=part.stem, leave=False,
        disable=None,  # where stderr is no terminal
    )  # fmt: skip
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps(kept), encoding="utf-8")
        file = part.open("ab" if start else "wb")
    except OSError as error:
        raise UserError(f"{part} cannot be written ({error})") from None
    with bar, file:
        while chunk := response.read(1 << 16):
            try:
                file.write(chunk)
            except OSError as error:
                raise UserError(f"{part} cannot be written ({error})") from None
            bar.update(len(chunk))
    if length is not None and part.stat().st_size < length:
        raise ConnectionError("the server closed it early")


def _complete(url: str, part: Path, state: Path) -> bool:
    """Whether the part is the whole file already: an earlier call ended before it was checked."""
    kept = _kept(state)
    return part.exists() and (kept.get("url"), kept.get("length")) == (url, part.stat().st_size)


def _kept(state: Path) -> dict[str, Any]:
    """What is known of the part: its address, the server's validator, and the whole length."""
    try:
        return json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _progress(part: Path, state: Path) -> str:
    """How much is there, and what becomes of it."""
    size, kept = part.stat().st_size if part.exists() else 0, _kept(state)
    whole = f" of {kept['length']:,}" if kept.get("length") else ""
    then = "goes on there" if kept.get("validator") else "starts anew, for the server cannot go on"
    return f"after {size:,}{whole} bytes; the next call {then}"


def _problem(part: Path, name: str, md5: str | None, size: int | None) -> str | None:
    """Why the file is not the one that is wanted, or None if nothing speaks against it."""
    found = part.stat().st_size
    if size is not None and found != size:
        return f"{found:,} bytes came, {size:,} are published"
    if md5 is not None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False))
        if digest.hexdigest() != md5.lower():
            return f"its md5 is {digest.hexdigest()}, {md5.lower()} is published"
    if name.lower().endswith(".zip") and not zipfile.is_zipfile(part):
        with part.open("rb") as file:
            return f"what came is no zip archive (it begins with {file.read(20)!r})"
    return None
