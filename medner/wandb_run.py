"""A run in Weights & Biases that never ends or stalls a training, and keeps to its folder."""

import logging
import netrc
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from omegaconf import DictConfig
from pytorch_lightning.loggers import WandbLogger

from medner.documents import Document
from medner.scoring.matching import Counts, Scores
from medner.sharing import file_digest, write_shareable_predictions

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)
# Seconds, where the environment does not say otherwise: to reach the server, and to send what is
# left at the end, of which the checkpoint is the most.
_TIMEOUTS = {"WANDB_INIT_TIMEOUT": "15", "WANDB_FINISH_TIMEOUT": "300"}
_CLOUD = ("api.wandb.ai", "api.forge.coreweave.com")  # the server of wandb.ai, by its two names


class WandbRun(WandbLogger):
    """Lightning's logger for a W&B run, which the first error silences after one line in the log.

    Args:
        run: begun already.
        folder: in which ``wandb`` has the run's files.
        log_text: whether texts and mentions may be sent.
    """

    def __init__(self, run: "wandb.Run", folder: Path, log_text: bool) -> None:
        super().__init__(project=run.project, save_dir=folder, experiment=run)
        self._folder = folder
        self._log_text = log_text
        self._silenced = False

    @classmethod
    def start(
        cls, options: DictConfig, folder: Path, *, id: str | None = None, **details: Any
    ) -> "WandbRun | None":
        """Begin a run, or go on with ``id``; offline where there is no account or no answer.

        Args:
            options: a WandbConfig.
            folder: all files go into its ``wandb``.
            id: of a run begun in this folder earlier.
            details: further arguments of ``wandb.init``.

        Returns:
            None if W&B is switched off (``WANDB_MODE=disabled``), or cannot be started at all.
        """
        if os.environ.get("WANDB_MODE") == "disabled":
            log.info("W&B: switched off by WANDB_MODE=disabled")
            return None
        folder = folder.resolve()
        place = folder / "wandb"
        _keep_to(place)
        resume = "allow" if id else None
        id = id or secrets.token_hex(4)
        # what was not sent yet comes before what is sent now
        offline = options.offline if options.offline is not None else not _has_account()
        offline = offline or bool(_unsent(place, id))
        problem = ""
        settings = {
            **details,
            "project": options.project,
            "entity": options.entity,
            "id": id,
            "resume": resume,
        }
        if not offline:
            before = {*place.glob("run-*")}
            try:
                return cls(_init(folder, "online", settings), folder, options.log_text)._begin()
            except Exception as error:
                problem = f"could not be reached ({_first_line(error)}): "
                _stop_service()  # which holds on to the id
                for empty in {*place.glob("run-*")} - before:
                    shutil.rmtree(empty, ignore_errors=True)
        try:
            tracker = cls(_init(folder, "offline", settings), folder, options.log_text)
        except Exception as error:
            log.warning("W&B: cannot be started (%s); going on without it", _first_line(error))
            return None
        level = logging.WARNING if problem else logging.INFO
        log.log(level, "W&B: %soffline; %s sends it", problem, tracker.sync_command())
        return tracker._begin()

    def _begin(self) -> "WandbRun":
        if self._log_text:
            log.warning(
                "W&B: logger.wandb.log_text=true: the texts of all documents that are predicted, "
                "and the mentions found in them, go to %s as an artifact%s",
                self.experiment.settings.base_url,
                " once it is sent" if self.experiment.settings._offline else "",
            )
        self._attempt(_define_axis)
        return self

    def identity(self) -> dict[str, str | None]:
        """Id, name and group."""
        run = self.experiment
        return {"id": run.id, "name": run.name, "group": run.group or None}

    def sync_command(self) -> str:
        """What sends to W&B what it does not have."""
        offline = self.experiment.settings._offline
        options, kind = ("", "offline-run") if offline else ("--include-online ", "run")
        folder = shlex.quote(str(self._folder))  # paths of artifacts start from it
        return f"`cd {folder} && wandb sync {options}wandb/{kind}-*-{self.experiment.id}*`"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        log_metrics = super().log_metrics
        self._attempt(lambda _: log_metrics(metrics, step))

    def log_part(
        self, part: str, scores: Scores, figures: Mapping[str, float], predictions: Path,
        documents: Sequence[Document],
    ) -> None:  # fmt: skip
        """Scores of a part by type as a table and a chart; ``figures`` for the summary; and the
        predictions in the file, as an artifact."""

        def send(run: "wandb.Run") -> None:
            import wandb

            run.summary.update(dict(figures))  # first: it needs no answer from the server
            table = wandb.Table(
                columns=["type", *scores.overall.to_dict()],
                data=[[name, *row.to_dict().values()] for name, row in _by_frequency(scores)],
            )
            # as a file of the run: W&B would make an artifact of it, whose manifest has its path
            table.bind_to_run(run, f"{part}/scores", run.step)
            chart = wandb.plot.bar(table, "type", "f1", title=f"{part}: strict F1 by type")
            run.log({f"{part}/scores": table, f"{part}/f1_by_type": chart})
            path = Path(run.settings.sync_dir, "predictions", f"{part}.jsonl")
            write_shareable_predictions(path, predictions, documents, self._log_text)
            self._log_file(run, path, "predictions", f"predictions-{run.id}-{part}", {})

        self._attempt(send)

    def log_training(self, checkpoint: Path, figures: Mapping[str, float]) -> None:
        """The best checkpoint as an artifact, ``figures`` for the summary."""

        def send(run: "wandb.Run") -> None:
            run.summary.update(dict(figures))
            metadata = {"sha256": file_digest(checkpoint)}
            self._log_file(run, checkpoint, "model", f"model-{run.id}", metadata)

        self._attempt(send)

    def close(self, ended_well: bool) -> None:
        """End the run, and W&B's service with it: the next run has a folder of its own."""
        try:
            self.experiment.finish(exit_code=0 if ended_well else 1)
        except Exception as error:
            self._silence(error)
        _stop_service()

    def _log_file(
        self, run: "wandb.Run", path: Path, type_: str, name: str, metadata: dict[str, str]
    ) -> None:
        """Log an artifact of one file below the folder, sent from where it is."""
        import wandb

        artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", name), type=type_, metadata=metadata)
        entry = artifact.add_file(str(path), name=path.name, policy="immutable", skip_cache=True)
        # The manifest is sent with this path in it. W&B's service works in this folder, see _init.
        entry.local_path = str(path.resolve().relative_to(self._folder))
        run.log_artifact(artifact, aliases=["best"])

    def _attempt(self, action: Callable[["wandb.Run"], object]) -> None:
        if not self._silenced:
            try:
                action(self.experiment)
            except Exception as error:
                self._silence(error)

    def _silence(self, error: Exception) -> None:
        if not self._silenced:
            log.warning(
                "W&B: %s; going on without it. What it was told until now is in %s; %s sends it",
                _first_line(error),
                self.experiment.settings.sync_dir,
                self.sync_command(),
            )
        self._silenced = True


