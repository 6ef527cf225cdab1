"""Computes all metrics of a ranking."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import atomic_write
from keras_involution.whale_id.evaluation_rows import (
    APART,
    FRAMES,
    KNOWN,
    OPEN,
    PROBABILITIES,
    SPECIES_ROWS,
    apart_rows,
    baseline_rows,
    by_species,
    group_rows,
    is_right,
    known_rows,
    open_rows,
    probability_rows,
)
from keras_involution.whale_id.fusion import Candidates
from keras_involution.whale_id.fusion.candidates import NO_KEYPOINTS
from keras_involution.whale_id.metrics import (
    average_precisions,
    frame_distances,
    reliability_table,
)
from keras_involution.whale_id.metrics.frames import bands
from keras_involution.whale_id.metrics.ranks import ranks_of
from keras_involution.whale_id.open_set import NEW_LABEL, open_truths
from keras_involution.whale_id.retrieve import Ranking
from keras_involution.whale_id.splits import find_encounters
from keras_involution.whale_id.tables import UNKNOWN
from keras_involution.whale_id.tables.write import write_csv

SUFFIXES = (".json", ".csv")


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a ranking.

    Args:
        rows: DataFrame with `group`, `name`, `value`, the bootstrap interval `low`,
            `high`, and the number of queries `n`.
        queries: DataFrame with a row for each query: `image_id`, `identity`, `answer`,
            `is_new`, `rank` (from 1, infinite if the animal is not in the ranking),
            `average_precision`, and `open_average_precision` with a threshold.
        protocol: Dictionary of strings that describe how the metrics were computed.
        reliability: DataFrame of `metrics.reliability_table` for the first answers;
            `None` without probabilities.
    """

    rows: pd.DataFrame
    queries: pd.DataFrame
    protocol: dict[str, str]
    reliability: pd.DataFrame | None = None

    def value(self, group: str, name: str) -> float:
        """The value of one row."""
        found = self.rows[(self.rows["group"] == group) & (self.rows["name"] == name)]
        if found.empty:
            raise ValueError(
                f"The row does not exist. {received(group=group, name=name)}"
            )
        return float(found["value"].iloc[0])

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes JSON, or only the rows if the name ends in `.csv`.

        Raises:
            ValueError: If the name ends in neither, or the file exists and `force` is
                false.
        """
        with atomic_write(path, force, SUFFIXES) as draft:
            if draft.suffix.lower() == ".csv":
                write_csv(self.rows, draft)
            else:
                rows = json.loads(self.rows.to_json(orient="records"))
                content = {"protocol": self.protocol, "rows": rows}
                if self.reliability is not None:
                    content["reliability"] = self.reliability.to_dict("records")
                draft.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def evaluate(
    ranking: Ranking,
    queries: pd.DataFrame,
    database: pd.DataFrame,
    *,
    image_precisions: np.ndarray | None = None,
    counter: str = "photo_number",
    candidates: Candidates | None = None,
    apart: Ranking | None = None,
    baselines: Mapping[str, Ranking] | None = None,
) -> Evaluation:
    """Computes the metrics of a ranking.

    Queries of animals without a photo in the database are new; they count only in the
    group "open". MAP@5 is defined as on Kaggle; "image mAP" ranks photos and is a
    different metric. Intervals contain 95 % of 1000 bootstrap samples of the queries.
    Metrics that need known or new animals have no row if there are none; the protocol
    lists them with the reason.

    Args:
        ranking: `Ranking` (Q, K) of known animals.
        queries: DataFrame, the table of the Q queries with their true identities.
        database: DataFrame, the table of the database.
        image_precisions: Array (Q,), from `image_average_precisions`.
        counter: String, the column of the camera's frame counter, for the rows by the
            distance to the nearest training frame. It is ignored if missing.
        candidates: `Candidates` of the same queries with the same ranking, to evaluate
            the calibration of their probabilities. If they have no probability of a
            new animal, the group "open" contains only the AUROC. Queries without
            probabilities are not counted in the calibration and the AUROC.
        apart: `Ranking` of the same queries without photos of their own encounter in
            the database. Queries whose animal has no other photos are not counted.
        baselines: Dictionary from a name to the `Ranking` of the same queries by
            another method.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: If the numbers of queries and rankings differ.

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
            "`queries` must have one row per query of the ranking. "
            f"{received(queries=len(queries), ranking=len(ranking))}"
        )
    found = _found(ranking, queries, database)
    if image_precisions is not None:
        found["image_average_precision"] = image_precisions
    if candidates is not None:
        _add_probabilities(found, candidates)
    parts = [known_rows(found[~found["is_new"]]), open_rows(found, ranking)]
    truths = found["identity"].to_list()
    if apart is not None:
        reachable, source = other_encounters(queries, database)
        if source != "nothing":
            parts.append(apart_rows(found, apart, reachable))
    if "probability" in found:
        rated = found[found["probability"].notna()]
        parts.append(probability_rows(rated))
    for name, other in (baselines or {}).items():
        parts.append(
            baseline_rows(found, name, ranks_of(truths, list(other.labels)) + 1)
        )
    if "species" in queries:
        found["species"] = queries["species"].to_numpy()
        parts.append(group_rows(found, SPECIES_ROWS, by_species(found)))
    if counter in queries and counter in database:
        masks = bands(frame_distances(queries, database, counter))
        parts.append(group_rows(found, FRAMES, masks))
    columns = ["group", "name", "value", "low", "high", "n"]
    rows = [row for part in parts for row in part]
    protocol = _protocol(found, database, candidates)
    if apart is not None:
        known = f"{int(reachable.sum())} queries, encounters by {source}"
        unknown = "not measured: encounters are unknown, scores may be too high"
        protocol[APART] = unknown if source == "nothing" else known
    return Evaluation(
        pd.DataFrame(rows, columns=columns),
        found,
        protocol,
        reliability_table(rated["probability"].to_numpy(), is_right(rated).to_numpy())
        if "probability" in found and len(rated)
        else None,
    )


