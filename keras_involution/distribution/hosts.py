"""Rank and world size of this process, read from the launcher's environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from keras_involution._arguments import received

_PORT = 12355


@dataclass(frozen=True)
class Hosts:
    """The processes of one run, on one host or on several.

    Args:
        addresses: Tuple of "host:port" strings, either of every process or only of the
            first, to which the others connect. TensorFlow needs all of them. Empty for
            a single process.
        world_size: Integer, the number of processes.
        rank: Integer, the number of this process, from 0.
        local_rank: Integer, its number among the processes of its host.
        source: String, the origin of these values.

    Raises:
        ValueError: If the values contradict each other.

    Example:

    >>> from keras_involution.distribution import Hosts
    >>> environment = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    >>> environment |= {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    >>> hosts = Hosts.from_environment(environment)
    >>> hosts.rank, hosts.world_size, hosts.coordinator, hosts.source
    (1, 2, '10.0.0.1:29500', 'torchrun')
    """

    addresses: tuple[str, ...] = ()
    world_size: int = 1
    rank: int = 0
    local_rank: int = 0
    source: str = "arguments"

    def __post_init__(self) -> None:
        counts = (
            {0, 1, self.world_size} if self.world_size == 1 else {1, self.world_size}
        )
        fit = 0 <= self.rank < self.world_size and len(self.addresses) in counts
        if not fit or any(":" not in address for address in self.addresses):
            raise ValueError(
                "Several processes need ranks that start at 0, and the address "
                '"host:port" of the first process or of every process. '
                + received(
                    addresses=self.addresses,
                    world_size=self.world_size,
                    rank=self.rank,
                    source=self.source,
                )
            )

    @property
    def coordinator(self) -> str | None:
        """The address of the first process; `None` for a single process."""
        return self.addresses[0] if self.world_size > 1 else None

    @property
    def is_main_process(self) -> bool:
        """Whether this is the first process, which writes files and prints."""
        return self.rank == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Hosts:
        """Reads the environment variables set by the launcher of this process.

        The order is: `KERAS_DISTRIBUTION_JOB_ADDRESSES` and related variables (the rank
        can also be Kubernetes's `JOB_COMPLETION_INDEX`), `TF_CONFIG`, torchrun, a SLURM
        step, the hosts of a TPU slice. Kaggle and Colab have one host. Without any of
        these, there is one process.

        Args:
            environment: Dictionary of strings; `None` reads the environment of this
                process.

        Raises:
            ValueError: If the variables are incomplete or contradictory.
        """
        found = os.environ if environment is None else environment
        for read in (_keras, _tf_config, _torchrun, _slurm, _tpu):
            try:
                hosts = read(found)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    "The environment describes several processes, but variables are "
                    f"missing: {error}. {received(source=read.__name__[1:])}"
                ) from error
            if hosts is not None:
                return hosts
        return cls(source="no launcher")


def _keras(found: Mapping[str, str]) -> Hosts | None:
    prefix = "KERAS_DISTRIBUTION_"
    if f"{prefix}NUM_PROCESSES" not in found:
        return None
    number = found.get(f"{prefix}PROCESS_ID", found.get("JOB_COMPLETION_INDEX"))
    if number is None:
        raise KeyError(f"{prefix}PROCESS_ID")
    processes = int(found[f"{prefix}NUM_PROCESSES"])
    named = found.get(f"{prefix}JOB_ADDRESSES", "")
    addresses = tuple(filter(None, (part.strip() for part in named.split(","))))
    # On Kubernetes, every pod is a host.
    return Hosts(addresses, processes, int(number), 0, "KERAS_DISTRIBUTION")


def _tf_config(found: Mapping[str, str]) -> Hosts | None:
    if "TF_CONFIG" not in found:
        return None
    config = json.loads(found["TF_CONFIG"])
    cluster, task = config.get("cluster", {}), config.get("task", {})
    if not cluster:
        return None
    workers = tuple(cluster.get("chief", [])) + tuple(cluster.get("worker", []))
    number = int(task.get("index", 0))
    if task.get("type") == "worker":
        number += len(cluster.get("chief", []))
    return Hosts(workers, len(workers), number, source="TF_CONFIG")


def _torchrun(found: Mapping[str, str]) -> Hosts | None:
    if "WORLD_SIZE" not in found or "RANK" not in found:
        return None
    address = f"{found['MASTER_ADDR']}:{found['MASTER_PORT']}"
    local = int(found.get("LOCAL_RANK", 0))
    world, rank = int(found["WORLD_SIZE"]), int(found["RANK"])
    return Hosts((address,), world, rank, local, "torchrun")


def _slurm(found: Mapping[str, str]) -> Hosts | None:
    # Only a step started by `srun` has one process per task. A batch script is a single
    # process, even if it requests several tasks.
    if "SLURM_STEP_NODELIST" not in found or "SLURM_PROCID" not in found:
        return None
    processes = int(found["SLURM_STEP_NUM_TASKS"])
    first = _first_node(found["SLURM_STEP_NODELIST"])
    port = _PORT + int(found.get("SLURM_JOB_ID", 0)) % 20_000
    number, local = int(found["SLURM_PROCID"]), int(found.get("SLURM_LOCALID", 0))
    names = _all_nodes(found["SLURM_STEP_NODELIST"])
    # TensorFlow needs the address of every task, known only with one task per node.
    addresses = tuple(f"{name}:{port}" for name in names)
    if len(addresses) != processes:
        addresses = (f"{first}:{port}",)
    return Hosts(addresses, processes, number, local, "SLURM")


def _tpu(found: Mapping[str, str]) -> Hosts | None:
    names = [n for n in found.get("TPU_WORKER_HOSTNAMES", "").split(",") if n]
    if len(names) < 2:
        return None
    addresses = tuple(f"{name}:8476" for name in names)
    return Hosts(addresses, len(names), int(found["TPU_WORKER_ID"]), 0, "a TPU slice")


def _first_node(nodes: str) -> str:
    return _all_nodes(nodes)[0]


def _all_nodes(nodes: str) -> list[str]:
    """Expands a list of nodes such as `gpu[01-03,07],login`."""
    names: list[str] = []
    for part in re.findall(r"[^,\[\]]+(?:\[[^\]]*\][^,\[\]]*)*", nodes):
        match = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", part)
        if match is None:
            names.append(part)
            continue
        before, ranges, after = match.groups()
        for span in ranges.split(","):
            low, _, high = span.partition("-")
            for number in range(int(low), int(high or low) + 1):
                names.append(f"{before}{number:0{len(low)}}{after}")
    if not names:
        raise ValueError(f"no node in {nodes!r}")
    return names
