"""What memory it takes to join the parts of `whale-id embed --devices`.

Random embeddings of 512 values in parts of 1,024, for 50,000 photographs and for
200,000, each size and format in a process of its own: what that process holds at its
peak beyond what it held with the table alone. Linux; about two minutes on one core, and
1 GB of disk.

    python -m benchmarks.whale_parts
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from keras_involution.whale_id.parts import Job, join_parts, open_folder

COUNTS, SIZE, PART = (50_000, 200_000), 512, 1_024
# Text takes long, and is smaller for the same memory.
CSV_COUNTS = (10_000, 40_000)


def random_parts(folder: str, count: int, suffix: str) -> Job:
    ids = [f"photograph_{n:07}" for n in range(count)]
    names = [f"animal_{n % 5_000}" for n in range(count)]
    paths = [f"/photographs/{name}.jpg" for name in ids]
    table = pd.DataFrame({"image_id": ids, "identity": names, "path": paths})
    settings = {"part_size": PART, "head": None}
    job = Job(table, Path(folder) / f"embeddings{suffix}", settings)
    open_folder(job)
    random = np.random.default_rng(0)
    nothing = {"left_out": np.zeros(0, int), "reasons": np.zeros(0, str)}
    for number in range(job.count):
        rows = np.array(job.rows(number))
        features = random.normal(size=(len(rows), SIZE)).astype("float32")
        np.savez(job.path(number), rows=rows, features=features, **nothing)
    return job


def measured(count: int, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        job = random_parts(folder, count, suffix)
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # forgets the peak
        before, start = held("VmRSS"), time.perf_counter()
        join_parts(job)
        seconds, more = time.perf_counter() - start, held("VmHWM") - before
        written = job.out.stat().st_size
    print(
        f"{suffix:9} {count:8,} photographs {written / 1e6:6.0f} MB written "
        f"{more / 1e6:6.0f} MB more held {seconds:6.1f} s"
    )


def held(what: str) -> int:
    """Bytes: `"VmRSS"` now, `"VmHWM"` at the peak."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * next(int(v.split()[1]) for v in lines if v.startswith(what))


def main() -> None:
    context = multiprocessing.get_context("spawn")
    for suffix in (".npz", ".parquet", ".csv"):
        for count in CSV_COUNTS if suffix == ".csv" else COUNTS:
            process = context.Process(target=measured, args=(count, suffix))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
