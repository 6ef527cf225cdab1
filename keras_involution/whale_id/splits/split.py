"""The split protocols, and one function for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pandas as pd

from keras_involution._arguments import one_of, positive_integer, received
from keras_involution.whale_id.splits._given import given_split
from keras_involution.whale_id.splits._time import time_split
from keras_involution.whale_id.splits._units import (
    NEITHER,
    TEST,
    TEST_KNOWN,
    TEST_NEW,
    TRAIN,
    animal_groups,
    in_hash_order,
    take_groups,
    take_units,
)
from keras_involution.whale_id.splits.encounters import find_encounters
from keras_involution.whale_id.tables import UNKNOWN

PROTOCOLS = ("closed", "open", "disjoint", "folds", "time", "given")


def split_table(
    table: pd.DataFrame,
    protocol: str = "closed",
    *,
    test: float = 0.2,
    new: float = 0.1,
    seed: int = 0,
    encounters: str | None = "auto",
    together: pd.DataFrame | None = None,
    folds: int = 5,
    fold: int = 0,
    cutoff: str | None = None,
    given: str = "split",
    column: str = "split",
    within: tuple[str, str] | None = None,
) -> pd.DataFrame:
    """Splits the photos of a table into training and test sets.

    The split depends on hashes of the ids instead of random numbers. The same table
    gives the same split on every machine and for any order of its rows.

    | `protocol` | the test photos |
    | --- | --- |
    | `"closed"` | photos of animals that are also in training: `test` |
    | `"open"` | as before, `test_known`, and all photos of some animals, `test_new` |
    | `"disjoint"` | all photos of some animals: `test` |
    | `"folds"` | as before, for one of `folds` parts of the animals |
    | `"time"` | the latest photos: `test_known`, or `test_new` for new animals |
    | `"given"` | as in the column `given` |

    Photos of unknown animals are never used for training. With an open protocol they
    are `test_new`, unless their encounter is in training. With other protocols they are
    in neither part, which is written as "".

    Args:
        table: DataFrame as returned by `read_table`.
        protocol: String, one of the above.
        test: Float, the fraction of test photos; with `"open"`, of known animals.
        new: Float, the fraction of photos of new animals, for `"open"`.
        seed: Integer; another value gives another split.
        encounters: String, a column such as `"encounter"`. Photos with the same value
            are kept on one side. `"auto"` uses `find_encounters`; `None` treats every
            photo separately, so frames of one sighting may be on both sides.
        together: DataFrame from `find_copies`: pairs of rows that are kept on one side.
            If the column `given` separates them, the test photo moves to training.
        folds: Integer, number of folds.
        fold: Integer, the fold used for testing, from 0.
        cutoff: String, the first day of the test, for `"time"`; `None` uses the day
            for which the fraction of test photos is nearest to `test`.
        given: String, the column for `"given"`.
        column: String, the column to write.
        within: Tuple of a column and a value: only these rows are split, the others
            are in neither part. `("split", "train")` makes a validation split.

    Returns:
        DataFrame, a copy of the table with `column` in "train", "test", "test_known",
        "test_new", "".

    Raises:
        ValueError: If an argument is out of range, a column is missing, or the training
            or test set would be empty.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id import from_wildlife, split_table
    >>> names = ["A"] * 4 + ["B"] * 5 + ["C"]
    >>> df = pd.DataFrame({"identity": names, "path": names, "image_id": range(10)})
    >>> table = split_table(from_wildlife(df), "closed", test=0.3)
    >>> sorted(table["identity"][table["split"] == "test"].unique())
    ['A', 'B']
    """
    one_of(protocol, PROTOCOLS, "protocol")
    _check_fractions(protocol, test, new)
    if not column or column in _FACTS:
        raise ValueError(
            "The split needs a separate column. " + received(column=column)
        )
    for name in (within or ())[:1]:
        if name not in table:
            raise ValueError(f"The column does not exist. {received(column=name)}")
    rows = table if within is None else table[table[within[0]] == within[1]]
    options: dict[str, Any] = {"test": test, "new": new, "seed": seed}
    options |= {"folds": folds, "fold": fold, "cutoff": cutoff, "given": given}
    known = rows if protocol in ("given", "time") else rows[rows["identity"] != UNKNOWN]
    if known.empty:
        raise ValueError(f"There are no rows to split. {received(rows=len(table))}")
    unit = _units(rows, find_encounters(rows, encounters).names, table, together)
    parts = _PARTS[protocol](known, unit[known.index], options)
    all_parts = pd.Series(NEITHER, table.index, dtype=object)
    if protocol == "open":
        trained = set(unit[known.index][parts == TRAIN])
        all_parts[rows.index[~unit.isin(trained)]] = TEST_NEW
    all_parts[known.index] = parts
    if protocol == "given" and together is not None:
        all_parts = _moved(all_parts, table, together)
    _check_sides(all_parts, protocol)
    return table.assign(**{column: all_parts})


_FACTS = (
    "image_id", "identity", "path", "bbox", "species", "date", "orientation",
    "viewpoint", "encounter",
)  # fmt: skip


def _units(
    rows: pd.DataFrame, unit: pd.Series, table: pd.DataFrame, together: Any
) -> pd.Series:
    """Encounters, merged if they contain copies of the same photo."""
    if together is None:
        return unit
    names = unit.to_dict()
    parent = {name: name for name in names.values()}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for first, second in zip(together["first"], together["second"]):
        pair = table.index[[first, second]]
        if pair.isin(rows.index).all():
            one, other = sorted(root(names[row]) for row in pair)
            parent[other] = one
    return unit.map(root)


def _moved(parts: pd.Series, table: pd.DataFrame, together: pd.DataFrame) -> pd.Series:
    """Moves test photos that are copies of training photos to training."""
    parts = parts.copy()
    changed = True
    while changed:
        changed = False
        for first, second in zip(together["first"], together["second"]):
            pair = table.index[[first, second]]
            sides = {parts[row] for row in pair}
            if TRAIN in sides and len(sides - {NEITHER}) > 1:
                parts[pair] = TRAIN
                changed = True
    return parts


def _closed(table: pd.DataFrame, unit: pd.Series, o: dict[str, Any]) -> pd.Series:
    taken = take_units(table, unit, o["test"] * len(table), o["seed"])
    return _where(unit.isin(taken), TEST)


def _open(table: pd.DataFrame, unit: pd.Series, o: dict[str, Any]) -> pd.Series:
    groups = table["identity"].map(animal_groups(table, unit))
    is_new = groups.isin(take_groups(groups, o["new"] * len(table), o["seed"]))
    old = table[~is_new]
    taken = take_units(old, unit[~is_new], o["test"] * len(table), o["seed"])
    parts = _where(unit.isin(taken) & ~is_new, TEST_KNOWN)
    return parts.mask(is_new, TEST_NEW)


def _disjoint(table: pd.DataFrame, unit: pd.Series, o: dict[str, Any]) -> pd.Series:
    groups = table["identity"].map(animal_groups(table, unit))
    return _where(
        groups.isin(take_groups(groups, o["test"] * len(table), o["seed"])), TEST
    )


def _folds(table: pd.DataFrame, unit: pd.Series, o: dict[str, Any]) -> pd.Series:
    """Assigns groups, largest first, to the fold with the fewest photos."""
    number = positive_integer(o["folds"], "folds")
    one_of(o["fold"], range(number), "fold")
    groups = table["identity"].map(animal_groups(table, unit))
    sizes = Counter(groups)
    filled = [0] * number
    place = {}
    for name in sorted(in_hash_order(groups, o["seed"]), key=lambda n: -sizes[n]):
        place[name] = filled.index(min(filled))
        filled[place[name]] += sizes[name]
    return _where(groups.map(place) == o["fold"], TEST)


def _time(table: pd.DataFrame, unit: pd.Series, o: dict[str, Any]) -> pd.Series:
    return time_split(table, unit, o["test"], o["cutoff"])


def _given(table: pd.DataFrame, unit: pd.Series, o: dict[str, Any]) -> pd.Series:
    parts = given_split(table, o["given"])
    return parts.mask((parts == TRAIN) & (table["identity"] == UNKNOWN), NEITHER)


_PARTS: dict[str, Callable[[pd.DataFrame, pd.Series, dict[str, Any]], pd.Series]] = {
    "closed": _closed,
    "open": _open,
    "disjoint": _disjoint,
    "folds": _folds,
    "time": _time,
    "given": _given,
}


def _where(chosen: pd.Series, part: str) -> pd.Series:
    return pd.Series(TRAIN, chosen.index, dtype=object).mask(chosen, part)


def _check_fractions(protocol: str, test: float, new: float) -> None:
    if not 0 < test < 1 or (protocol == "open" and not (new > 0 and test + new < 1)):
        raise ValueError(
            "`test` and `new` must be fractions above 0, and their sum below 1. "
            f"{received(test=test, new=new)}"
        )


def _check_sides(parts: pd.Series, protocol: str) -> None:
    counts = parts.value_counts().to_dict()
    if TRAIN not in counts or not set(counts) - {TRAIN, NEITHER}:
        raise ValueError(
            "The training or test set would be empty: too few animals have a second "
            "photo or encounter, or all are linked by encounters. "
            f"{received(protocol=protocol, counts=counts)}"
        )
