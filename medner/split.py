"""Documents into train, validation and test: by group, of the sizes asked, every type on each side.

Groups are never cut, unless given ids or a corpus's own parts cut them: see :mod:`medner.leaks`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medner.documents import Document, entity_types
from medner.duplicates import merge_groups
from medner.errors import UserError
from medner.id_files import check_known, count, some
from medner.split_options import PARTS, check_options
from medner.stratify import divide, divide_folds


@dataclass(frozen=True)
class Split:
    """``parts``: the ids of ``train``, ``validation`` and ``test``, sorted; a part may be empty.

    ``notes``: what could not be had (sizes, types), one sentence each.
    """

    parts: dict[str, tuple[str, ...]]
    seed: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return {
            "parts": {part: list(ids) for part, ids in self.parts.items()},
            "seed": self.seed,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, saved: Mapping) -> "Split":
        return cls(
            parts={part: tuple(ids) for part, ids in saved["parts"].items()},
            seed=saved["seed"],
            notes=tuple(saved["notes"]),
        )


def make_split(
    documents: Iterable[Document],
    *,
    seed: int,
    validation: int | float,
    test: int | float = 0,
    folds: int | None = None,
    fold: int | None = None,
    test_ids: Sequence[str] | None = None,
    official: Mapping[str, Sequence[str]] | None = None,
    groups: Iterable[Sequence[str]] = (),
) -> Split:
    """The same split for the same documents in any order; no global random state is touched.

    ``validation``, ``test``: a share below 1 of the documents that are to be divided, or a whole
    number of documents. ``folds``, ``fold``: the test part is fold ``fold`` (from 1) of ``folds``,
    and validation is cut from the other folds. ``test_ids``: the test part; the rest is divided.
    ``official``: the corpus's own train, validation and test, used as they are; ``validation`` is
    cut from train only where there is no such part. ``groups``: lists of ids that belong together
    (lists that overlap are united), such as :func:`medner.duplicates.find_groups` finds, which
    looks at ``Document.group`` too; documents named in none stand alone.

    Raises ConfigError (see :func:`medner.split_options.check_options`), and UserError for ids that
    are unknown or not unique and for parts that cannot be filled.
    """
    check_options(
        seed=seed, validation=validation, test=test, folds=folds, fold=fold,
        test_ids=test_ids, official=official,
    )  # fmt: skip
    table = _Table(documents, groups)
    rng = np.random.RandomState(seed)
    part = np.full(len(table.ids), -1)  # -1: to be divided
    notes = []
    if official:
        table.assign_official(part, official)
    elif test_ids:
        check_known(test_ids, table.ids, "test_ids")
        part[table.among(test_ids)] = 2
    elif folds:
        labels, sizes = table.of_groups(part == -1)
        if folds > len(sizes):
            raise UserError(f"folds={folds}: the documents are only {count(len(sizes), 'group')}")
        fold_of = divide_folds(labels, sizes, folds, rng)
        part[fold_of[table.group] == fold - 1] = 2
        size, even = int((part == 2).sum()), len(part) / folds
        if abs(size - even) >= 1:
            notes.append(
                f"Fold {fold} has {count(size, 'document')} where {folds} equal folds would have "
                f"{even:g} each, because groups are kept whole."
            )
    if (part == -1).any():
        notes += _divide_rest(table, part, validation, test, rng)
    if not (part == 0).any():
        raise UserError(
            "no document is left to train on; give the whole corpus, or divide what there is "
            "(official=false)"
        )
    return Split(
        parts={
            name: tuple(id for id, of in zip(table.ids, part, strict=True) if of == number)
            for number, name in enumerate(PARTS)
        },
        seed=seed,
        notes=(*notes, *_type_notes(table, part)),
    )


class _Table:
    """Documents sorted by id: ``ids``; ``group`` (documents,), the number of each one's group, in
    order of their first ids; ``types``; ``has`` (documents, types), whether it has such an entity.
    """

    def __init__(self, documents: Iterable[Document], groups: Iterable[Sequence[str]]) -> None:
        documents = sorted(documents, key=lambda document: document.id)
        if not documents:
            raise UserError("there are no documents to split")
        self.ids = [document.id for document in documents]
        repeated = [id for id, count in Counter(self.ids).items() if count > 1]
        if repeated:
            raise UserError(f"document ids must be unique, but repeat: {some(repeated)}")
        groups = [tuple(group) for group in groups]
        check_known((id for group in groups for id in group), self.ids, "groups")
        first = {id: group[0] for group in merge_groups(groups) for id in group}
        numbers: dict[str, int] = {}
        self.group = np.array([numbers.setdefault(first.get(i, i), len(numbers)) for i in self.ids])
        self.types = entity_types(documents)
        column = {type_: number for number, type_ in enumerate(self.types)}
        self.has = np.zeros((len(documents), len(column)), dtype=bool)
        for row, document in zip(self.has, documents, strict=True):
            row[[column[entity.type] for entity in document.entities]] = True

    def among(self, ids: Iterable[str]) -> np.ndarray:
        ids = set(ids)
        return np.array([id in ids for id in self.ids])

    def of_groups(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(groups, types) and (groups,): types and sizes of all groups in the chosen documents."""
        sizes = np.bincount(self.group[chosen], minlength=self.group.max() + 1)
        labels = np.zeros((len(sizes), len(self.types)), dtype=bool)
        np.logical_or.at(labels, self.group[chosen], self.has[chosen])
        return labels, sizes

    def assign_official(self, part: np.ndarray, official: Mapping[str, Sequence[str]]) -> None:
        """Fill ``part`` (documents,) with the corpus's own; train stays open for validation."""
        for name, ids in official.items():
            if name not in PARTS:
                raise UserError(f"official part {name}: the parts are {', '.join(PARTS)}")
            check_known(ids, self.ids, f"official {name}")
        listed = Counter(id for ids in official.values() for id in set(ids))
        wrong = [id for id in self.ids if listed[id] != 1]
        if wrong:
            raise UserError(f"documents in no official part, or in several: {some(wrong)}")
        for name, ids in official.items():
            part[self.among(ids)] = PARTS.index(name)
        if not official.get("validation"):
            part[part == 0] = -1


