"""Loads randomly damaged presets and checks that only documented errors are raised.

An untrusted preset must not crash the process, hang it or exhaust the memory. Every try
ends in a model or in the `ValueError` that `from_preset` documents. 10,000 tries take
about 20 minutes on 2 cores. Expect a line every 500 tries with the counts, the time and
the growth of memory, which stays below 1 GB.

    KERAS_BACKEND=torch python -m benchmarks.fuzz_presets --tries 10000
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from tests.hub.fuzz import rounds, smallest_classifier

STEP = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        saved, sharded, folder = (Path(place, name) for name in ("p", "s", "f"))
        classifier = smallest_classifier()
        classifier.save_to_preset(saved)
        classifier.save_to_preset(sharded, max_shard_size=60_000 / 2**30)
        folder.mkdir()
        fuzz(saved, sharded, folder, options.seed, options.tries)


def fuzz(saved: Path, sharded: Path, folder: Path, seed: int, tries: int) -> None:
    total = {"loaded": 0, "refused": 0}
    before, start = peak_memory(), time.time()
    for first in range(seed, seed + tries, STEP):
        counts = rounds(
            saved, sharded, folder, range(first, min(first + STEP, seed + tries))
        )
        total = {key: total[key] + counts[key] for key in total}
        grown = peak_memory() - before
        print(
            f"{total}, {time.time() - start:.0f} s, grown by {grown:.0f} MB", flush=True
        )
        if grown > 1000:
            raise SystemExit("The reader used more than 1 GB.")


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
