"""Documents that a model is scored on and that are no news to it: twins on both sides.

Two documents are twins if they belong to one group: their texts are equal or nearly equal, they are
one patient's (:mod:`medner.duplicates`), or a file says that they belong together. A chain of such
pairs makes one group.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medner.documents import Document
from medner.duplicates import find_groups, merge_groups
from medner.id_files import count, some

TWIN = "a twin (nearly the same text, or the same group)"
WORTHLESS = "a score on a twin says nothing about new documents"
# the parts that a model, or the choice of its best epoch, has seen before it is scored on one
_BEFORE = (("validation", "train"), ("test", "train"), ("test", "validation"))


@dataclass(frozen=True, slots=True)
class Leak:
    """What ``part`` shares with ``source``.

    ``twins``: the ids of its documents that have a twin there, sorted, and one twin of each.
    ``documents``: how many it has in all.
    """

    part: str
    source: str
    documents: int
    twins: Mapping[str, str]

    @property
    def share(self) -> float:
        return len(self.twins) / self.documents if self.documents else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"share": self.share, "twins": dict(self.twins)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Leak":
        return cls(**{name: saved[name] for name in cls.__dataclass_fields__})


def find_leaks(
    parts: Mapping[str, Sequence[str]], groups: Iterable[Sequence[str]]
) -> tuple[Leak, ...]:
    """What validation shares with train, and test with both; parts without documents aside.

    Args:
        parts: ids by part.
        groups: ids that belong together; lists that overlap are united.
    """
    merged = merge_groups(groups)
    return tuple(
        Leak(part, source, len(parts[part]), _twins(parts[part], parts[source], merged))
        for part, source in _BEFORE
        if parts.get(part) and parts.get(source)
    )


def _twins(
    ids: Iterable[str], others: Iterable[str], groups: Iterable[Sequence[str]]
) -> dict[str, str]:
    ids, others = set(ids), set(others)
    found = {}
    for group in groups:
        twin = next((id for id in group if id in others), None)
        if twin is not None:
            found |= {id: twin for id in group if id in ids}
    return dict(sorted(found.items()))


def leaks_of(report: Mapping[str, Any]) -> tuple[Leak, ...] | None:
    """What a run's data report says of its split; None where it is of an older program."""
    saved = report["split"].get("leaks")
    return None if saved is None else tuple(map(Leak.from_dict, saved))


def united(leaks: Iterable[Leak]) -> tuple[Leak, ...]:
    """Of the same parts of several folds, which share no document."""
    found: dict[tuple[str, str], Leak] = {}
    for leak in leaks:
        own = (leak.part, leak.source)
        before = found.get(own, Leak(*own, 0, {}))
        twins = dict(sorted({**before.twins, **leak.twins}.items()))
        found[own] = Leak(*own, before.documents + leak.documents, twins)
    return tuple(found.values())


def leak_shares(leaks: Iterable[Leak]) -> str:
    """How much leaks, and from where, without an id: anybody may read it. Empty if nothing does."""
    return ", ".join(
        f"{_of(leak, f'{leak.part} document')} {'has' if len(leak.twins) == 1 else 'have'} "
        f"{'a twin' if number else TWIN} in {leak.source}"
        for number, leak in enumerate(leak for leak in leaks if leak.twins)
    )


def leak_caveat(leaks: Iterable[Leak]) -> str:
    """What stands beside scores on the part whose leaks these are; empty if there are none."""
    shares = leak_shares(leaks)
    return f"The split leaks: {shares}; {WORTHLESS}." if shares else ""


def leak_line(leaks: Sequence[Leak]) -> str:
    """How much leaks, and from where, with up to five pairs; or that nothing does."""
    shares = leak_shares(leaks)
    if not shares:
        parts = list(dict.fromkeys(leak.part for leak in leaks))
        where = "another part" if len(parts) > 1 else "train"
        return f"no leak: no {' or '.join(parts)} document has a twin in {where}"
    pairs = [
        f"{id} ({leak.part}) and {twin} ({leak.source})"
        for leak in leaks
        for id, twin in leak.twins.items()
    ]
    return f"{shares}: {some(pairs)}"


def _of(leak: Leak, noun: str) -> str:
    return f"{len(leak.twins)} of {count(leak.documents, noun)} ({leak.share:.1%})"


def shared_with_training(
    name: str, documents: Sequence[Document], training: Sequence[Document]
) -> Leak:
    """The documents of an evaluation that are, in nearly the same words, in training, too.

    Texts alone decide: a group, like an id, may mean another patient in another corpus. Of several
    twins the one with the same id is named.
    """
    numbered = [Document(f"{number:09}", each.text) for number, each in enumerate(documents)]
    first = len(numbered)
    numbered += [Document(f"{number:09}", d.text) for number, d in enumerate(training, first)]
    twins = {}
    for group in find_groups(numbered).groups:
        members = [int(number) for number in group]
        there = [training[number - first].id for number in members if number >= first]
        for id in (documents[number].id for number in members if number < first):
            if there:
                twins[id] = id if id in there else there[0]
    return Leak(name, "train", len(documents), dict(sorted(twins.items())))


def shared_line(leak: Leak) -> str:
    """What :func:`shared_with_training` found, before scores are read."""
    if not leak.twins:
        return f"no document of {leak.part} is in training (nearly the same text)"
    named = [id if id == twin else f"{id} (there {twin})" for id, twin in leak.twins.items()]
    be = "is" if len(leak.twins) == 1 else "are"
    return (
        f"{_of(leak, 'document')} {be} in training, too (nearly the same text): {some(named)}; "
        f"{WORTHLESS}"
    )
