"""Loggers: Lightning's own, set up so that nothing of the data or of this machine leaves it."""

import logging
import netrc
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

log = logging.getLogger(__name__)
_LOCAL = {"path", "test_ids", "groups", "output_dir", "corpora_dir", "hub_mirror"}


def make_logger(config: DictConfig, run: Path) -> Logger | None:
    """The logger that ``config.logger`` names; it writes into the run's folder."""
    settings = config.logger
    if settings is None or settings.name == "none":
        return None
    if settings.name == "csv":
        return CSVLogger(run, name="", version="")
    import wandb

    offline = settings.offline if settings.offline is not None else not _has_account()
    tracked = wandb.init(
        project=settings.project,
        entity=settings.entity,
        name=f"{config.model.label}-{config.data.name}",
        dir=str(run),
        mode="offline" if offline else "online",
        config=_shareable(OmegaConf.to_container(config, resolve=True)),
        # console, command line and repository could hold names of files or patients
        settings=wandb.Settings(
            console="off",
            disable_git=True,
            save_code=False,
            silent=True,
            x_disable_meta=True,
            x_disable_stats=True,
        ),
    )
    if offline:
        log.info("W&B: offline, in %s; `wandb sync` sends it", Path(tracked.dir).parent)
    return WandbLogger(experiment=tracked)


def finish(logger: Logger | None, ended_well: bool) -> None:
    """Close a tracker's run: without it W&B shows a crash, or a run that never ends."""
    if isinstance(logger, WandbLogger):
        logger.finalize("success" if ended_well else "failed")
        logger.experiment.finish(exit_code=0 if ended_well else 1)


def _shareable(values: dict[str, Any]) -> dict[str, Any]:
    """Without the options that hold paths, be it of a model."""
    return {
        key: _shareable(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in _LOCAL and not (key == "name" and Path(str(value)).exists())
    }


def _has_account() -> bool:
    if os.environ.get("WANDB_MODE"):  # the user's own word
        return os.environ["WANDB_MODE"] == "online"
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
