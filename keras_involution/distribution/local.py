"""What this host has: its GPUs and cores, and how processes divide them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from keras_involution import _arguments


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """The NVIDIA GPUs that a process of this host may use, without starting CUDA.

    Args:
        environment: Dictionary of strings; `None` for that of the process.

    Returns:
        List of what `CUDA_VISIBLE_DEVICES` calls them, or else of what `nvidia-smi`
        lists; empty where there is neither.

    Example:

    >>> from keras_involution.distribution.local import visible_gpus
    >>> visible_gpus({"CUDA_VISIBLE_DEVICES": "2,3"})
    ['2', '3']
    """
    found = os.environ if environment is None else environment
    if "CUDA_VISIBLE_DEVICES" not in found:
        return _listed_gpus()
    names = [name.strip() for name in found["CUDA_VISIBLE_DEVICES"].split(",")]
    # CUDA reads them up to the first that is none.
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
    """Whether this host has a TPU, or is told of one, without starting it."""
    told = ("TPU_NAME", "COLAB_TPU_ADDR", "TPU_ACCELERATOR_TYPE")
    return any(name in os.environ for name in told) or os.path.exists("/dev/accel0")


def available_cores() -> int:
    """Number of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_per_process(processes: int) -> dict[str, str]:
    """Settings with which each of so many processes computes on its part of the cores.

    Args:
        processes: Integer.

    Returns:
        Dictionary of environment variables: what OpenMP, TensorFlow and XLA read. What
        is set already is not in it.

    Raises:
        ValueError: If `processes` is no positive integer.
    """
    cores = available_cores() // _arguments.positive_integer(processes, "processes")
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    # XLA's pool on CPUs has the size that NPROC says.
    settings = dict.fromkeys([*names, "NPROC"], str(max(1, cores)))
    return {name: value for name, value in settings.items() if name not in os.environ}
