"""Groups photos that may show the same animal, for review."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from keras_involution._arguments import at_most, rate, received
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.fusion import FusionCalibration, Matcher, Scorer
from keras_involution.whale_id.fusion.scorers import have_evidence
from keras_involution.whale_id.tables import UNKNOWN

MOST_PHOTOS = 20_000
_NEVER = 1e6


def pair_probabilities(
    embeddings: Embeddings,
    calibration: FusionCalibration,
    scorers: Sequence[Scorer] | None = None,
    *,
    shortlist: int = 300,
    sides: str = "own",
) -> np.ndarray:
    """Probabilities that two photos show the same animal, for all pairs.

    Args:
        embeddings: `Embeddings` of N photos.
        calibration: `FusionCalibration` from `Matcher.fit`.
        scorers: Sequence of `Scorer`, as for `Matcher`.
        shortlist: Integer, as for `Matcher`.
        sides: String, as for `Matcher`. Pairs of sides that may not be compared have
            probability 0.

    Returns:
        Array (N, N), symmetric. If keypoints are compared, the pairs of a photo without
        keypoints are NaN.
    """
    names = [f"{row:09}" for row in range(len(embeddings))]
    single = Embeddings(
        embeddings.features,
        embeddings.table.assign(identity=names),
        extras=embeddings.extras,
    )
    # The photo itself occupies one place in the shortlist.
    matcher = Matcher(
        single, scorers, shortlist=shortlist + 1, sides=sides, calibration=calibration
    )
    # Only the two photos matter, not their similarity to other photos.
    fused = [
        np.where(block.allowed, calibration.fused(block.values), 0)
        for block in matcher.comparison.blocks(single)
    ]
    values = np.clip(np.concatenate(fused), 0, 1)
    values[~have_evidence(matcher.scorers, single)] = np.nan
    return np.maximum(values, values.T)


def cluster(
    embeddings: Embeddings,
    probabilities: np.ndarray,
    *,
    threshold: float = 0.5,
    anchored: bool = True,
) -> pd.DataFrame:
    """Groups photos by average linkage over the probabilities of pairs.

    Args:
        embeddings: `Embeddings` of N photos.
        probabilities: Array (N, N) from `pair_probabilities`. NaN counts as 0.
        threshold: Float. Groups are merged while the mean probability between them is
            at least this value.
        anchored: Boolean, whether photos of one known animal stay together and photos
            of two known animals stay apart.

    Returns:
        DataFrame with one row per photo: `image_id`; `identity` as known; `group`, a
        number from 0; `proposal`, the known animal of the group or a name such as
        `"new_1"`; and `probability`, the mean with the other photos of the group, which
        is missing for a group of one photo and for a photo without keypoints.

    Raises:
        ValueError: If the shapes do not fit, or there are too many photos.

    Example:

    >>> import numpy as np, pandas as pd
    >>> from keras_involution.whale_id import Embeddings
    >>> from keras_involution.whale_id.cluster import cluster
    >>> df = {"image_id": ["1", "2"], "identity": ["A", "unknown"], "path": ["1", "2"]}
    >>> embeddings = Embeddings(np.eye(2), pd.DataFrame(df))
    >>> cluster(embeddings, np.full((2, 2), 0.9))["proposal"].tolist()
    ['A', 'A']
    """
    count = len(embeddings)
    rate(threshold, "threshold")
    at_most(count, MOST_PHOTOS, "photos", "as all pairs are held in memory")
    if np.shape(probabilities) != (count, count):
        raise ValueError(
            "`probabilities` must be (N, N) for the N photos. "
            f"{received(probabilities=np.shape(probabilities), photos=count)}"
        )
    distances = 1 - np.nan_to_num(np.asarray(probabilities, "float64"))
    identities = embeddings.table["identity"].to_numpy(object).astype(str)
    if anchored:
        known = identities != UNKNOWN
        both = known[:, None] & known[None]
        same = identities[:, None] == identities[None]
        distances[both & same], distances[both & ~same] = 0, _NEVER
    np.fill_diagonal(distances, 0)
    groups = _linked(distances, 1 - threshold)
    names = _proposals(groups, identities if anchored else np.full(count, UNKNOWN))
    return pd.DataFrame(
        {
            "image_id": embeddings.table["image_id"].to_numpy(),
            "identity": identities,
            "group": groups,
            "proposal": names,
            "probability": _means(groups, np.asarray(probabilities)),
        }
    )


def cluster_metrics(groups: Sequence[int], identities: Sequence[str]) -> dict:
    """How well groups agree with the true animals.

    Args:
        groups: Sequence of N groups.
        identities: Sequence of N true identities; unknown ones are ignored.

    Returns:
        Dictionary with `"n"`, the adjusted Rand index `"ARI"`, and the precision and
        recall of pairs in the same group; `nan` if there are no pairs.

    Example:

    >>> from keras_involution.whale_id.cluster import cluster_metrics
    >>> cluster_metrics([0, 0, 1, 2], ["A", "A", "B", "B"])["pairwise recall"]
    0.5
    """
    from sklearn.metrics import adjusted_rand_score
    from sklearn.metrics.cluster import pair_confusion_matrix

    truths = np.asarray(list(identities), object).astype(str)
    known = truths != UNKNOWN
    truths, found = truths[known], np.asarray(groups)[known]
    if len(truths) < 2:
        nothing = float("nan")
        return {"n": len(truths)} | dict.fromkeys(
            ("ARI", "pairwise precision", "pairwise recall"), nothing
        )
    (_, wrong), (missed, right) = pair_confusion_matrix(truths, found)
    return {
        "n": len(truths),
        "ARI": float(adjusted_rand_score(truths, found)),
        "pairwise precision": _ratio(right, right + wrong),
        "pairwise recall": _ratio(right, right + missed),
    }


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def _linked(distances: np.ndarray, most: float) -> np.ndarray:
    """Average linkage with scikit-learn; groups are ordered by their first rows."""
    from sklearn.cluster import AgglomerativeClustering

    if len(distances) < 2:
        return np.zeros(len(distances), int)
    model = AgglomerativeClustering(
        n_clusters=None,
        metric="precomputed",
        linkage="average",
        distance_threshold=np.nextafter(most, 2),
    )
    return pd.factorize(model.fit_predict(distances))[0]


def _proposals(groups: np.ndarray, identities: np.ndarray) -> list[str]:
    known = {g: name for g, name in zip(groups, identities) if name != UNKNOWN}
    taken, names, number = set(identities), {}, 0
    for group in dict.fromkeys(groups):
        if group in known:
            names[group] = known[group]
            continue
        number += 1
        while f"new_{number}" in taken:
            number += 1
        names[group] = f"new_{number}"
    return [names[group] for group in groups]


def _means(groups: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    same = groups[:, None] == groups[None]
    np.fill_diagonal(same, False)
    same &= ~np.isnan(probabilities)
    count = same.sum(axis=1)
    total = np.where(same, probabilities, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
