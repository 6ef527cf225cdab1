"""The GPUs and cores of this host, and how processes share them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from keras_involution import _arguments


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """The NVIDIA GPUs that a process on this host may use, without starting CUDA.

    Args:
        environment: Dictionary of strings; `None` uses the environment of the process.

    Returns:
        List of strings: the GPUs in `CUDA_VISIBLE_DEVICES`, or those that `nvidia-smi`
        lists; empty if neither is available.

    Example:

    >>> from keras_involution.distribution.local import visible_gpus
    >>> visible_gpus({"CUDA_VISIBLE_DEVICES": "2,3"})
    ['2', '3']
    """
    found = os.environ if environment is None else environment
    if "CUDA_VISIBLE_DEVICES" not in found:
        return _listed_gpus()
    names = [name.strip() for name in found["CUDA_VISIBLE_DEVICES"].split(",")]
    # CUDA ignores everything after the first invalid entry.
    first = (i for i, name in enumerate(names) if not name or name.startswith("-"))
    return names[: next(first, len(names))]


def _listed_gpus() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    names = [line.strip() for line in listed.stdout.splitlines()]
    return [name for name in names if name.isdecimal()] if not listed.returncode else []


def has_tpu() -> bool:
    """Whether this host has a TPU or its environment names one, without starting it."""
    told = ("TPU_NAME", "COLAB_TPU_ADDR", "TPU_ACCELERATOR_TYPE")
    return any(name in os.environ for name in told) or os.path.exists("/dev/accel0")


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_per_process(processes: int) -> dict[str, str]:
    """Environment variables that divide the cores of this host evenly among processes.

    Args:
        processes: Integer, the number of processes.

    Returns:
        Dictionary of environment variables for OpenMP, TensorFlow and XLA. Variables
        that are already set are not included.

    Raises:
        ValueError: If `processes` is not a positive integer.
    """
    cores = available_cores() // _arguments.positive_integer(processes, "processes")
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    # XLA takes the size of its thread pool on CPUs from NPROC.
    settings = dict.fromkeys([*names, "NPROC"], str(max(1, cores)))
    return {name: value for name, value in settings.items() if name not in os.environ}