def _keep_to(place: Path) -> None:
    """Have W&B and its service, which is started with this environment, write here alone."""
    os.environ |= {
        "WANDB_DATA_DIR": str(place / "data"),  # these two are in the home folder otherwise
        "WANDB_CACHE_DIR": str(place / "cache"),
        "WANDB_ERROR_REPORTING": "false",  # W&B's own reports have stack traces, thus paths
        "WANDB_SILENT": "true",
    }
    for name, seconds in _TIMEOUTS.items():
        os.environ.setdefault(name, seconds)


def _init(folder: Path, mode: str, details: Mapping[str, Any]) -> "wandb.Run":
    import wandb

    # console, command line, repository and machine could name files or patients
    settings = wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        host="",
        label_disable=True,
        program="medner",  # not the path by which it was started
        save_code=False,
        silent=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        finish_timeout_raises=True,
    )
    with chdir(folder):  # the service starts here, and finds artifacts from here
        return wandb.init(**details, dir=str(folder), mode=mode, settings=settings)


def _stop_service() -> None:
    import wandb

    with suppress(Exception):  # it says that the service is gone, if it is
        wandb.teardown()


def _define_axis(run: "wandb.Run") -> None:
    """Lightning does so only for runs that it begins itself."""
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)


def _by_frequency(scores: Scores) -> list[tuple[str, Counts]]:
    types = sorted(scores.by_type.items(), key=lambda item: (-item[1].gold, item[0]))
    return [*types, ("overall", scores.overall)]


def _unsent(place: Path, id: str) -> list[Path]:
    """The folders in which parts of a run wait to be sent."""
    return [
        folder
        for folder in place.glob(f"offline-run-*-{id}*")
        if not (folder / f"run-{id}.wandb.synced").exists()
    ]


def _has_account() -> bool:
    """Whether W&B would find a key without asking for one."""
    if os.environ.get("WANDB_MODE"):  # the user's own word
        return os.environ["WANDB_MODE"] == "online"
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    from wandb.sdk import wandb_setup

    settings = wandb_setup.singleton().settings  # those of `wandb login --host`, too
    host = urlsplit(settings.base_url).netloc
    try:
        known = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        known = {}
    return bool(settings.api_key) or any(
        name in known for name in (_CLOUD if host in _CLOUD else (host,))
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
