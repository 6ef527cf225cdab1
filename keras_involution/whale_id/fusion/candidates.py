"""The answers to queries: candidate animals and their probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.retrieve import Ranking, results_table

NO_KEYPOINTS = "no keypoints found, so the animal cannot be compared by its marks"
IF_KNOWN = "if the animal is in the catalog"


@dataclass(frozen=True)
class Candidates:
    """The animals that queries may show, best first.

    Args:
        ranking: `Ranking` (Q, K) of known animals. If fewer than K animals can be
            compared, the remaining labels are "" and their scores minus infinity.
        queries: DataFrame with one row per query.
        probabilities: Array (Q, K), the probability of each animal; `None` without
            calibration, in which case no percentages may be shown. If keypoints are
            compared, the row of a query without keypoints is NaN.
        new_probabilities: Array (Q,), the probability that the animal is not in the
            database; `None` if it is not known. NaN if `probabilities` is NaN.
        protocol: String, the source of the probabilities, or the reason there are none.
    """

    ranking: Ranking
    queries: pd.DataFrame
    probabilities: np.ndarray | None = None
    new_probabilities: np.ndarray | None = None
    protocol: str = ""

    def __len__(self) -> int:
        return len(self.ranking)

    @property
    def condition(self) -> str:
        """The condition of the probabilities; empty if they include new animals."""
        closed = self.probabilities is not None and self.new_probabilities is None
        return IF_KNOWN if closed else ""

    @property
    def notes(self) -> list[str]:
        """For each query, the condition or the reason why it has no probabilities."""
        if self.probabilities is None:
            return [""] * len(self)
        missing = np.isnan(self.probabilities).any(axis=1)
        return np.where(missing, NO_KEYPOINTS, self.condition).tolist()

    @property
    def is_new(self) -> np.ndarray | None:
        """(Q,), whether a new animal is the most likely answer; `None` if not known.

        False for a query without probabilities.
        """
        if self.new_probabilities is None or self.probabilities is None:
            return None
        if not self.probabilities.shape[1]:
            return np.ones(len(self), bool)
        return self.new_probabilities > self.probabilities[:, 0]

    def with_new(self, new_label: str = NEW_LABEL) -> tuple[Ranking, np.ndarray]:
        """The ranking with the label of new animals, inserted by its probability.

        A query without probabilities has the label "" instead.

        Args:
            new_label: String.

        Returns:
            Tuple of `Ranking` (Q, K + 1), and the probabilities (Q, K + 1).

        Raises:
            ValueError: If the probability of a new animal is not known.
        """
        if self.new_probabilities is None or self.probabilities is None:
            raise ValueError(
                "The probability of a new animal can be learned only from an open "
                f"validation split. {received(protocol=self.protocol)}"
            )
        count = len(self)
        probabilities = np.column_stack([self.probabilities, self.new_probabilities])
        # For equal probabilities, animals keep their order.
        order = np.argsort(-probabilities, axis=1, kind="stable")
        new = np.where(np.isnan(self.new_probabilities), "", new_label)
        labels = np.column_stack([self.ranking.labels, new.astype(object)])
        images = self.ranking.images
        if images is not None:
            images = np.column_stack([images, np.full(count, -1)])
            images = np.take_along_axis(images, order, axis=1)
        probabilities = np.take_along_axis(probabilities, order, axis=1)
        labels = np.take_along_axis(labels, order, axis=1)
        return Ranking(labels, probabilities, images), probabilities

    def table(self, database: pd.DataFrame | None = None) -> pd.DataFrame:
        """One row per query and animal, as in `results_table`.

        Args:
            database: DataFrame, the table of the database; adds the most similar
                photo of each animal.

        Returns:
            DataFrame. With a calibration it has the columns `probability` and `note`
            (see `notes`), and a row for a new animal if its probability is known.
        """
        ranking, probabilities = self.ranking, self.probabilities
        if self.new_probabilities is not None:
            ranking, probabilities = self.with_new()
        table = results_table(ranking, self.queries, database, probabilities)
        table = table.rename(columns={"confidence": "probability"})
        if probabilities is not None:
            table["note"] = np.repeat(self.notes, probabilities.shape[1])
        return table[table["identity"] != ""].reset_index(drop=True)
