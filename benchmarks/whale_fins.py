"""Counts the fins of the demo that each setting of `LocalMatcher` identifies.

Ten photos are too few to measure accuracy. The table only shows how much the settings
matter.

    KERAS_BACKEND=torch python -m benchmarks.whale_fins
"""

from __future__ import annotations

from examples._demo import photos, ranking
from keras_involution.whale_id.local import LocalMatcher

HOMOGRAPHY = {"transform": "homography", "unverified": 0.0}
SETTINGS = {
    "all pairs": LocalMatcher(),
    "half for verified pairs": LocalMatcher(unverified=0.5),
    "verified pairs": LocalMatcher(unverified=0.0),
    "homography, tolerance 0.01": LocalMatcher(tolerance=0.01, **HOMOGRAPHY),
    "homography, tolerance 0.015": ranking.FIN_MATCHER,
    "homography, tolerance 0.02": LocalMatcher(tolerance=0.02, **HOMOGRAPHY),
}


def main() -> None:
    fins = photos.load_fins()
    keypoints = ranking.find_keypoints(fins)
    for name, matcher in SETTINGS.items():
        right, possible = ranking.count_right(ranking.rank(fins, keypoints, matcher))
        print(f"| {name} | {right} of {possible} |", flush=True)


if __name__ == "__main__":
    main()
