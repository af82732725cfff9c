"""The same prediction on Ray Data: shards in, shards out, one model an actor.

A shard is a task. An actor reads it, predicts it and writes ``predictions/NAME``, whole, and then a
record of it, ``.shards/NUMBER.json``: that makes the shard done. Where an actor or its node dies,
Ray gives the shard to another, which writes the same file; where all is killed, the next call goes
on with the shards that have no record. So each document is there once.

All nodes see the input, the model and the output folder under the same paths.
"""

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from traceback import clear_frames
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medner.annotation import annotate_shard
from medner.config import INT8, NOT_ON_A_CARD
from medner.errors import ConfigError, UserError
from medner.files import read_json, write_json, written_whole
from medner.id_files import count
from medner.inputs import Input
from medner.interruption import listen
from medner.output_folder import FAILED, RECORDS, OutputFolder
from medner.progress import Progress
from medner.shards import Shard, shards
from medner.tagger import open_tagger

log = logging.getLogger(__name__)

_TRIES = 5  # of a shard: behind so many dead actors, it is the shard


@dataclass(frozen=True)
class Job:
    """What every actor has to know; ``place`` is the working folder, that paths may be relative to.

    ``ending`` is that of the files of predictions, ``threads`` are those of an actor.
    """

    config: DictConfig
    source: Input
    run: Path | None
    model: Path
    folder: Path
    ending: str
    place: Path
    threads: int

    def record(self, number: int) -> Path:
        return self.folder / RECORDS / f"{number:06d}.json"

    def tries(self, number: int) -> Path:
        return self.folder / RECORDS / f"{number:06d}.tries"

    def failed(self, number: int) -> Path:
        return self.folder / RECORDS / f"{number:06d}.failed"


class Actor:
    """Ray Data makes one a process, and calls it with a row for each shard."""

    def __init__(self, job: Job) -> None:
        import torch

        torch.set_num_threads(job.threads)
        self._job, self._problem = job, None
        try:
            os.chdir(job.place)
            self._tagger = open_tagger(job.config, job.run, job.model)
        except (UserError, OSError) as error:
            self._problem = f"on {os.uname().nodename}: {error}"

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row's number, and what went wrong, so that nothing more can be done, or ''."""
        number = int(row["number"])
        files = tuple(Path(os.fsdecode(path)) for path in row["files"])
        shard = Shard(number, os.fsdecode(row["name"]), files, 0, "")
        problem = self._problem
        if not problem:
            try:
                self._write(shard)
            except (UserError, OSError) as error:
                problem = str(error)
        return {"number": number, "problem": problem or ""}

    def _write(self, shard: Shard) -> None:
        job, tries = self._job, self._job.tries(shard.number)
        if job.record(shard.number).exists():
            return  # an actor that died behind it
        tries.parent.mkdir(parents=True, exist_ok=True)
        with tries.open("ab") as file:
            file.write(b".")
        if tries.stat().st_size > _TRIES:
            raise UserError(
                f"{shard.files[0]}: {_TRIES} actors have died of this shard; engine=local with it "
                "alone tells more"
            )
        path = job.folder / "predictions" / f"{shard.name}.{job.ending}"
        texts = shard.texts(job.source)
        done = annotate_shard(texts, self._tagger, path, job.failed(shard.number))
        counts = {"read": done.read, "failed": done.failed, "spans": done.spans}
        write_json(job.record(shard.number), counts)


def annotate_shards(
    config: DictConfig, source: Input, run: Path | None, model: Path, output: OutputFolder
) -> None:
    """Predict what is left of the input, on the Ray cluster that this machine is a part of, that
    ``RAY_ADDRESS`` names, or else that is started here for as long as it takes.

    Raises:
        ConfigError: if the cluster has not what an actor needs; UserError: if the input is not the
            one that the folder holds, or what stopped an actor.
    """
    parts = shards(source)
    hold_against(output, parts)
    # what is wrong with model or options is told before anything is started
    on_cpu = OmegaConf.merge(config, {"trainer": {"accelerator": "cpu", "precision": "32"}})
    open_tagger(on_cpu, run, model)
    ending = output.state.settings["format"]
    job = Job(config, source, run, model, output.folder, ending, Path.cwd(), config.engine.cpus)
    left = [part for part in parts if not _add(output, job, part)]
    output.save()
    if left:
        _say_what_is_left(output, parts, left)
        _predict(job, parts, left, output)
    with written_whole(output.folder / FAILED, binary=True) as all_failed:
        for part in parts:
            with job.failed(part.number).open("rb") as failed:
                shutil.copyfileobj(failed, all_failed)
    output.state.finished = True
    output.save()
    output.complete()


