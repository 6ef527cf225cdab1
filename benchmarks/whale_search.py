"""Measures time and memory of the search in a database of embeddings.

Searches for one photo and for 1,000 photos in 50,000 random embeddings of size 1,024 of
15,587 animals, as many as in Happywhale. It uses NumPy and, if installed, faiss. The
time of the network is not included. It takes about a minute on one core.

    python -m benchmarks.whale_search
"""

from __future__ import annotations

import importlib.util
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from keras_involution.whale_id import Embeddings, Index, identify

PHOTOS, ANIMALS, SIZE = 50_000, 15_587, 1_024
REPEATS = 9


def random_embeddings(
    count: int, animals: int, seed: int, size: int = SIZE
) -> Embeddings:
    random = np.random.default_rng(seed)
    names = [f"{n % animals:05}" for n in range(count)]
    ids = [f"{seed}_{n}" for n in range(count)]
    table = pd.DataFrame({"image_id": ids, "identity": names, "path": ids})
    return Embeddings(random.normal(size=(count, size)).astype("float32"), table)


def milliseconds(work: Callable[[], object], repeats: int) -> str:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, database: Embeddings, one: Embeddings, many: Embeddings) -> None:
    start = time.perf_counter()
    index = Index(database, implementation=name)
    print(f"{name}: index built in {time.perf_counter() - start:.1f} s")
    print(" ", milliseconds(lambda: identify(one, index), REPEATS), "for 1 photo")
    print(" ", milliseconds(lambda: identify(many, index), 3), "for 1,000 photos")


def main() -> None:
    database = random_embeddings(PHOTOS, ANIMALS, 0)
    one, many = (random_embeddings(count, 10, 1) for count in (1, 1_000))
    print(f"embeddings: {database.features.nbytes / 2**20:.0f} MiB")
    measure("numpy", database, one, many)
    print(f"at most {peak_mebibytes():.0f} MiB so far, libraries included")
    if importlib.util.find_spec("faiss") is not None:
        measure("faiss", database, one, many)


if __name__ == "__main__":
    main()
