"""Uploading a folder to the hub: the one place of the program that sends anything there."""

import sys
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HTTPError  # of all that its client can meet

from medner.errors import UserError
from medner.pretrained import hub_out_of_reach


def check_push(name: str) -> None:
    """Say before long work if the hub cannot be reached, or does not know who is asking.

    Raises:
        UserError: if so.
    """
    if problem := hub_out_of_reach():
        raise UserError(f"push={name}: {problem}")
    if not huggingface_hub.get_token():
        raise UserError(
            f"push={name}: no token for the hub; `hf auth login`, or set HF_TOKEN, with one that "
            "may write"
        )


def push(folder: Path, name: str, private: bool) -> str:
    """Upload a folder to the model repository ``name``, which is made if there is none.

    Returns:
        The repository's address.

    Raises:
        UserError: if the hub refuses, or the repository is there, is public, and should not be.
    """
    hub = huggingface_hub.HfApi()
    if not sys.stderr.isatty():
        huggingface_hub.utils.disable_progress_bars()
    try:
        address = hub.create_repo(name, private=private, exist_ok=True)
        # one that was there keeps who may see it
        if private and not hub.model_info(name).private:
            raise UserError(
                f"push={name}: it is there already and everybody can see it; nothing was uploaded. "
                "Make it private on the hub, take another name, or say private=false"
            )
        hub.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message="A model trained with MedNER",
            delete_patterns=["onnx/*"],  # that of an earlier model is no part of this one
        )
    except (HTTPError, OSError, ValueError) as error:
        problem = str(error).strip().splitlines()[0]
        again = f"hf upload {name} {folder}" + (" --private" if private else "")
        raise UserError(
            f"push={name}: {problem}; the export is in {folder}, to upload it: {again}"
        ) from None
    return str(address)