def hold_against(output: OutputFolder, parts: Sequence[Shard]) -> None:
    """UserError if the folder was begun with another input."""
    state = output.state
    digest = sha256("\n".join(f"{part.name!r} {part.state}" for part in parts).encode()).hexdigest()
    if state.digest and state.digest != digest:
        raise UserError(
            f"output={output.folder}: the files of the input are not those that it was begun with; "
            "begin in another folder"
        )
    for tries in (output.folder / RECORDS).glob("*.tries"):
        tries.unlink()
    state.digest, state.sizes = digest, {}
    state.read = state.failed = state.spans = 0  # counted again


def _add(output: OutputFolder, job: Job, part: Shard) -> bool:
    """Count a shard in, if it is done."""
    if not job.record(part.number).exists():
        return False
    for name, value in read_json(job.record(part.number)).items():
        setattr(output.state, name, getattr(output.state, name) + value)
    return True


def _say_what_is_left(output: OutputFolder, parts: Sequence[Shard], left: Sequence[Shard]) -> None:
    if len(left) < len(parts):
        done = f"{len(parts) - len(left)} of {count(len(parts), 'shard')}"
        log.info("going on after %s, %s", done, output.state)
    elif len(parts) == 1:
        log.info("the input is one shard, for one actor: more are files of their own")


def _predict(job: Job, parts: Sequence[Shard], left: Sequence[Shard], output: OutputFolder) -> None:
    sizes = {part.number: part.size for part in left}
    position = sum(part.size for part in parts) - sum(sizes.values())
    progress = Progress(position + sum(sizes.values()))
    try:
        with _cluster():
            progress.say(output.state.read, position)
            for number in _done(job, left):
                _add(output, job, parts[number])
                output.save()
                position += sizes[number]
                progress.say(output.state.read, position)
    finally:
        progress.end()


@contextmanager
def _cluster() -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # no cluster that nobody has asked for
    # it calls an error that the arguments of an actor are in its object store, where it puts them
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    listen()  # Ray answers signals, too, but does not say what it was
    try:
        with redirect_stdout(sys.stderr):  # it tells there what has died
            yield
    except BaseException as error:
        # they hold what Ray executes, which asks for the cluster when it is let go: at the
        # interpreter's end it would begin another one, and wait for ever
        clear_frames(error.__traceback__)
        raise
    finally:
        ray.shutdown()


def _done(job: Job, left: Sequence[Shard]) -> Iterator[int]:
    """The numbers of shards as they are done."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors come here
    needs, most = _actors(job.config)
    most = min(most, len(left))
    rows = [
        {
            "number": part.number,
            "name": os.fsencode(part.name),
            "files": [os.fsencode(path) for path in part.files],
        }
        for part in left
    ]
    tasks = ray.data.from_items(rows, override_num_blocks=len(rows))  # a task for each
    done = tasks.map(
        Actor,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(
            # fewer than there were where a node is lost: an idle actor makes room for another's
            min_size=1,
            initial_size=most,
            max_size=most,
            max_tasks_in_flight_per_actor=1,
        ),
        **needs,
    )
    for row in done.iter_rows():
        if row["problem"]:
            raise UserError(row["problem"])
        yield row["number"]


def _actors(config: DictConfig) -> tuple[dict[str, float], int]:
    """What an actor takes of a node, and how many there can be: each with a card, where there are
    cards, or with ``engine.cpus``."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cards = int(sum(node.get("GPU", 0) for node in nodes))
    accelerator, cpus = config.trainer.accelerator, config.engine.cpus
    if accelerator == "gpu" and not cards:
        raise ConfigError("trainer.accelerator=gpu: no node of the Ray cluster has a card")
    if cards and accelerator != "cpu":
        if config.trainer.precision == INT8:
            raise ConfigError(NOT_ON_A_CARD)
        return {"num_gpus": 1}, min(cards, config.engine.actors or cards)
    most = int(sum(node.get("CPU", 0) // cpus for node in nodes))
    if not most:
        raise ConfigError(f"engine.cpus={cpus}: no node of the Ray cluster has as many")
    return {"num_cpus": cpus}, min(most, config.engine.actors or most)
