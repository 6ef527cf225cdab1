"""Embeds a whole table shard by shard, in one process or in several."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._files import check_writable
from keras_involution.distribution.local import (
    available_cores,
    threads_per_process,
    visible_gpus,
)
from keras_involution.whale_id.embeddings.embeddings import Embeddings, check_free
from keras_involution.whale_id.embeddings.job import Job
from keras_involution.whale_id.embeddings.workers import run_workers

_CORES_A_WORKER = 2


def embed_table(
    job: Job,
    command: Sequence[str] = (),
    devices: int | str | None = None,
    *,
    append: bool = False,
    force: bool = False,
    ray_address: str | None = None,
    on_rows: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Embeddings, dict[str, str]]:
    """Embeds the rows of a table that are not embedded yet, and writes the output.

    Args:
        job: `Job`.
        command: Sequence of strings, the command of a worker process.
        devices: Integer, number of worker processes; `"auto"` uses one for each GPU, or
            without GPUs one for every two cores; `None` embeds in this process.
        append: Boolean, whether to keep the rows of an existing `.npz` file and add
            rows of the table with another `image_id`. A folder is always extended.
        force: Boolean, whether to replace an existing output, and shards with other
            settings.
        ray_address: String, address of a Ray cluster to use, or `"local"`.
        on_rows: Function that is called with the number of finished rows and the total.

    Returns:
        `Embeddings` as written, and a dictionary from the paths of skipped photos to
        the reasons.

    Raises:
        ChildProcessError: If a worker fails; finished shards are kept.
        ImageError: If a photo cannot be used and `on_error` is `"stop"`.
        ValueError: If the output exists, or has other settings.
    """
    before = _embedded_before(job, append, force)
    table = job.table
    if before is not None:
        known = set(before.table["image_id"])
        table = table[~table["image_id"].isin(known)]
    shards = job.shards
    shards.open(job.settings(), force=force)
    wanted = np.flatnonzero(job.table.index.isin(table.index))
    tasks = job.tasks(wanted[shards.missing(job.table.iloc[wanted])])
    _run(job, tasks, command, devices, ray_address, on_rows)
    left_out = shards.left_out()
    if before is not None and not len(wanted):
        found = before
    else:
        found = shards.load(None if job.is_folder else job.table.iloc[wanted])
        if before is not None:
            found = Embeddings.concatenate([before, found])
    if not job.is_folder:
        found.save(job.out, force=True)
        shards.remove()
    return found, left_out


def _embedded_before(job: Job, append: bool, force: bool) -> Embeddings | None:
    if job.is_folder:
        return None
    check_free(job.table, job.out.suffix.lower())
    if not (append and job.out.exists()):
        check_writable(job.out, force or append)
        return None
    before = Embeddings.load(job.out)
    if dict(before.settings) != job.settings():
        raise ValueError(
            "The file was written by another network or with other options, or it is "
            "not an .npz file, which stores them; write it again without `--append`. "
            + received(out=str(job.out), settings=dict(before.settings))
        )
    return before


def _run(
    job: Job,
    tasks: list[dict[str, Any]],
    command: Sequence[str],
    devices: int | str | None,
    ray_address: str | None,
    on_rows: Callable[[int, int], None],
) -> None:
    total, done = sum(len(task["rows"]) for task in tasks), 0
    if not tasks:
        return

    def finished(task: dict[str, Any]) -> None:
        nonlocal done
        done += len(task["rows"])
        on_rows(done, total)

    if ray_address is not None:
        from keras_involution.whale_id.embeddings.ray_cluster import run_on_ray

        run_on_ray(job, tasks, ray_address, devices, finished)
    elif devices is None:
        embedder = job.source.load()
        for task in tasks:
            job.write(embedder, task)
            finished(task)
    else:
        workers = min(number_of_workers(devices), len(tasks))
        try:
            run_workers(command, _environments(workers), tasks, finished)
        except ChildProcessError as error:
            raise ChildProcessError(
                f"{done} of {total} photos are embedded; the same command continues "
                f"with the others. {error} {received(out=str(job.out))}"
            ) from error


def number_of_workers(devices: int | str) -> int:
    """The number of workers for `devices` on this host.

    Raises:
        ValueError: If it is neither a positive integer nor `"auto"`.
    """
    if devices != "auto":
        return _arguments.positive_integer(devices, "devices")
    return len(visible_gpus()) or max(1, available_cores() // _CORES_A_WORKER)


def _environments(workers: int) -> list[dict[str, str]]:
    gpus = visible_gpus()
    if not gpus:
        return [threads_per_process(workers)] * workers
    if len(gpus) < workers:
        raise ValueError(
            "There are fewer GPUs than workers; `CUDA_VISIBLE_DEVICES` selects GPUs, "
            f"or none if it is empty. {received(devices=workers, gpus=gpus)}"
        )
    return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[:workers]]


def work(job: Job) -> None:
    """Runs a worker process: it does tasks from standard input until its end."""
    # The output of libraries must not be read as an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    embedder = job.source.load()
    for line in sys.stdin:
        job.write(embedder, json.loads(line))
        answers.write("done\n")
        answers.flush()
