"""Writing parts: which ones a process takes, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._files import replaced_file
from keras_involution.whale_id.embed import embed_views
from keras_involution.whale_id.heads import load_centers
from keras_involution.whale_id.parts.folder import Job
from keras_involution.whale_id.pipeline import Photographs
from keras_involution.whale_id.runs import Run


def write_parts(
    run: Run,
    job: Job,
    numbers: Iterable[int],
    *,
    batch_size: int = 32,
    on_part: Callable[[int], None] | None = None,
) -> None:
    """Embeds parts of a table and writes each of them completely or not at all.

    Args:
        run: `Run` whose network embeds.
        job: `Job`, whose folder is open.
        numbers: Iterable of the numbers of the parts.
        batch_size: Integer.
        on_part: Function that is called with the number of every part written.

    Raises:
        PhotographError: If a picture cannot be used and the job says `"stop"`.
        ValueError: If `batch_size` is no positive integer.
    """
    _arguments.positive_integer(batch_size, "batch_size")
    settings = job.settings
    photographs = Photographs(
        job.table, run.network.image_size, settings["margin"], settings["on_error"]
    )
    batch_size = min(batch_size, settings["part_size"])
    centers = None
    if settings["head"] and run.head:
        centers, _ = load_centers(run.head, run.network.output_shape[-1])
    for number in numbers:
        arrays = _part(run, photographs, job, number, batch_size, centers)
        with replaced_file(job.path(number), force=True) as draft:
            np.savez(draft, **arrays)
        if on_part is not None:
            on_part(number)


def _part(
    run: Run,
    photographs: Photographs,
    job: Job,
    number: int,
    batch_size: int,
    centers: np.ndarray | None,
) -> dict[str, Any]:
    part = job.rows(number)
    rows, features, flipped = embed_views(
        run.network, photographs, job.settings["flip"], batch_size=batch_size, part=part
    )
    left_out = sorted(row for row in photographs.skipped if row in part)
    reasons = [photographs.skipped[row] for row in left_out]
    arrays: dict[str, Any] = {"rows": rows, "features": features}
    arrays |= {"left_out": np.array(left_out, int), "reasons": np.array(reasons, str)}
    if flipped is not None:
        arrays["flipped"] = flipped
    if centers is not None:
        arrays["logits"] = np.max(features @ centers, axis=0)
    return arrays


def read_part(path: Path, name: str) -> np.ndarray:
    """One array of a part: `rows`, `features`, `left_out`, `reasons` and what else.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        # NumPy leaves a file open that it cannot read.
        with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
            return file[name]
    except Exception as error:  # Damaged archives break in many ways.
        raise ValueError(
            f"The part is damaged: {error}. Without it the same command writes it "
            f"again. {received(path=str(path))}"
        ) from error


def share_of(job: Job, share: str) -> Iterator[int]:
    """The parts that one of several processes is to write, of those that are missing.

    Args:
        job: `Job`.
        share: `"any:NAME"` takes the next one that none of the processes with the same
            name has claimed, on a disk of this host; the name must be new.
            `"PROCESS/PROCESSES"` takes every so many, which needs no word between
            hosts.

    Returns:
        Iterator of numbers.

    Raises:
        ValueError: If the parts of another table, model or options were begun.
    """
    if not job.folder.is_dir():
        raise ValueError(
            "The table or the model has changed since the command began. "
            + received(out=str(job.out))
        )
    if share.startswith("any:"):
        return _claimed(job, share.removeprefix("any:"))
    process, processes = map(int, share.split("/"))
    return (n for n in job.missing() if n % processes == process)


def _claimed(job: Job, name: str) -> Iterator[int]:
    for number in job.missing():
        try:
            job.path(number).with_suffix(f".{name}.claim").open("x").close()
        except FileExistsError:
            continue
        yield number
