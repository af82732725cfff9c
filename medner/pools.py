"""Documents that are predicted together, as they come."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_BATCHES = 16  # of a device, in a pool: in its order by length little is padded
_CHARACTERS = 4096  # of a document in a pool that is full, on average


def pools(
    items: Iterable[Item], characters: Callable[[Item], int], device_batch: int
) -> Iterator[list[Item]]:
    """Divide a stream into stretches of at most 16 documents for each window of a device's batch.

    A stretch ends early where its texts are long, so that it takes a bounded amount of memory,
    unless a single text is longer than that. Which documents come together depends on them and on
    ``device_batch`` alone; with that, so do the last bits of what is predicted.

    Args:
        characters: of an item's text.
        device_batch: windows a device holds at once.
    """
    most = _BATCHES * device_batch
    pool: list[Item] = []
    held = 0
    for item in items:
        size = characters(item)
        if pool and (len(pool) == most or held + size > most * _CHARACTERS):
            yield pool
            pool, held = [], 0
        pool.append(item)
        held += size
    if pool:
        yield pool