def _found(
    ranking: Ranking, queries: pd.DataFrame, database: pd.DataFrame
) -> pd.DataFrame:
    """The metrics of each query."""
    known = set(database["identity"]) - {UNKNOWN}
    truths = open_truths(queries["identity"].to_list(), known)
    labels = list(ranking.labels)
    return pd.DataFrame(
        {
            "image_id": queries["image_id"].to_numpy(),
            "identity": queries["identity"].to_numpy(),
            "answer": ranking.labels[:, 0] if ranking.labels.size else [],
            "is_new": [truth == NEW_LABEL for truth in truths],
            "rank": ranks_of(truths, labels) + 1,
            "average_precision": average_precisions(truths, labels),
        }
    )


def _add_probabilities(found: pd.DataFrame, candidates: Candidates) -> None:
    """Adds the probabilities of the fusion to the metrics of each query."""
    if candidates.probabilities is None:
        return
    found["probability"] = candidates.probabilities[:, 0]
    if candidates.new_probabilities is None:
        return
    found["new_probability"] = candidates.new_probabilities
    full, probabilities = candidates.with_new()
    found["answer"], found["probability"] = full.labels[:, 0], probabilities[:, 0]
    truths = found["identity"].where(~found["is_new"], NEW_LABEL).to_list()
    found["open_average_precision"] = average_precisions(truths, list(full.labels))


def other_encounters(
    queries: pd.DataFrame, database: pd.DataFrame
) -> tuple[np.ndarray, str]:
    """Finds the queries whose animal has a photo from another encounter.

    Args:
        queries: DataFrame, the table of the Q queries.
        database: DataFrame, the table of the database.

    Returns:
        Boolean array (Q,), and the source of the encounters.
    """
    both = pd.concat([queries, database], ignore_index=True)
    encounters = find_encounters(both)
    names = encounters.names.to_numpy(object)
    asked, known = names[: len(queries)], names[len(queries) :]
    places = database.groupby("identity", sort=False).indices
    reachable = [
        bool((known[places.get(animal, [])] != encounter).any())
        for animal, encounter in zip(queries["identity"], asked)
    ]
    return np.array(reachable, bool), encounters.source


def _protocol(
    found: pd.DataFrame,
    database: pd.DataFrame,
    candidates: Candidates | None,
) -> dict[str, Any]:
    known = database[database["identity"] != UNKNOWN]
    animals, new = known["identity"].nunique(), int(found["is_new"].sum())
    floor = new / max(len(found), 1)
    said = {
        "queries": f"{len(found)}, including {new} of animals not in the database",
        "database": f"{len(known)} photos of {animals} animals",
        "floor": f"labeling every query as new only: open MAP@5 {floor:.3f}",
    }
    if candidates is not None:
        assumed = f"; they hold {candidates.condition}" if candidates.condition else ""
        said["probabilities"] = candidates.protocol + assumed
        missing = candidates.notes.count(NO_KEYPOINTS)
        if missing:
            said["without probability"] = (
                f"{missing} of the queries: {NO_KEYPOINTS}; they are not counted in "
                f"the group {PROBABILITIES} and in the AUROC"
            )
    reason = _left_out(len(found), new)
    return said | ({"left out": reason} if reason else {})


def _left_out(queries: int, new: int) -> str:
    if not queries:
        return "everything: there are no queries"
    if new == queries:
        return (
            f"{KNOWN}, {SPECIES_ROWS}, {FRAMES}, AUROC, BAKS and MAP@5 of known: every "
            "query shows an animal without a photo in the database"
        )
    return "" if new else f"{OPEN}: every query shows an animal in the database"
