"""All figures of a ranking in one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import replaced_file
from keras_involution.whale_id.metrics import (
    auroc,
    average_precisions,
    baks,
    baus,
    bootstrap_interval,
    frame_distances,
)
from keras_involution.whale_id.metrics.frames import bands
from keras_involution.whale_id.metrics.ranks import ranks_of
from keras_involution.whale_id.open_set import (
    NEW_LABEL,
    Threshold,
    insert_new,
    open_truths,
)
from keras_involution.whale_id.retrieve import Ranking
from keras_involution.whale_id.tables import UNKNOWN
from keras_involution.whale_id.tables.write import write_csv

KNOWN, OPEN, SPECIES_ROWS, FRAMES = "known animals", "open", "species", "frames"
SUFFIXES = (".json", ".csv")
RANKS = (1, 5, 10)


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Args:
        rows: DataFrame with `group`, `name`, `value`, the bootstrap interval `low`,
            `high`, and the number of queries `n`.
        queries: DataFrame with a row for each query: `image_id`, `identity`, `answer`,
            `is_new`, `rank` (from 1, infinite where the animal is not in the ranking),
            `average_precision`, and `open_average_precision` with a threshold.
        protocol: Dictionary of strings: how the figures came about.
    """

    rows: pd.DataFrame
    queries: pd.DataFrame
    protocol: dict[str, str]

    def value(self, group: str, name: str) -> float:
        """One figure."""
        found = self.rows[(self.rows["group"] == group) & (self.rows["name"] == name)]
        if found.empty:
            raise ValueError(
                f"There is no such row. {received(group=group, name=name)}"
            )
        return float(found["value"].iloc[0])

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes JSON, or the rows alone where the name ends in `.csv`.

        Raises:
            ValueError: If it ends in neither, or the file is there and `force` is
                false.
        """
        with replaced_file(path, force, SUFFIXES) as draft:
            if draft.suffix.lower() == ".csv":
                write_csv(self.rows, draft)
            else:
                rows = json.loads(self.rows.to_json(orient="records"))
                content = {"protocol": self.protocol, "rows": rows}
                draft.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def evaluate(
    ranking: Ranking,
    queries: pd.DataFrame,
    database: pd.DataFrame,
    *,
    threshold: Threshold | None = None,
    image_precisions: np.ndarray | None = None,
    counter: str = "photo_number",
) -> Evaluation:
    """Measures a ranking.

    Queries of animals without a photograph in the database are new; they count in the
    group "open" only. MAP@5 is Kaggle's; "image mAP" ranks photographs and is another
    quantity. Intervals hold 95 % of 1000 draws of the queries. What cannot be computed,
    for want of known or of new animals, has no row; the protocol says what and why.

    Args:
        ranking: `Ranking` (Q, K) of known animals.
        queries: DataFrame, the table of the Q queries with their true identities.
        database: DataFrame, the table of the database.
        threshold: `Threshold` of new animals, chosen on validation queries; without it
            the group "open" has the AUROC only.
        image_precisions: Array (Q,), from `image_average_precisions`.
        counter: String, the column of the camera's counter, for the rows by the
            distance to the nearest training frame; left out where there is none.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: If there are not as many queries as rankings.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id import Ranking, evaluate
    >>> columns = ["image_id", "identity"]
    >>> queries = pd.DataFrame([["1", "A"], ["2", "A"]], columns=columns)
    >>> database = pd.DataFrame([["3", "A"], ["4", "B"]], columns=columns)
    >>> ranking = Ranking([["A", "B"], ["B", "A"]], [[0.9, 0.1], [0.8, 0.2]])
    >>> evaluate(ranking, queries, database).value("known animals", "MAP@5")
    0.75
    """
    if len(queries) != len(ranking):
        raise ValueError(
            "`queries` must have a row for each query of the ranking. "
            f"{received(queries=len(queries), ranking=len(ranking))}"
        )
    found = _found(ranking, queries, database, threshold)
    if image_precisions is not None:
        found["image_average_precision"] = image_precisions
    parts = [_known(found[~found["is_new"]]), _open(found, ranking, threshold)]
    if "species" in queries:
        found["species"] = queries["species"].to_numpy()
        parts.append(_groups(found, SPECIES_ROWS, _by_species(found)))
    if counter in queries and counter in database:
        masks = bands(frame_distances(queries, database, counter))
        parts.append(_groups(found, FRAMES, masks))
    columns = ["group", "name", "value", "low", "high", "n"]
    rows = [row for part in parts for row in part]
    return Evaluation(
        pd.DataFrame(rows, columns=columns),
        found,
        _protocol(found, database, threshold),
    )


def _found(
    ranking: Ranking,
    queries: pd.DataFrame,
    database: pd.DataFrame,
    threshold: Threshold | None,
) -> pd.DataFrame:
    """What each query has earned."""
    known = set(database["identity"]) - {UNKNOWN}
    truths = open_truths(queries["identity"].to_list(), known)
    labels = list(ranking.labels)
    found = pd.DataFrame(
        {
            "image_id": queries["image_id"].to_numpy(),
            "identity": queries["identity"].to_numpy(),
            "answer": ranking.labels[:, 0] if ranking.labels.size else [],
            "is_new": [truth == NEW_LABEL for truth in truths],
            "rank": ranks_of(truths, labels) + 1,
            "average_precision": average_precisions(truths, labels),
        }
    )
    if threshold is not None:
        species = queries.get("species", pd.Series(None, queries.index, dtype=object))
        full = insert_new(ranking, threshold.values(species.to_list()))
        found["answer"] = full.labels[:, 0]
        found["open_average_precision"] = average_precisions(truths, list(full.labels))
    return found


Row = tuple[str, str, float, float, float, int]


def _row(group: str, name: str, values: pd.Series) -> Row:
    low, high = bootstrap_interval(values.to_numpy("float64"))
    value = float(values.mean()) if len(values) else float("nan")
    return group, name, value, low, high, len(values)


def _known(found: pd.DataFrame) -> Iterator[Row]:
    if found.empty:
        return
    for rank in RANKS:
        yield _row(KNOWN, f"top-{rank}", found["rank"] <= rank)
    yield _row(KNOWN, "MAP@5", found["average_precision"])
    if "image_average_precision" in found:
        yield _row(KNOWN, "image mAP", found["image_average_precision"])


def _open(
    found: pd.DataFrame, ranking: Ranking, threshold: Threshold | None
) -> Iterator[Row]:
    new = found["is_new"]
    if not new.any():
        return
    first: Any = ranking.scores[:, 0]
    if not new.all():
        yield _drawn(
            "AUROC of new",
            found,
            lambda f: auroc(list(first[f.index]), list(f["is_new"])),
        )
    if threshold is None:
        return
    earned = found["open_average_precision"]
    yield _row(OPEN, "MAP@5", earned)
    if not new.all():
        yield _row(OPEN, "MAP@5 of known", earned[~new])
    yield _row(OPEN, "MAP@5 of new", earned[new])
    yield _row(OPEN, "called new first", found["answer"] == NEW_LABEL)
    if not new.all():
        yield _drawn("BAKS", found, lambda f: baks(*_answers(f)))
    yield _drawn("BAUS", found, lambda f: baus(*_answers(f)))


def _is_new(found: pd.DataFrame) -> list[bool]:
    return found["is_new"].to_list()


def _answers(found: pd.DataFrame) -> tuple[list[str], list[str], list[bool]]:
    columns = ("identity", "answer", "is_new")
    identities, answers, new = (found[name].to_list() for name in columns)
    return identities, answers, new


def _drawn(
    name: str, found: pd.DataFrame, compute: Callable[[pd.DataFrame], float]
) -> Row:
    low, high = bootstrap_interval(
        np.arange(len(found)),
        lambda places: compute(found.iloc[places]),
        repeats=200,
        seed=0,
    )
    return OPEN, name, compute(found), low, high, len(found)


def _by_species(found: pd.DataFrame) -> dict[str, np.ndarray]:
    names = sorted(found["species"].dropna().unique())
    return {str(n): (found["species"] == n).to_numpy() for n in names}


def _groups(
    found: pd.DataFrame, group: str, masks: dict[str, np.ndarray]
) -> Iterator[Row]:
    for name, mask in masks.items():
        part = found[mask & ~found["is_new"].to_numpy()]
        if len(part):
            yield _row(group, f"{name}: top-1", part["rank"] <= 1)
            yield _row(group, f"{name}: MAP@5", part["average_precision"])


def _protocol(
    found: pd.DataFrame, database: pd.DataFrame, threshold: Threshold | None
) -> dict[str, Any]:
    known = database[database["identity"] != UNKNOWN]
    animals, new = known["identity"].nunique(), int(found["is_new"].sum())
    floor = new / max(len(found), 1)
    said = {
        "queries": f"{len(found)}, of them {new} of animals not in the database",
        "database": f"{len(known)} photographs of {animals} animals",
        "threshold": "none" if threshold is None else threshold.protocol,
        "floor": f"calling every query new and nothing else: open MAP@5 {floor:.3f}",
    }
    reason = _left_out(len(found), new)
    return said | ({"left out": reason} if reason else {})


def _left_out(queries: int, new: int) -> str:
    if not queries:
        return "everything: there are no queries"
    if new == queries:
        return (
            f"{KNOWN}, {SPECIES_ROWS}, {FRAMES}, AUROC, BAKS and MAP@5 of known: every "
            "query is of an animal without a photograph in the database"
        )
    return "" if new else f"{OPEN}: every query is of an animal in the database"
