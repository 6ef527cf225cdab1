"""What matching costs: one query, and the description of photographs.

Times on the processor, with keypoints and embeddings that are made up where only their
number counts: one query against a shortlist of 100 (to be below 1 s), against 1,000
animals with a shortlist of 100 (below 2 s), against a catalog of 20,000 photographs,
with the peak of memory; and how long 1,000 photographs of `--photographs` would take to
embed with keypoints (below 5 min), from the first of them. About three minutes on two
idle cores; the load of the machine is printed, since it decides what the times mean.

    KERAS_BACKEND=torch python -m benchmarks.whale_match examples/data/dolphin_fins
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.whale_search import random_embeddings
from keras_involution.whale_id import Embeddings, read_table
from keras_involution.whale_id.describe import describe
from keras_involution.whale_id.embeddings import RaggedArray
from keras_involution.whale_id.fusion import Matcher, with_local_features
from keras_involution.whale_id.local import LocalFeatures, XFeatExtractor
from keras_involution.whale_id.runs import load_run

PRESET = "rednet_26_tiny_imagenet"
KEYPOINTS, VALUES, SIZE = 800, 64, 3_072
REPEATS = 5


def made_up(count: int, animals: int, seed: int) -> Embeddings:
    """Random embeddings, keypoints and descriptors."""
    random = np.random.default_rng(seed)
    offsets = np.arange(count + 1) * KEYPOINTS
    points = random.random((count * KEYPOINTS, 2), "float32") * 640
    descriptors = random.integers(-40, 41, (count * KEYPOINTS, VALUES), "int8")
    local = LocalFeatures(
        RaggedArray(points, offsets),
        RaggedArray(descriptors, offsets),
        np.full((count, 2), 640, "int32"),
    )
    return with_local_features(random_embeddings(count, animals, seed, SIZE), local)


def seconds(work: Callable[[int], object]) -> str:
    times = []
    for number in range(REPEATS):
        start = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - start)
    return f"median {statistics.median(times):.2f} s, worst {max(times):.2f} s"


def measure_query(count: int, animals: int) -> None:
    database, queries = made_up(count, animals, 0), made_up(REPEATS, 1, 1)
    start = time.perf_counter()
    matcher = Matcher(database)
    built = time.perf_counter() - start
    taken = seconds(lambda number: matcher.rank(queries.rows([number])))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{count} photographs of {animals} animals: matcher built in {built:.2f} s; "
        f"a query {taken}; at most {peak:.1f} GiB so far",
        flush=True,
    )


def measure_description(folder: str, most: int) -> None:
    table = read_table(folder).iloc[:most].reset_index(drop=True)
    network, extractor = load_run(PRESET).network, XFeatExtractor()
    describe(network, table.iloc[:1], extractor)  # compiles
    start = time.perf_counter()
    describe(network, table, extractor)
    each = (time.perf_counter() - start) / len(table)
    print(
        f"{len(table)} photographs described in {each * len(table):.1f} s: "
        f"1,000 would take {1000 * each / 60:.1f} min",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder or table")
    parser.add_argument("--most", type=int, default=40, help="photographs to describe")
    parser.add_argument("--largest", type=int, default=20_000, help="of the catalogs")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    measure_description(arguments.photographs, arguments.most)
    for count, animals in ((100, 100), (1_000, 1_000), (arguments.largest, 5_000)):
        measure_query(count, animals)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
