"""Measures the time of matching and of describing photos on the CPU.

It measures
- one query against 100 photos, all in the shortlist (goal: below 1 s), against 1,000
  animals (goal: below 2 s), and against 20,000 photos with a shortlist of 300;
- the command `whale-id identify` on files of 20,000 photos, with its peak memory;
- the time to compute embeddings and keypoints of 100 photos, extrapolated to 1,000
  (goal: below 5 min). A smaller folder is read repeatedly.

Queries and databases have random keypoints and embeddings. It takes a few minutes on
two idle cores. Wall time and CPU time are printed, because wall time is unreliable on a
busy machine; the load is printed too.

    KERAS_BACKEND=torch python -m benchmarks.whale_match examples/data/dolphin_fins
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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
REPEATS = 7
GIB = 2**20  # in KiB, the unit of `ru_maxrss`


def made_up(count: int, animals: int, seed: int) -> Embeddings:
    """Returns random embeddings, keypoints and descriptors."""
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
    """Formats median wall time and CPU time over the repeats."""
    wall, cpu = [], []
    for number in range(REPEATS):
        start, used = time.perf_counter(), time.process_time()
        work(number)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return (
        f"median {statistics.median(wall):.2f} s, worst {max(wall):.2f} s, "
        f"CPU {statistics.median(cpu):.2f} s"
    )


def measure_query(count: int, animals: int) -> None:
    database, queries = made_up(count, animals, 0), made_up(REPEATS, 1, 1)
    start = time.perf_counter()
    matcher = Matcher(database)
    built = time.perf_counter() - start
    taken = seconds(lambda number: matcher.rank(queries.rows([number])))
    print(
        f"{count} photos of {animals} animals: matcher built in {built:.2f} s; "
        f"a query {taken}",
        flush=True,
    )


def measure_identify(count: int, animals: int) -> None:
    """Measures `whale-id identify`, with and without calibration on 200 photos."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, name)) for name in ("queries.npz", "database.npz")]
        made_up(REPEATS, 1, 1).save(files[0])
        made_up(count, animals, 0).save(files[1])
        command = [sys.executable, "-m", "keras_involution.whale_id.cli", "identify"]
        for options in (["--no-calibration"], []):
            start = time.perf_counter()
            asked = [files[0], "--database", files[1], *options]
            subprocess.run([*command, *asked], check=True, stdout=subprocess.DEVNULL)
            taken = time.perf_counter() - start
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(
                f"identify {' '.join(options)}, {REPEATS} queries against {count} "
                f"photos: {taken:.0f} s, at most {used.ru_maxrss / GIB:.1f} GiB, "
                f"CPU {used.ru_utime + used.ru_stime:.0f} s so far",
                flush=True,
            )


def measure_description(folder: str, most: int) -> None:
    table = read_table(folder)
    table = table.iloc[np.resize(np.arange(len(table)), most)].reset_index(drop=True)
    network, extractor = load_run(PRESET).network, XFeatExtractor()
    describe(network, table.iloc[:1], extractor)  # compiles
    start, used = time.perf_counter(), time.process_time()
    describe(network, table, extractor)
    each, cpu = time.perf_counter() - start, time.process_time() - used
    print(
        f"{most} photos described in {each:.1f} s, CPU {cpu:.1f} s: 1,000 would "
        f"take {1000 * each / most / 60:.1f} min",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", help="folder or table")
    parser.add_argument("--most", type=int, default=100, help="photos to describe")
    parser.add_argument("--largest", type=int, default=20_000, help="largest database")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    for count, animals in ((100, 100), (1_000, 1_000), (arguments.largest, 5_000)):
        measure_query(count, animals)
    measure_description(arguments.photos, arguments.most)
    measure_identify(arguments.largest, 5_000)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
