"""Metrics of the detection of new animals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.metrics.ranks import mean


def auroc(scores: Sequence[float], is_new: Sequence[bool]) -> float:
    """The probability that a new animal gets a lower score than a known one.

    This is the area under the ROC curve for detecting new animals by the score of the
    best candidate; equal scores count half. It needs no threshold.

    Args:
        scores: Sequence of Q floats, the score of the first label of each query.
        is_new: Sequence of Q booleans.

    Returns:
        Float; `nan` if all queries are new or all are known.

    Raises:
        ValueError: If the lengths differ.

    Example:

    >>> from keras_involution.whale_id.metrics import auroc
    >>> auroc([0.9, 0.6, 0.6, 0.2], [False, False, True, True])
    0.875
    """
    new = np.asarray(is_new, bool)
    if len(scores) != len(new):
        raise ValueError(
            "There must be one score per query. "
            f"{received(scores=len(scores), is_new=len(new))}"
        )
    if new.all() or not new.any():
        return float("nan")
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(new, -np.asarray(scores, "float64")))


def baks(
    identities: Sequence[str], answers: Sequence[str], is_new: Sequence[bool]
) -> float:
    """Balanced accuracy on known samples.

    For each known animal, the fraction of its photos with the right first label is
    computed; the result is the mean over animals, so every animal has the same weight.

    Args:
        identities: Sequence of Q identities, the true ones.
        answers: Sequence of Q first labels.
        is_new: Sequence of Q booleans: whether the animal is not in the database.

    Returns:
        Float; `nan` if no query shows a known animal.

    Raises:
        ValueError: If the lengths differ.

    Example:

    >>> from keras_involution.whale_id.metrics import baks
    >>> baks(["A", "A", "B", "C"], ["A", "B", "B", "B"], [False] * 3 + [True])
    0.75
    """
    table = _table(identities, answers, is_new)
    known = table[~table["is_new"]]
    return _balanced(known["identity"] == known["answer"], known["identity"])


def baus(
    identities: Sequence[str],
    answers: Sequence[str],
    is_new: Sequence[bool],
    new_label: str = "new_individual",
) -> float:
    """Balanced accuracy on unknown samples.

    For each new animal, the fraction of its photos whose first label is `new_label` is
    computed; the result is the mean over animals.

    Args:
        identities: Sequence of Q identities, the true ones.
        answers: Sequence of Q first labels.
        is_new: Sequence of Q booleans: whether the animal is not in the database.
        new_label: String, the label of new animals.

    Returns:
        Float; `nan` if no query shows a new animal.

    Raises:
        ValueError: If the lengths differ.

    Example:

    >>> from keras_involution.whale_id.metrics import baus
    >>> baus(["A", "C", "C"], ["A", "A", "new_individual"], [False, True, True])
    0.5
    """
    table = _table(identities, answers, is_new)
    new = table[table["is_new"]]
    return _balanced(new["answer"] == new_label, new["identity"])


def _table(
    identities: Sequence[str], answers: Sequence[str], is_new: Sequence[bool]
) -> pd.DataFrame:
    sizes = {"identities": len(identities), "answers": len(answers)}
    sizes |= {"is_new": len(is_new)}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"All arguments must have one item per query. {received(**sizes)}"
        )
    columns = {"identity": list(identities), "answer": list(answers)}
    return pd.DataFrame(columns | {"is_new": np.asarray(is_new, bool)})


def _balanced(right: pd.Series, identity: pd.Series) -> float:
    return mean(right.groupby(identity).mean().to_numpy())
