"""Compares scores of keypoints and their fusion with features on training photos.

A training photo is a query if another encounter has a photo of its animal. The photos
of its own encounter are left out of the database. Test photos are not used.
Calibrations are cross-validated: they are fitted on the queries of half the animals and
evaluated on the other half, and the other way around.

    KERAS_BACKEND=torch python -m benchmarks.whale_local seals.npz

`whale-id embed` writes `seals.npz`. The first row of the table is the reference. The
other rows show the difference in MAP@5 and its standard error over the queries.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from keras_involution.whale_id import Embeddings
from keras_involution.whale_id.evaluation import other_encounters
from keras_involution.whale_id.fusion import FeatureScorer, LocalScorer, Matcher
from keras_involution.whale_id.fusion.fitting import fit_fusion
from keras_involution.whale_id.local import (
    DistinctMatcher,
    LocalMatcher,
    PhotoMatcher,
)
from keras_involution.whale_id.metrics import average_precisions

SHORTLISTS = (100, 300)
LOCAL: dict[str, PhotoMatcher] = {
    "distinct pairs": DistinctMatcher(),
    "all pairs": LocalMatcher(unverified=1),
    "half for verified pairs": LocalMatcher(unverified=0.5),
    "verified pairs": LocalMatcher(unverified=0),
    "verified pairs, tolerance 0.06": LocalMatcher(unverified=0, tolerance=0.06),
}


def precisions(matcher: Matcher, queries: Embeddings) -> np.ndarray:
    found = matcher.rank(queries, top=5, leave_out="encounter").ranking
    truths = queries.table["identity"].astype(str).to_list()
    return np.asarray(average_precisions(truths, list(found.labels)))


def listed(database: Embeddings, queries: Embeddings, shortlist: int) -> str:
    """Returns the fraction of queries whose animal is on the shortlist of features."""
    matcher = Matcher(database, [FeatureScorer()], shortlist=shortlist)
    blocks = matcher.comparison.blocks(queries, "encounter")
    there = np.concatenate([block.listed for block in blocks])
    names = queries.table["identity"].to_numpy(object)
    same = names[:, None] == np.asarray(matcher.classes, object)[matcher.codes][None]
    return f"{(there & same).any(axis=1).mean():.1%}"


def calibrated(matcher: Matcher, queries: Embeddings) -> np.ndarray:
    """Returns average precisions with a calibration fitted on the other animals."""
    animals = sorted(set(queries.table["identity"]))
    half = queries.table["identity"].isin(animals[::2]).to_numpy()
    found = np.zeros(len(queries))
    for own in (half, ~half):
        truths = queries.rows(~own).table["identity"].to_numpy(object).astype(str)
        blocks = list(matcher.comparison.blocks(queries.rows(~own), "encounter"))
        matcher.calibration, _ = fit_fusion(matcher, blocks, truths, "the others")
        found[own] = precisions(matcher, queries.rows(own))
    matcher.calibration = None
    return found


def rows(database: Embeddings, queries: Embeddings) -> Iterator[tuple[str, np.ndarray]]:
    yield "features alone", precisions(Matcher(database, [FeatureScorer()]), queries)
    for name, local in LOCAL.items():
        scorers = [FeatureScorer(), LocalScorer(local)]
        for shortlist in SHORTLISTS:
            matcher = Matcher(database, scorers, shortlist=shortlist)
            label = f"features + {name}, shortlist {shortlist}"
            yield label, precisions(matcher, queries)
            yield f"{label}, calibrated", calibrated(matcher, queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embeddings")
    embeddings = Embeddings.load(parser.parse_args().embeddings)
    database = embeddings.rows((embeddings.table["split"] == "train").to_numpy())
    reachable, source = other_encounters(database.table, database.table)
    queries = database.rows(reachable)
    print(f"{len(queries)} queries, {len(database)} photos, by {source}")
    for shortlist in SHORTLISTS:
        print(f"in a shortlist of {shortlist}: {listed(database, queries, shortlist)}")
    print("| | MAP@5 | difference | standard error |\n| --- | --- | --- | --- |")
    found = dict(rows(database, queries))
    first = next(iter(found.values()))
    for name, values in found.items():
        gap = values - first
        error = gap.std() / np.sqrt(len(gap))
        print(f"| {name} | {values.mean():.3f} | {gap.mean():+.3f} | {error:.3f} |")


if __name__ == "__main__":
    main()
