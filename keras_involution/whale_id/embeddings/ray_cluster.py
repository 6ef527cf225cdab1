"""Embedding on several hosts with Ray Data, which schedules, retries and reports."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_involution._files import atomic_write
from keras_involution.whale_id.embeddings.shards import shard_arrays

if TYPE_CHECKING:
    from keras_involution.whale_id.embeddings.job import Job


@dataclass
class _Worker:
    """A Ray actor: loads the network once, and embeds one shard per call."""

    job: Job

    def __post_init__(self) -> None:
        self.embedder = self.job.source.load()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        files = []
        for rows in batch["rows"]:
            file = io.BytesIO()
            np.savez(
                file, **_present(shard_arrays(*self.job.embed(self.embedder, rows)))
            )
            files.append(file.getvalue())
        return {"shard": batch["shard"], "file": np.array(files, object)}


def _present(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if array is not None}


def run_on_ray(
    job: Job,
    tasks: list[dict[str, Any]],
    address: str,
    devices: int | str | None,
    on_done: Callable[[dict[str, Any]], None],
) -> None:
    """Embeds tasks on the hosts of a cluster; this process writes the shards.

    Ray replaces workers or hosts that die and repeats their tasks. All hosts need
    access to the photos and the network under the same paths.

    Args:
        job: `Job`.
        tasks: List of tasks from `Job.tasks`.
        address: String, address of a cluster; `"auto"` for the cluster of this host, or
            `"local"` to start one here.
        devices: Integer, total number of workers; `None` or `"auto"` uses one for each
            GPU, or for every two cores.
        on_done: Function that is called with every task after its shard is written.
    """
    import ray
    import ray.data

    begun = not ray.is_initialized()
    if begun:
        ray.init(address=None if address == "local" else address, log_to_driver=False)
    try:
        resources = ray.cluster_resources()
        gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        number = devices if isinstance(devices, int) else gpus or max(1, cores // 2)
        by_shard = {task["shard"]: task for task in tasks}
        data: Any = ray.data.from_items(tasks, override_num_blocks=len(tasks))
        data = data.map_batches(
            _Worker,
            fn_constructor_kwargs={"job": job},
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=min(number, len(tasks))),
            num_gpus=1 if gpus else 0,
            num_cpus=1,
        )
        for batch in data.iter_batches(
            batch_size=1, batch_format="numpy", prefetch_batches=0
        ):
            for shard, file in zip(batch["shard"], batch["file"], strict=True):
                _write(job, int(shard), file)
                on_done(by_shard[int(shard)])
    finally:
        if begun:
            ray.shutdown()


def _write(job: Job, shard: int, file: bytes) -> None:
    path = job.shards.folder / f"{shard:06}.npz"
    with atomic_write(path, force=True) as draft:
        draft.write_bytes(bytes(file))
