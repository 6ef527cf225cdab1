"""The answer to queries: which animals, how likely, or a new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.retrieve import Ranking, results_table


@dataclass(frozen=True)
class Candidates:
    """The animals that queries may show, best first.

    Args:
        ranking: `Ranking` (Q, K) of known animals. Where fewer than K may be compared
            the label is "" and the score minus infinity.
        queries: DataFrame with a row per query.
        probabilities: Array (Q, K), how likely each animal is; `None` without
            calibration, when no percentage may be shown.
        new_probabilities: Array (Q,), how likely the animal is in no photo of the
            database; `None` where this is not known.
        protocol: String, where the probabilities come from, or why there are none.
    """

    ranking: Ranking
    queries: pd.DataFrame
    probabilities: np.ndarray | None = None
    new_probabilities: np.ndarray | None = None
    protocol: str = ""

    def __len__(self) -> int:
        return len(self.ranking)

    @property
    def is_new(self) -> np.ndarray | None:
        """(Q,), whether a new animal is the likeliest answer; `None` if not known."""
        if self.new_probabilities is None or self.probabilities is None:
            return None
        if not self.probabilities.shape[1]:
            return np.ones(len(self), bool)
        return self.new_probabilities > self.probabilities[:, 0]

    def with_new(self, new_label: str = NEW_LABEL) -> tuple[Ranking, np.ndarray]:
        """The ranking with the label of new animals at the place it is likely at.

        Args:
            new_label: String.

        Returns:
            Tuple of `Ranking` (Q, K + 1), and the probabilities (Q, K + 1).

        Raises:
            ValueError: If it is not known how likely a new animal is.
        """
        if self.new_probabilities is None or self.probabilities is None:
            raise ValueError(
                "How likely a new animal is can be learned only from an open "
                f"validation split. {received(protocol=self.protocol)}"
            )
        count = len(self)
        probabilities = np.column_stack([self.probabilities, self.new_probabilities])
        # An animal keeps its place before a worse one of the same probability.
        order = np.argsort(-probabilities, axis=1, kind="stable")
        labels = np.column_stack(
            [self.ranking.labels, np.full((count, 1), new_label, object)]
        )
        images = self.ranking.images
        if images is not None:
            images = np.column_stack([images, np.full(count, -1)])
            images = np.take_along_axis(images, order, axis=1)
        probabilities = np.take_along_axis(probabilities, order, axis=1)
        labels = np.take_along_axis(labels, order, axis=1)
        return Ranking(labels, probabilities, images), probabilities

    def table(self, database: pd.DataFrame | None = None) -> pd.DataFrame:
        """One row per query and animal, as `results_table`.

        Args:
            database: DataFrame, the table of the database; adds the most similar
                photo of each animal.

        Returns:
            DataFrame; `probability` only where there is a calibration, and then with
            a row for a new animal where that is known.
        """
        ranking, probabilities = self.ranking, self.probabilities
        if self.new_probabilities is not None:
            ranking, probabilities = self.with_new()
        table = results_table(ranking, self.queries, database, probabilities)
        table = table.rename(columns={"confidence": "probability"})
        return table[table["identity"] != ""].reset_index(drop=True)
