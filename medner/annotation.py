"""Documents in, predictions out: reading, predicting and writing put together."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from medner.documents import Document
from medner.errors import UserError
from medner.files import written_whole
from medner.id_files import count
from medner.input_rows import InputText
from medner.inputs import Input
from medner.output_folder import Found, State, failure_line
from medner.output_formats import write_parquet
from medner.pools import pools
from medner.prediction_files import prediction_line
from medner.predictions import Failure
from medner.progress import Progress
from medner.shards import by_shards
from medner.tagger import Tagger

log = logging.getLogger(__name__)


class Output(Protocol):
    """Where predictions go; ``state`` says how far they came."""

    state: State

    def rest(self, texts: Iterable[InputText]) -> Iterator[InputText]:
        """The documents that are to be predicted."""

    def add(self, pool: Sequence[Found]) -> None:
        """Documents that were predicted together."""


class StandardOutput:
    """A line of JSON for each prediction, on standard output; what fails is told in the log."""

    def __init__(self) -> None:
        self.state = State({})

    def rest(self, texts: Iterable[InputText]) -> Iterator[InputText]:
        yield from texts

    def add(self, pool: Sequence[Found]) -> None:
        """Raises UserError if nobody reads any more."""
        try:
            self._write(pool)
        except BrokenPipeError:
            # else Python would try again as it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            read = count(self.state.read, "document")
            raise UserError(f"standard output was closed after {read}") from None

    def _write(self, pool: Sequence[Found]) -> None:
        for text, found in pool:
            if isinstance(found, Failure):
                line = f":{text.line}" if text.line else ""
                log.warning("%s%s: %s", text.file, line, found.reason)
                self.state.failed += 1
            else:
                sys.stdout.write(prediction_line(found, text.text))
                self.state.spans += len(found.spans)
        self.state.read += len(pool)
        sys.stdout.flush()


def annotate(source: Input, tagger: Tagger, output: Output) -> None:
    """Predict what is left of the input, a stretch of it at a time."""
    progress = Progress(source.size)
    try:
        for shard in by_shards(output.rest(source), source.kind, output.state.read):
            for pool in text_pools(shard, tagger):
                output.add(predicted(pool, tagger))
                progress.say(output.state.read, source.position)
    finally:
        progress.end()


def annotate_shard(texts: Iterable[InputText], tagger: Tagger, path: Path, failed: Path) -> State:
    """Predict all of a shard; both files appear whole, or are not touched.

    Args:
        path: the file of the predictions, ``.jsonl`` or ``.parquet``.
        failed: the file of what has no prediction, a line of JSON each.

    Returns:
        How much that was.
    """
    state = State({})

    def lines() -> Iterator[str]:
        for pool in text_pools(texts, tagger):
            for text, found in predicted(pool, tagger):
                if isinstance(found, Failure):
                    failures.write(failure_line(text, found.reason))
                    state.failed += 1
                else:
                    yield prediction_line(found, text.text)
                    state.spans += len(found.spans)
            state.read += len(pool)

    with written_whole(failed) as failures:
        if path.suffix == ".parquet":
            write_parquet(path, map(json.loads, lines()))
        else:
            with written_whole(path) as file:
                file.writelines(lines())
    return state


def text_pools(texts: Iterable[InputText], tagger: Tagger) -> Iterator[list[InputText]]:
    return pools(texts, lambda text: len(text.text), tagger.device_batch)


def predicted(pool: Sequence[InputText], tagger: Tagger) -> list[Found]:
    """Each text with its prediction, or why it has none."""
    readable = [Document(text.id, text.text) for text in pool if not text.problem]
    found = iter(tagger.tag(readable) if readable else ())
    return [
        (text, Failure(text.id, text.problem) if text.problem else next(found)) for text in pool
    ]
