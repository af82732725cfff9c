"""What Hydra and OmegaConf complain of, in one line that names the option."""

import difflib
from collections.abc import Iterable
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from medner.schema import PROJECT

# YAMLError: a file in conf/ or --config-dir; AssertionError: see explain
HYDRA_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, AssertionError)


# what Hydra has no configuration of where a package is not installed
_PLUGINS = {
    ("hydra/launcher", "ray"): "launcher=ray: needs pip install 'medner[ray]'",
    ("hydra/launcher", "submitit_slurm"): (
        "launcher=submitit: needs pip install 'medner[submitit]'"
    ),
    ("hydra/sweeper", "optuna"): "sweeper=optuna: needs pip install 'medner[optuna]'",
}


def explain(error: Exception) -> str:
    """One line for an error of Hydra's or OmegaConf's: the option, and what it takes."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return _explain_key(cause)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        if (group, option) in _PLUGINS:
            return _PLUGINS[group, option]
        # Hydra does not tell the choices where several were chosen
        known = error.options or sorted(p.stem for p in (PROJECT / "conf" / group).glob("*.yaml"))
        if known and group:
            return f"{group}={option}: {group} takes {either(known)}"
    if isinstance(error, OverrideParseException):
        name, equals, value = (part.strip() for part in error.override.partition("="))
        if not equals:
            return f"{error.override}: an option is given as NAME=VALUE, without spaces round ="
        return f"{error.override}: {lines[0]}; quote the value too: \"{name}='{value}'\""
    if isinstance(error, AssertionError):
        return (
            f"{' '.join(lines)}: an option of a group that is null; choose the group first, as in "
            "eval_dataset=NAME eval_dataset.path=... or logger=wandb logger.wandb.offline=true "
            "(several: 'logger=[csv,wandb]')"
        )
    return " ".join(lines)


def _explain_key(error: OmegaConfBaseException) -> str:
    key, problem = str(error.full_key), str(error).splitlines()[0]
    parent = error.parent_node
    if "not in" in problem and OmegaConf.is_dict(parent):
        place, _, name = key.rpartition(".")
        known = [str(option) for option in parent]
        if not known:
            return f"{key}: {place} is empty so far; to add to it write +{key}=..."
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"{place or 'it'} takes {either(known)}"
        return f"{key}: there is no such option; {hint}"
    if "Invalid type assigned" in problem:
        return f"{key}: a group of options; choose one by {key.replace('.', '/')}=NAME"
    return f"{key}: {problem}"


def either(choices: Iterable[Any]) -> str:
    """The choices in words."""
    names = ["null" if choice is None else str(choice) for choice in choices]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
