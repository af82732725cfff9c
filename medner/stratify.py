"""Groups of documents into parts: stratified by type, exact in size, then repaired.

The start is the iterative stratification of Sechidis, Tsoumakas and Vlahavas (2011) from the
package ``iterative-stratification``. It knows nothing of group sizes and leaves rare types off a
part, so the sizes are set right and groups are swapped until each type is where it is wanted.

Throughout: ``labels`` (groups, types) is True where a group has an entity of the type, ``sizes``
(groups,) counts documents, ``part`` (groups,) numbers parts from 0, ``wanted`` (types, parts) is
True where a part should have the type.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

ATTEMPTS = 10  # starts to try, as long as something wanted is missing
LOSS = 1e6  # what losing a wanted type weighs, against balance
SEARCHED = 2000  # groups of each side that a search for a swap looks at: bounds the work
EXCHANGED = 50  # the same for exchanges of unequal groups


def divide(
    labels: np.ndarray,
    sizes: np.ndarray,
    targets: tuple[int, int],
    rng: np.random.RandomState,
    pinned: np.ndarray,
) -> np.ndarray:
    """Part of each group: 0 train, 1 validation, 2 test.

    ``targets``: documents wanted in validation and test; 0 makes no such part. ``pinned`` groups
    stay in train. The sizes are met exactly where the group sizes allow it, else as nearly as
    they allow without an empty part. A type with fewer groups than parts is wanted in train
    first, then test, then validation. ValueError where there are fewer groups than parts.
    """
    wanted = np.zeros((labels.shape[1], 3), dtype=bool)
    for rank, number in enumerate([0] + [2] * (targets[1] > 0) + [1] * (targets[0] > 0)):
        wanted[:, number] = labels.sum(axis=0) > rank
    free = ~pinned
    if not free.any():
        raise ValueError("fewer groups than parts")
    shares = np.array([0, *targets]) / max(sizes[free].sum(), sum(targets))
    shares[0] = 1 - shares.sum()

    def start() -> _Parts:
        part = np.zeros(len(sizes), dtype=int)
        part[free] = _stratified(labels[free], shares, rng)
        parts = _Parts(labels, sizes, part, wanted, free, shares)
        _meet_sizes(parts, targets)
        return parts

    return _best(start)


def divide_folds(
    labels: np.ndarray, sizes: np.ndarray, folds: int, rng: np.random.RandomState
) -> np.ndarray:
    """Fold of each group, from 0. No fold is larger than another by more than one of its groups.

    Each type is wanted in every fold, so a rare one is spread over as many as it can be.
    """
    wanted = np.ones((labels.shape[1], folds), dtype=bool)
    shares = np.full(folds, 1 / folds)

    def start() -> _Parts:
        part = _stratified(labels, shares, rng)
        parts = _Parts(labels, sizes, part, wanted, np.ones(len(sizes), dtype=bool), shares)
        _even_out(parts)
        return parts

    return _best(start)


def _best(start: Callable[[], "_Parts"]) -> np.ndarray:
    best, fewest = None, None
    for _ in range(ATTEMPTS):
        parts = start()
        while _swap(parts) or _exchange(parts):
            pass
        missing = int(parts.missing().sum())
        if fewest is None or missing < fewest:
            best, fewest = parts.part, missing
        if missing <= parts.least_missing():
            break
    return best


def _stratified(labels: np.ndarray, shares: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    # The function under both of the package's splitters; scikit-learn takes a second to import.
    from iterstrat.ml_stratifiers import IterativeStratification

    order = rng.permutation(len(labels))
    part = np.empty(len(labels), dtype=int)
    part[order] = IterativeStratification(labels=labels[order], r=shares, random_state=rng)
    return part


@dataclass
class _Parts:
    """A division under repair. ``free`` (groups,): those that may move."""

    labels: np.ndarray
    sizes: np.ndarray
    part: np.ndarray
    wanted: np.ndarray
    free: np.ndarray
    shares: np.ndarray

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.wanted.shape, dtype=int)  # groups with the type, by part
        for number in range(self.wanted.shape[1]):
            self.counts[:, number] = self.labels[self.part == number].sum(axis=0)
        self.balanced = np.outer(self.labels.sum(axis=0), self.shares)

    def missing(self) -> np.ndarray:
        return self.wanted & (self.counts == 0)

    def least_missing(self) -> int:
        """What no division could mend: more parts want the type than groups have it."""
        return int(np.maximum(0, self.wanted.sum(axis=1) - self.labels.sum(axis=0)).sum())

    def members(self, number: int) -> np.ndarray:
        return np.flatnonzero((self.part == number) & self.free)

    def move(self, group: int, to: int) -> None:
        self.counts[self.labels[group], self.part[group]] -= 1
        self.counts[self.labels[group], to] += 1
        self.part[group] = to

    def gains(self, to: int) -> np.ndarray:
        return (self.wanted[:, to] & (self.counts[:, to] == 0)).astype(float)

    def losses(self, of: int) -> np.ndarray:
        return (self.wanted[:, of] & (self.counts[:, of] == 1)).astype(float)

    def imbalance(self, of: int, to: int) -> np.ndarray:
        """By type, what moving one group with it adds to the squared distance from balance."""
        surplus = self.counts - self.balanced
        return 2 * (surplus[:, to] - surplus[:, of] + 1)

    def cheapest(self, of: int, to: int, size: int) -> int:
        """The group of that size that is best moved."""
        there = self.members(of)
        there = there[self.sizes[there] == size]
        return int(there[np.argmin(self.cost(there, of, to))])

    def cost(self, groups: np.ndarray, of: int, to: int) -> np.ndarray:
        """What moving each of the groups alone would cost."""
        weights = LOSS * (self.losses(of) - self.gains(to)) + self.imbalance(of, to)
        return self.labels[groups] @ weights


def _meet_sizes(parts: _Parts, targets: tuple[int, int]) -> None:
    """Move groups until validation and test have the reachable sizes nearest to the targets."""
    pool = np.flatnonzero(parts.free)
    classes, counts = np.unique(parts.sizes[pool], return_counts=True)
    grids = _reachable(classes, counts, targets)
    most = int(parts.sizes[pool].sum()) - int(parts.free.all())  # something is left to train on
    at = _nearest(grids[-1], targets, most)
    # From the largest groups down, so that these stay where they are and small ones make it up.
    for size, count, grid in reversed(list(zip(classes, counts, grids[:-1], strict=True))):
        group = pool[parts.sizes[pool] == size]
        now = [int((parts.part[group] == number).sum()) for number in (1, 2)]
        first = np.arange(min(count, at[0] // size) + 1)[:, None]
        second = np.arange(min(count, at[1] // size) + 1)[None, :]
        possible = (first + second <= count) & grid[at[0] - first * size, at[1] - second * size]
        distance = np.where(possible, abs(first - now[0]) + abs(second - now[1]), np.inf)
        want = np.unravel_index(np.argmin(distance), distance.shape)
        _recount(parts, group, (int(count - sum(want)), int(want[0]), int(want[1])))
        at = (at[0] - int(want[0]) * size, at[1] - int(want[1]) * size)


def _reachable(classes: np.ndarray, counts: np.ndarray, targets: tuple[int, int]) -> list:
    """Grids (validation, test) of the sizes that can be had, with ever larger groups to use.

    A knapsack with bounded counts: the fewest groups of a size that lead to a cell from any cell
    that was reachable without them.
    """
    # The nearest size beyond twice a target is a single group: no other is smaller, but for one.
    second = int(np.repeat(classes, np.minimum(counts, 2))[:2][-1])
    largest = int(classes[-1])
    shape = [min(n + largest, max(2 * n, second)) + 1 if n else 1 for n in targets]
    grids = [np.zeros(shape, dtype=bool)]
    grids[0][0, 0] = True
    for size, count in zip(classes.tolist(), counts.tolist(), strict=True):
        fewest = np.where(grids[-1], 0, np.iinfo(np.int32).max // 2).astype(np.int32)
        for axis in (fewest, fewest.T):
            for row in range(size, len(axis)):
                np.minimum(axis[row], axis[row - size] + 1, out=axis[row])
        grids.append(fewest <= count)
    return grids


def _nearest(grid: np.ndarray, targets: tuple[int, int], most: int) -> tuple[int, int]:
    """The reachable (validation, test) nearest to the targets; neither empty where asked for."""
    cells = np.argwhere(grid)
    filled = ((cells > 0) | (np.array(targets) == 0)).all(axis=1)
    cells = cells[filled & (cells.sum(axis=1) <= most)]
    if not len(cells):
        raise ValueError("fewer groups than parts")
    validation, test = cells[np.argmin(abs(cells - targets).sum(axis=1))]
    return int(validation), int(test)


def _recount(parts: _Parts, groups: np.ndarray, counts: tuple[int, int, int]) -> None:
    """Move as few of the groups, all of one size, as give each part its count of them."""
    while True:
        surplus = [int((parts.part[groups] == n).sum()) - count for n, count in enumerate(counts)]
        if not any(surplus):
            return
        of, to = int(np.argmax(surplus)), int(np.argmin(surplus))
        there = groups[parts.part[groups] == of]
        parts.move(there[np.argmin(parts.cost(there, of, to))], to)


def _even_out(parts: _Parts) -> None:
    """Move or swap groups between the largest and the smallest part while that evens them out."""
    while True:
        totals = np.bincount(parts.part, parts.sizes, len(parts.shares)).astype(int)
        of, to = int(np.argmax(totals)), int(np.argmin(totals))
        excess = totals[of] - totals[to]
        give = np.unique(parts.sizes[parts.members(of)])[:, None]
        take = np.unique(np.append(0, parts.sizes[parts.members(to)]))[None, :]
        shift = give - take
        useful = (shift > 0) & (shift < excess)
        if not useful.any():
            return
        row, column = np.unravel_index(
            np.argmin(np.where(useful, abs(excess - 2 * shift), np.inf)), shift.shape
        )
        taker = parts.cheapest(to, of, take[0, column]) if column else None
        parts.move(parts.cheapest(of, to, give[row, 0]), to)
        if taker is not None:
            parts.move(taker, of)


def _lacking(parts: _Parts) -> Iterator[tuple[int, int, np.ndarray]]:
    """(to, of, groups): parts that lack a type, and groups elsewhere that would bring it."""
    missing = parts.missing()
    for to in np.flatnonzero(missing.any(axis=0)).tolist():
        for of in range(missing.shape[1]):
            there = parts.members(of)
            bringing = there[parts.labels[there][:, missing[:, to]].any(axis=1)]
            if of != to and len(bringing):
                bringing = bringing[np.argsort(parts.sizes[bringing], kind="stable")]
                yield to, of, bringing[:SEARCHED]


def _swap(parts: _Parts) -> bool:
    """Swap two groups of one size so that a missing type is gained and none is lost.

    The smallest such groups, of these the pair that gains most, of these the best balanced.
    """
    best, swap = None, None
    for to, of, bringing in _lacking(parts):
        against = parts.members(to)[:SEARCHED]
        come, go = parts.labels[bringing].astype(float), parts.labels[against].astype(float)
        lost = _only(come, go, parts.losses(of)) + _only(go, come, parts.losses(to)).T
        gained = _only(come, go, parts.gains(to)) + _only(go, come, parts.gains(of)).T
        balance = _only(come, go, parts.imbalance(of, to))
        balance += _only(go, come, parts.imbalance(to, of)).T
        allowed = (lost == 0) & (gained > 0)
        allowed &= parts.sizes[bringing][:, None] == parts.sizes[against][None, :]
        if not allowed.any():
            continue
        size = parts.sizes[bringing][allowed.any(axis=1)][0]
        allowed &= parts.sizes[bringing][:, None] == size
        cost = np.where(allowed, balance - LOSS * gained, np.inf)
        row, column = np.unravel_index(np.argmin(cost), cost.shape)
        if best is None or (size, cost[row, column]) < best:
            best, swap = (size, cost[row, column]), (bringing[row], to, against[column], of)
    if swap:
        parts.move(swap[0], swap[1])
        parts.move(swap[2], swap[3])
    return swap is not None


def _only(these: np.ndarray, those: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(these, those): the weight of the types that one of these has and one of those has not."""
    return (these @ weights)[:, None] - (these * weights) @ those.T


