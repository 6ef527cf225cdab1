"""The protocols of splitting, and one function for all."""

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
    """Says for every photo whether it trains or tests.

    Hashes of the ids decide, not a random generator: the same table gives the same
    split on every machine and for any order of its rows.

    | `protocol` | the test photos |
    | --- | --- |
    | `"closed"` | of animals that also train: `test` |
    | `"open"` | the same, `test_known`, and all of some animals, `test_new` |
    | `"disjoint"` | all of some animals: `test` |
    | `"folds"` | the same, one of `folds` parts of the animals |
    | `"time"` | the latest: `test_known`, or `test_new` if the animal is new then |
    | `"given"` | as the column `given` says |

    Photos of unknown animals never train. Where the protocol is open they are
    `test_new`, unless their encounter trains; elsewhere they are in neither part, which
    is written as "".

    Args:
        table: DataFrame as `read_table` gives it.
        protocol: String, one of the above.
        test: Float, the fraction of the photos in the test; with `"open"`, of
            known animals.
        new: Float, the fraction of new animals' photos, for `"open"`.
        seed: Integer; another one gives another split.
        encounters: String, a column such as `"encounter"`: photos with the same
            value stay on one side. `"auto"` finds encounters by `find_encounters`;
            `None` treats every photo alone, so that frames of one sighting may
            stand on both sides.
        together: DataFrame of `find_copies`: pairs of rows that stay on one side.
            Where the column `given` separates them, the tested one trains.
        folds: Integer, number of folds.
        fold: Integer, the fold that is tested, from 0.
        cutoff: String, the first day of the test, for `"time"`; `None` finds the day
            for which the test comes nearest to the fraction `test`.
        given: String, the column for `"given"`.
        column: String, the column that is written.
        within: Tuple of a column and a value: only these rows are split, the others
            are in neither part. `("split", "train")` makes a validation split.

    Returns:
        DataFrame, a copy of the table with `column` in "train", "test", "test_known",
        "test_new", "".

    Raises:
        ValueError: If an argument is out of range, a column is missing, or nothing
            would train or nothing would be tested.

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
            "The split needs a column of its own. " + received(column=column)
        )
    for name in (within or ())[:1]:
        if name not in table:
            raise ValueError(f"There is no such column. {received(column=name)}")
    rows = table if within is None else table[table[within[0]] == within[1]]
    options: dict[str, Any] = {"test": test, "new": new, "seed": seed}
    options |= {"folds": folds, "fold": fold, "cutoff": cutoff, "given": given}
    known = rows if protocol in ("given", "time") else rows[rows["identity"] != UNKNOWN]
    if known.empty:
        raise ValueError(f"There is nothing to split. {received(rows=len(table))}")
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
    """Encounters, joined where photos of two of them are copies."""
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
    """Tested copies of photos that train train as well."""
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
    """The largest group first, each to the fold that has the fewest photos."""
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
            "`test` and `new` must be fractions above 0, together below 1. "
            f"{received(test=test, new=new)}"
        )


def _check_sides(parts: pd.Series, protocol: str) -> None:
    counts = parts.value_counts().to_dict()
    if TRAIN not in counts or not set(counts) - {TRAIN, NEITHER}:
        raise ValueError(
            "Nothing would train or nothing would be tested: too few animals have a "
            "second photo or encounter, or all are linked by encounters. "
            f"{received(protocol=protocol, counts=counts)}"
        )
