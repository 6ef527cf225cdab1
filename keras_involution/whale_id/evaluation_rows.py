"""The rows of an evaluation: values over queries with bootstrap intervals.

`found` is a DataFrame with one row per query, like `Evaluation.queries`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from keras_involution.whale_id.metrics import (
    auroc,
    baks,
    baus,
    bootstrap_interval,
    calibration_error,
)
from keras_involution.whale_id.metrics.ranks import ranks_of
from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.retrieve import Ranking

KNOWN, OPEN, SPECIES_ROWS, FRAMES = "known animals", "open", "species", "frames"
APART = "no photo of the same encounter in the database"
PROBABILITIES, BASELINES = "probabilities", "untrained baselines"
RANKS = (1, 5, 10)

Row = tuple[str, str, float, float, float, int]


def is_right(found: pd.DataFrame) -> pd.Series:
    """Whether the answer is the right animal, or new for a new animal."""
    return found["answer"] == found["identity"].where(~found["is_new"], NEW_LABEL)


def probability_rows(found: pd.DataFrame) -> Iterator[Row]:
    if found.empty:
        return

    def error(part: pd.DataFrame) -> float:
        right = is_right(part).to_numpy()
        return calibration_error(part["probability"].to_numpy(), right)

    yield _drawn("expected calibration error", found, error, PROBABILITIES)
    yield _perfect_error(found["probability"].to_numpy())
    yield _row(PROBABILITIES, "said of the first answer", found["probability"])
    yield _row(PROBABILITIES, "first answer right", is_right(found))


def _perfect_error(said: np.ndarray) -> Row:
    """The error of perfectly calibrated answers, which is due to sampling alone."""
    random = np.random.default_rng(0)
    errors = [
        calibration_error(said, random.random(len(said)) < said) for _ in range(200)
    ]
    value, (low, high) = np.mean(errors), np.percentile(errors, [2.5, 97.5])
    name = "the same, if they were exact"
    return PROBABILITIES, name, float(value), float(low), float(high), len(said)


def apart_rows(
    found: pd.DataFrame, apart: Ranking, reachable: np.ndarray
) -> Iterator[Row]:
    """Queries that have a photo of their animal from another encounter."""
    ranks = ranks_of(found["identity"].to_list(), list(apart.labels))[reachable] + 1
    if len(ranks):
        yield _row(APART, "top-1", pd.Series(ranks <= 1))
        yield _row(APART, "MAP@5", pd.Series(np.where(ranks <= 5, 1 / ranks, 0.0)))


def baseline_rows(found: pd.DataFrame, name: str, ranks: np.ndarray) -> Iterator[Row]:
    known = ranks[~found["is_new"].to_numpy()]
    yield _row(BASELINES, f"{name}: top-1", pd.Series(known <= 1))
    yield _row(
        BASELINES, f"{name}: MAP@5", pd.Series(np.where(known <= 5, 1 / known, 0))
    )


def _row(group: str, name: str, values: pd.Series) -> Row:
    low, high = bootstrap_interval(values.to_numpy("float64"))
    value = float(values.mean()) if len(values) else float("nan")
    return group, name, value, low, high, len(values)


def known_rows(found: pd.DataFrame) -> Iterator[Row]:
    if found.empty:
        return
    for rank in RANKS:
        yield _row(KNOWN, f"top-{rank}", found["rank"] <= rank)
    yield _row(KNOWN, "MAP@5", found["average_precision"])
    if "image_average_precision" in found:
        yield _row(KNOWN, "image mAP", found["image_average_precision"])


def open_rows(found: pd.DataFrame, ranking: Ranking) -> Iterator[Row]:
    new = found["is_new"]
    if not new.any():
        return
    first: Any = ranking.scores[:, 0]
    rated = found
    if "new_probability" in found:
        first = -found["new_probability"].to_numpy()
        rated = found[found["new_probability"].notna()]
    if rated["is_new"].nunique() == 2:
        yield _drawn(
            "AUROC of new",
            rated,
            lambda f: auroc(list(first[f.index]), list(f["is_new"])),
        )
    if "open_average_precision" not in found:
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


def _answers(found: pd.DataFrame) -> tuple[list[str], list[str], list[bool]]:
    columns = ("identity", "answer", "is_new")
    identities, answers, new = (found[name].to_list() for name in columns)
    return identities, answers, new


def _drawn(
    name: str,
    found: pd.DataFrame,
    compute: Callable[[pd.DataFrame], float],
    group: str = OPEN,
) -> Row:
    low, high = bootstrap_interval(
        np.arange(len(found)),
        lambda places: compute(found.iloc[places]),
        repeats=200,
        seed=0,
    )
    return group, name, compute(found), low, high, len(found)


def by_species(found: pd.DataFrame) -> dict[str, np.ndarray]:
    names = sorted(found["species"].dropna().unique())
    return {str(n): (found["species"] == n).to_numpy() for n in names}


def group_rows(
    found: pd.DataFrame, group: str, masks: dict[str, np.ndarray]
) -> Iterator[Row]:
    for name, mask in masks.items():
        part = found[mask & ~found["is_new"].to_numpy()]
        if len(part):
            yield _row(group, f"{name}: top-1", part["rank"] <= 1)
            yield _row(group, f"{name}: MAP@5", part["average_precision"])
