"""One run on several devices, a process each: rank 0 is the run, the others train along with it.

Those others compose no options, read no corpus and take no folder: rank 0 tells them what to train.
They are started by whoever says so in torch's environment variables (RANK, LOCAL_RANK, WORLD_SIZE,
MASTER_ADDR, MASTER_PORT; https://docs.pytorch.org/docs/stable/elastic/run.html), as ``torchrun``
does; where nobody has, on one machine, rank 0 starts them itself.
"""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from subprocess import Popen, TimeoutExpired
from typing import Any

from omegaconf import DictConfig

from medner.errors import ConfigError, UserError

log = logging.getLogger(__name__)

_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_WAIT = timedelta(minutes=30)  # for the others: rank 0 may have a corpus to read first
_END = 10.0  # seconds in which a process ends that has lost the others


def rank() -> int:
    """Of this process."""
    return int(os.environ.get("RANK", 0))


def check(trainer: DictConfig, multirun: bool) -> None:
    """Whether so many processes are, or can be, there.

    Raises:
        ConfigError: if not.
    """
    devices = trainer.devices * trainer.nodes
    asked = f"trainer.devices={trainer.devices}"
    if multirun and devices > 1:
        raise ConfigError(
            f"{asked}: the jobs of a multirun have a device each; leave it away, with launcher=ray "
            "to use all devices at once, or give one run a command"
        )
    started = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else None
    if started is not None and started != devices:
        raise ConfigError(
            f"{asked} trainer.nodes={trainer.nodes}: started as {started} processes (WORLD_SIZE), "
            "not one a device"
        )
    if started is None and trainer.nodes > 1:
        raise ConfigError(
            f"trainer.nodes={trainer.nodes}: the processes on other nodes are started by torchrun "
            "or srun, see docs/distributed.md"
        )


@contextmanager
def others(trainer: DictConfig, job: Any) -> Iterator[None]:
    """In rank 0: inside, the other processes are in a group with this one, and do ``job``.

    Args:
        trainer: a TrainerConfig; with one device nothing is done.
        job: can be pickled.

    Raises:
        UserError: if another process has failed.
    """
    if trainer.devices * trainer.nodes == 1:
        yield
        return
    import torch.distributed

    before = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    started = [] if "RANK" in os.environ else _start(trainer.devices)
    try:
        _join()
        torch.distributed.broadcast_object_list([(trainer, job)])
        with _placed(trainer):
            yield
        torch.distributed.destroy_process_group()
    except Exception as error:
        problem = _who_ended(started) if is_loss(error) else None
        for process in started:
            process.kill()
        if problem:
            raise UserError(problem) from error
        raise
    finally:
        for process in started:
            _end(process)
        for name in _VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def told() -> Iterator[Any]:
    """In any other process: the job that rank 0 has for it; inside, it is in the group."""
    import torch.distributed

    _join()
    message: list[Any] = [None]
    torch.distributed.broadcast_object_list(message)
    trainer, job = message[0]
    with _placed(trainer):
        yield job
    torch.distributed.destroy_process_group()


def _start(devices: int) -> list[Popen]:
    """The other processes, on this machine."""
    from lightning_fabric.plugins.environments.lightning import find_free_network_port

    os.environ |= {
        "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(devices),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port()),
    }  # fmt: skip
    return [
        Popen(
            [sys.executable, sys.argv[0]],
            env=os.environ | {"RANK": str(number), "LOCAL_RANK": str(number)},
        )
        for number in range(1, devices)
    ]


def _join() -> None:
    """Gloo for what is no card's: jobs, and all else on a CPU."""
    import torch

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, timeout=_WAIT)


@contextmanager
def _placed(trainer: DictConfig) -> Iterator[None]:
    """Lightning is told which node this is; on a CPU the processes share the cores."""
    import torch

    os.environ["NODE_RANK"] = str(rank() // trainer.devices)
    threads = torch.get_num_threads()
    if trainer.accelerator == "cpu":
        torch.set_num_threads(max(1, threads // trainer.devices))
    yield
    torch.set_num_threads(threads)


def is_loss(error: Exception) -> bool:
    """Whether it is that of a process whose partner has gone; Gloo has no type for it."""
    import torch.distributed

    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _who_ended(started: Sequence[Popen]) -> str:
    """The process that another one's loss is the consequence of, if it is known."""
    for number, process in enumerate(started, start=1):
        with suppress(TimeoutExpired):
            process.wait(1.0)
        if process.returncode and process.returncode < 0:
            return f"rank {number} was ended by {signal.Signals(-process.returncode).name}"
    return "another process of the run has failed, and says why itself"


def _end(process: Popen) -> None:
    """Wait for it to end; if it does not, end it."""
    try:
        process.wait(_END)
    except TimeoutExpired:
        process.kill()
        process.wait()
