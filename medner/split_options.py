"""How a split may be asked for, and what contradicts itself: known without a document."""

from medner.errors import ConfigError

PARTS = ("train", "validation", "test")
TEST = 0.1  # a share of the documents, where nothing says what the test part is


def check_options(
    *,
    seed: int,
    validation: int | float,
    test: int | float = 0,
    folds: int | None = None,
    fold: int | None = None,
    test_ids: object = None,
    official: object = None,
) -> None:
    """ConfigError, in one line, where an option is out of range or contradicts another.

    Needs no data: of ``test_ids`` and ``official`` it matters only whether they are given (not
    None, False or empty). The other options are those of :func:`medner.split.make_split`.
    """
    given = {
        "folds": folds is not None,
        "test": test != 0,
        "test_ids": bool(test_ids),
        "official": bool(official),
    }
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise ConfigError(
            f"{' and '.join(names)} contradict each other: each says what the test part is; "
            "give one of them"
        )
    if not _whole(seed) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed}: give a whole number from 0 to {2**32 - 1}")
    for name, value in (("validation", validation), ("test", test)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        none = name == "test" and value == 0
        if not (number and (none or 0 < value < 1 or (value >= 1 and float(value).is_integer()))):
            raise ConfigError(
                f"{name}={value}: give a share below 1 or a whole number of documents"
                + (" (0 for none)" if name == "test" else "")
            )
    if fold is not None and folds is None:
        raise ConfigError(f"fold={fold} without folds: say of how many, as in folds=5 fold={fold}")
    if folds is not None:
        if not _whole(folds) or folds < 2:
            raise ConfigError(f"folds={folds}: give a whole number of at least 2")
        if not _whole(fold) or not 1 <= fold <= folds:
            raise ConfigError(f"fold={fold} of folds={folds}: give a fold from 1 to {folds}")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
