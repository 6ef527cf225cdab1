"""Reads randomly damaged files and checks that only documented errors are raised.

The files are checkpoints and weights of presets, tables, COCO files, boxes, embeddings,
calibrations, heads, heat maps, decisions, histories, settings, images, training
checkpoints, splits and stored splits. Each reader gets `--rounds` damaged copies,
10,000 by default. Then hypothesis generates the same number of pickles, safetensors
headers and HDF5 files from pieces that their readers expect. It takes about half an
hour on two cores. Expect one line per reader that ends in "0 broken". Files that break
a reader are kept in `--keep`, and the error is printed.

    KERAS_BACKEND=torch python -m benchmarks.fuzz --rounds 10000
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from tests.hub import readers as of_checkpoints
from tests.hub.generated import generators
from tests.mutations import run
from tests.whale_id import readers as of_whale_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="name of one reader or kind of file to test")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-broken"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    broken = 0
    with (
        tempfile.TemporaryDirectory() as hub,
        tempfile.TemporaryDirectory() as whale_id,
    ):
        readers = of_checkpoints.readers(Path(hub))
        for reader in [*readers, *of_whale_id.readers(Path(whale_id))]:
            if options.only in (None, reader.name):
                broken += fuzz(reader, options)
    for name, check in generators(options.rounds, repeatable=False).items():
        if options.only in (None, name):
            broken += generate(name, check, options.rounds)
    raise SystemExit(broken > 0)


def fuzz(reader, options: argparse.Namespace) -> int:
    """Tests one reader; returns the number of files that broke it."""
    options.keep.mkdir(exist_ok=True)
    begun, count = time.monotonic(), 0
    for _, report in run(reader, options.rounds, options.seed, options.keep):
        count += 1
        if count <= 3:
            print(report, flush=True)
    for path in options.keep.glob("damaged*"):
        path.unlink()
    took = time.monotonic() - begun
    print(
        f"{reader.name}: {options.rounds} copies, {took:.0f} s, {count} broken",
        flush=True,
    )
    return count


def generate(name: str, check: Callable[[], None], rounds: int) -> int:
    """Tests one kind of generated files; returns 1 if a file broke its reader."""
    begun, broken = time.monotonic(), 0
    try:
        check()
    except Exception:  # raised by hypothesis for the smallest failing file
        traceback.print_exc()
        broken = 1
    took = time.monotonic() - begun
    print(f"{name}: {rounds} files, {took:.0f} s, {broken} broken", flush=True)
    return broken


if __name__ == "__main__":
    main()