def _exchange(parts: _Parts) -> bool:
    """Where no two groups of one size will do: one group against several, the totals equal."""
    if len(np.unique(parts.sizes[parts.free])) < 2:
        return False
    before, original = parts.missing(), parts.part.copy()
    for to, of, bringing in _lacking(parts):
        sizes = np.unique(parts.sizes[parts.members(to)]).tolist()
        for group in bringing[:EXCHANGED].tolist():
            size = int(parts.sizes[group])
            for back in (0, *(other for other in sizes if other > size)):
                if back:
                    parts.move(parts.cheapest(to, of, back), of)
                parts.move(group, to)
                filled = _fill(parts, to, of, size - back, original)
                after = parts.missing()
                if filled and after.sum() < before.sum() and not (after & ~before).any():
                    return True
                for moved in np.flatnonzero(parts.part != original).tolist():
                    parts.move(moved, original[moved])
    return False


def _fill(parts: _Parts, of: int, to: int, total: int, original: np.ndarray) -> bool:
    """Move groups that have not moved yet, of so many documents together, the cheapest first."""
    if total < 0:
        of, to, total = to, of, -total
    while total:
        there = parts.members(of)
        there = there[(parts.sizes[there] <= total) & (original[there] == of)]
        if not len(there):
            return False
        group = there[np.argmin(parts.cost(there, of, to))]
        parts.move(group, to)
        total -= int(parts.sizes[group])
    return True
