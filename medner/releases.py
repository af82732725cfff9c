"""Where a corpus comes from if no path is given: a folder, the release's archives, the hub."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from medner.corpora import CorpusSource, read_corpus
from medner.data_report import fingerprint
from medner.documents import Document
from medner.download import InterruptedDownloadError, download, published_sum
from medner.errors import ConfigError, DataError, UserError
from medner.files import written_whole
from medner.pretrained import hub_out_of_reach

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReleaseFile:
    """A file of a release, and its addresses in the order of asking.

    ``md5`` is a sum that the publisher names; ``md5_from`` is the address of figshare's article,
    which tells it.
    """

    name: str
    urls: tuple[str, ...]
    md5: str | None = None
    md5_from: str | None = None


@dataclass(frozen=True)
class Release:
    """A published corpus, and what it must hold; ``release`` in ``conf/corpus/*.yaml``.

    ``folder`` is its name below ``corpora_dir``; ``hub`` is owner/name of a dataset on the hub,
    whose splits the corpus's format reads as JSON Lines. ``fingerprint`` is that of its
    documents, in the types of the release.
    """

    folder: str
    files: tuple[ReleaseFile, ...] = ()
    hub: str | None = None
    documents: int | None = None
    entities: int | None = None
    fingerprint: str | None = None


def locate_corpus(source: CorpusSource, release: Release | None, corpora_dir: str | Path) -> Path:
    """Find the folder of a corpus, and fetch the release if it is not there yet.

    Asked in this order: ``source.path``, of which nothing is checked here;
    ``corpora_dir``/``release.folder``, which is complete if it exists; the release's files; the
    hub. What is fetched gets that name only once it holds what the release must hold.

    Raises:
        ConfigError: if there is neither a path nor a release.
        UserError: if no place has it; the message says what each of them answered.
    """
    if source.path is not None:
        return Path(source.path).expanduser()
    if release is None:
        raise ConfigError(
            f"corpus {source.name}: path is not set; give the folder, file or zip that holds it"
        )
    folder = Path(corpora_dir).expanduser() / release.folder
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if not folder.exists():  # another process may have fetched it
                _fetch(source, release, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error}); set corpora_dir") from None
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time fetches a corpus."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process fetches %s; waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(source: CorpusSource, release: Release, folder: Path) -> None:
    """Have the release in a staging folder, check it, and give it its name."""
    tried = [f"{folder}: not there"]
    for place, known, fetch in (
        ("download", release.files, _download),
        ("hub", release.hub, _from_hub),
    ):
        if not known:
            continue
        staging = folder.with_name(f".{folder.name}.{place}")
        try:
            fetch(release, staging)
            _check(source, release, staging)
        except UserError as error:
            tried.append(f"{place}: {error}")
        else:
            staging.rename(folder)
            log.info("corpus %s is in %s", source.name, folder)
            return
    names = " and ".join(file.name for file in release.files)
    home = f" from {source.homepage}" if source.homepage else ""
    raise UserError(
        f"corpus {source.name} is not to be had ({'; '.join(tried)}); put {names or 'it'}{home}, "
        f"packed or unpacked, into {folder}, or give the folder, file or zip that holds it (path)"
    )


def _download(release: Release, staging: Path) -> None:
    for file in release.files:
        if not (staging / file.name).exists():
            _download_file(file, staging / file.name)
    names = {file.name for file in release.files}
    for path in staging.iterdir():  # of an earlier definition of the release
        if path.name not in names:
            path.unlink()


def _download_file(file: ReleaseFile, path: Path) -> None:
    """The file from the first of its addresses that has it."""
    md5, size = file.md5, None
    if md5 is None and file.md5_from is not None:
        try:
            md5, size = published_sum(file.md5_from, file.urls[0])
        except UserError as error:
            log.warning("%s; %s is checked by its content alone", error, file.name)
    problems = []
    for url in file.urls:
        try:
            return download(url, path, md5=md5, size=size)
        except InterruptedDownloadError:
            raise  # another address would begin anew
        except UserError as error:
            problems.append(str(error))
    raise UserError("; ".join(problems))


def _from_hub(release: Release, staging: Path) -> None:
    """Write each split of the dataset as JSON Lines."""
    problem = hub_out_of_reach()
    import datasets  # takes a second

    if problem:
        datasets.config.HF_HUB_OFFLINE = True  # leaves it its cache, without half a minute of tries
    try:
        splits = datasets.load_dataset(release.hub)
    except Exception as error:  # of a dozen kinds, some of them of the libraries below
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{release.hub}: {problem or reason}") from None
    shutil.rmtree(staging, ignore_errors=True)
    for split, rows in splits.items():
        with written_whole(staging / f"{split}.jsonl") as file:
            for row in _named(rows):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _named(rows: Any) -> Iterator[dict[str, Any]]:
    """The rows with labels by name, where the dataset holds them as numbers and names them."""
    from datasets import ClassLabel

    kinds = {name: getattr(feature, "feature", feature) for name, feature in rows.features.items()}
    labels = {name: kind for name, kind in kinds.items() if isinstance(kind, ClassLabel)}
    for row in rows:
        yield row | {name: label.int2str(row[name]) for name, label in labels.items()}


def _check(source: CorpusSource, release: Release, staging: Path) -> None:
    """Raise UserError unless the folder holds what the release must hold."""
    try:
        # as released, whatever the run makes of types and errors
        as_released = replace(source, path=str(staging), types={}, on_error="raise")
        differences = _differences(release, read_corpus(as_released).documents)
    except DataError as error:
        differences = [str(error)]
    if differences:
        raise UserError(
            f"{staging} does not hold the release ({', '.join(differences)}); remove it to fetch "
            "it anew, or give it as path to use it as it is"
        )


def _differences(release: Release, documents: Sequence[Document]) -> list[str]:
    """Where the documents differ from what is known of the release."""
    entities = sum(len(document.entities) for document in documents)
    return [
        f"{what} {found} instead of {expected}"
        for what, found, expected in (
            ("documents", len(documents), release.documents),
            ("entities", entities, release.entities),
            ("fingerprint", fingerprint(documents), release.fingerprint),
        )
        if expected is not None and found != expected
    ]
