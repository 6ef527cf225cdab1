"""Applies decisions to a table."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.catalog import decisions as kinds
from keras_involution.whale_id.catalog import history as histories
from keras_involution.whale_id.tables import OPEN_CLASS, UNKNOWN

_NEW_NAME = "new_{number}"


def apply_decisions(
    table: pd.DataFrame,
    decisions: pd.DataFrame,
    history: pd.DataFrame | None = None,
    *,
    who: str = "",
    when: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Applies decisions to a table.

    Decisions are applied in the order of the file. If one of them cannot be applied,
    none is.

    Args:
        table: DataFrame as returned by `read_table`.
        decisions: DataFrame as returned by `read_decisions`.
        history: DataFrame, the history of the table; `None` starts a new one.
        who: String, the person, for decisions that do not name one.
        when: String, the time, for decisions without a time; `None` is now.

    Returns:
        The table and its history, which has one more step.

    Raises:
        ValueError: If a photo is missing from the table or occurs twice, two
            decisions assign a photo to different animals, an animal to merge, rename
            or split is not in the table, or a new name is already used.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id import apply_decisions, from_wildlife
    >>> df = {"image_id": ["1"], "identity": ["unknown"], "path": ["1.jpg"]}
    >>> made = {"image_id": ["1"], "decision": ["accept"], "identity": ["Luna"]}
    >>> table, history = apply_decisions(
    ...     from_wildlife(pd.DataFrame(df)), pd.DataFrame(made), who="Ann"
    ... )
    >>> table["identity"].to_list(), history["before"].to_list()
    (['Luna'], ['unknown'])
    """
    frame = decisions.reindex(columns=list(kinds.COLUMNS), fill_value="").fillna("")
    kinds.check_decisions(frame)
    past = histories.empty_history() if history is None else history
    work = _Work(table, frame)
    step = 1 if past.empty else int(past["step"].max()) + 1
    now = _now() if when is None else when
    rows = [
        (step, decision.when or now, decision.who or who, *change)
        for decision in frame.itertuples()
        for change in work.changes(decision)
    ]
    return work.table, _joined(past, rows)


def undo_decisions(
    table: pd.DataFrame,
    history: pd.DataFrame,
    *,
    who: str = "",
    when: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Undoes the last step of a history that has not been undone yet.

    Args:
        table: DataFrame that the history belongs to.
        history: DataFrame as returned by `read_history`.
        who: String, the person.
        when: String, the time; `None` is now.

    Returns:
        The table and its history, which has one more step: nothing is removed from it.

    Raises:
        ValueError: If there is nothing to undo, or the table has changed since.
    """
    step = histories.last_step(history)
    if step is None:
        raise ValueError(
            f"There is no decision to undo. {received(steps=len(history))}"
        )
    work = _Work(table, pd.DataFrame(columns=list(kinds.COLUMNS)))
    now = _now() if when is None else when
    number = int(history["step"].max()) + 1
    rows = []
    for change in history[history["step"] == step].iloc[::-1].itertuples():
        image_id, before, after = map(
            str, (change.image_id, change.before, change.after)
        )
        if before != after:
            work.move(image_id, after, before)
        rows.append(
            (number, now, who, histories.UNDO, change.image_id)
            + (change.after, change.before)
        )
    return work.table, _joined(history, rows)


class _Work:
    """A copy of the table in which the identities are changed."""

    def __init__(self, table: pd.DataFrame, decisions: pd.DataFrame) -> None:
        self.table = table.copy()
        self.rows: dict[str, int] = {}
        for row, name in zip(table.index, table["image_id"].astype(str)):
            if name in self.rows:
                raise ValueError(
                    "A photo occurs twice in the table; `whale-id check` lists all. "
                    + received(image_id=name)
                )
            self.rows[name] = row
        self.decided: dict[str, str] = {}
        # Names of new animals in the file; a name may occur several times.
        self.fresh: set[str] = set()
        self.taken = set(table["identity"]) | set(decisions["identity"])

    def changes(self, decision: object) -> Iterator[tuple[str, str, str, str]]:
        """Applies a decision: kind, photo, identity before and after."""
        kind = decision.decision  # type: ignore[attr-defined]
        image_id = decision.image_id  # type: ignore[attr-defined]
        identity = decision.identity  # type: ignore[attr-defined]
        into = decision.into  # type: ignore[attr-defined]
        if kind in (kinds.MERGE, kinds.RENAME):
            self._check_animal(identity)
            self._check_target(kind, into)
            found = self.table["identity"] == identity
            for name in self.table.loc[found, "image_id"].astype(str):
                yield kind, name, self.move(name, identity, into), into
            return
        before = self._identity(image_id)
        if kind == kinds.REJECT:
            yield kind, image_id, before, before
            return
        if kind == kinds.SPLIT:
            self._check_animal(identity)
            self._check_target(kind, into)
            yield kind, image_id, self.move(image_id, identity, into), into
            return
        after = self._new(identity) if kind == kinds.NEW else _usable(identity)
        if self.decided.setdefault(image_id, after) != after:
            raise ValueError(
                "Two decisions assign one photo to different animals. "
                + received(
                    image_id=image_id, identities=[self.decided[image_id], after]
                )
            )
        yield kind, image_id, self.move(image_id, before, after), after

    def move(self, image_id: str, before: str, after: str) -> str:
        """Assigns a photo to another animal; the previous one must be as expected."""
        found = self._identity(image_id)
        if found != before:
            raise ValueError(
                "The photo shows a different animal than the decision expects. "
                + received(image_id=image_id, identity=found, expected=before)
            )
        self.table.at[self.rows[image_id], "identity"] = after
        return found

    def _identity(self, image_id: str) -> str:
        if image_id not in self.rows:
            raise ValueError(
                "The photo is not in the table; `--add` adds the table that has "
                f"it. {received(image_id=image_id)}"
            )
        return str(self.table.at[self.rows[image_id], "identity"])

    def _check_animal(self, identity: str) -> None:
        if not (self.table["identity"] == identity).any():
            raise ValueError(
                f"The animal is not in the table. {received(identity=identity)}"
            )

    def _check_target(self, kind: str, into: str) -> None:
        known = (self.table["identity"] == _usable(into)).any()
        if kind == kinds.MERGE:
            self._check_animal(into)
        elif known and into not in self.fresh:
            raise ValueError(
                f"The new name in the decision {kind} is already used in the table. "
                f"{received(into=into)}"
            )
        if kind == kinds.SPLIT:
            self.fresh.add(into)

    def _new(self, identity: str) -> str:
        """The name of a new animal: as given, or the next free one."""
        if identity and identity not in OPEN_CLASS:
            if (self.table["identity"] == identity).any() and (
                identity not in self.fresh
            ):
                raise ValueError(
                    "The name of a new animal is already used in the table. "
                    + received(identity=identity)
                )
            self.fresh.add(identity)
            return identity
        number = 1
        while (name := _NEW_NAME.format(number=number)) in self.taken:
            number += 1
        self.taken.add(name)
        return name


def _usable(identity: str) -> str:
    if identity in OPEN_CLASS and identity != UNKNOWN:
        raise ValueError(
            f"This name is reserved for new animals. {received(identity=identity)}"
        )
    return identity


def _joined(history: pd.DataFrame, rows: list[tuple]) -> pd.DataFrame:
    added = pd.DataFrame(rows, columns=list(histories.COLUMNS))
    parts = [part for part in (history, added) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else history


def _now() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")