def _divide_rest(
    table: _Table,
    part: np.ndarray,
    validation: int | float,
    test: int | float,
    rng: np.random.RandomState,
) -> list[str]:
    """Divide the documents at -1 in ``part``, in place; notes on sizes that could not be had.

    What shares a group with documents that are already placed stays in train.
    """
    rest = part == -1
    total = int(rest.sum())
    targets = (_documents(validation, total), _documents(test, total))
    fewer = "; test=0 asks for no test part" if test else ""
    if sum(targets) >= total:
        asked = f"validation={validation}" + (f" and test={test}" if test else "")
        raise UserError(
            f"{asked}: nothing is left to train on of {count(total, 'document')}{fewer}"
        )
    labels, sizes = table.of_groups(rest)
    groups = np.flatnonzero(sizes)
    pinned = np.isin(groups, table.group[~rest])
    try:
        placed = divide(labels[groups], sizes[groups], targets, rng, pinned)
    except ValueError:
        raise UserError(
            f"the {count(total, 'document')} to divide are {count(len(groups), 'group')}, of "
            f"which {pinned.sum()} must stay in train: too few for one in each part{fewer}"
        ) from None
    part[rest] = placed[np.searchsorted(groups, table.group[rest])]
    return [
        f"{PARTS[number].capitalize()} has {count(size, 'document')} where {target} "
        f"{'was' if target == 1 else 'were'} asked for, because groups are kept whole."
        for number, target in ((1, targets[0]), (2, targets[1]))
        if target and (size := int((part[rest] == number).sum())) != target
    ]


def _type_notes(table: _Table, part: np.ndarray) -> list[str]:
    """A sentence for each type that is missing from a part (parts without documents aside)."""
    filled = [number for number in range(len(PARTS)) if (part == number).any()]
    groups = table.of_groups(part >= 0)[0].sum(axis=0)
    notes = []
    for column, type_ in enumerate(table.types):
        without = [PARTS[n] for n in filled if not table.has[part == n, column].any()]
        if without:
            unlearnt = ", so it cannot be learned" if PARTS[0] in without else ""
            notes.append(
                f"{type_} occurs in {count(int(groups[column]), 'group')} of documents and is "
                f"missing from {' and '.join(without)}{unlearnt}."
            )
    return notes


def _documents(asked: int | float, total: int) -> int:
    """A number of documents from a share (at least one, unless it is 0) or a number."""
    return int(asked) if asked >= 1 or not asked else max(1, int(asked * total + 0.5))
