"""The options for several devices, and the processes that they start."""

from __future__ import annotations

import os
import sys
from typing import Any

import click
import cloup

from keras_involution._commands import positive

_WHALE_ID = (sys.executable, "-m", "keras_involution.whale_id.cli")


class _Devices(click.ParamType):
    name = "N|auto"

    def convert(self, value: Any, param: Any, context: Any) -> int | str:
        if value == "auto":
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto.", param, context)


devices_options = cloup.option_group(
    "Several processes",
    cloup.option(
        "--devices",
        type=_Devices(),
        help="Number of processes, each with its own GPU if there are any; auto uses "
        "all GPUs, or half of the cores.",
    ),
    cloup.option(
        "--shard-size",
        default=256,
        callback=positive,
        show_default=True,
        help="Number of photos in a shard.",
    ),
    cloup.option(
        "--ray",
        "ray_address",
        metavar="ADDRESS",
        help="Embed on all hosts of a Ray cluster: its address, auto, or local.",
    ),
    cloup.option("--worker", is_flag=True, hidden=True),
)


def worker_command(
    table: str, images: str | None, boxes: bool, options: dict[str, Any]
) -> list[str]:
    """The command line of a worker process: this command with the hidden option."""
    command = [*_WHALE_ID, "embed", "--worker"]
    command += [f"--images={images}"] if images is not None else []
    command += [] if boxes else ["--no-boxes"]
    command += ["--head"] if options["head"] else []
    names = ["flip", "box_margin", "batch_size", "on_error", "shard_size", "size"]
    names += ["local", "side", "keypoints", "region"]
    for name in names:
        if options[name] is not None:
            command.append(f"--{name.replace('_', '-')}={options[name]}")
    for name in ("mean", "std"):
        command.append(f"--{name}={','.join(map(str, options[name]))}")
    return [*command, "--", table, options["model"], options["out"]]


def trained_in_processes(devices: str) -> bool:
    """Replaces this process with torchrun if PyTorch needs several processes.

    Other backends use all devices from one process. On a host without a GPU, the CPU is
    split into several virtual devices for them.

    Returns:
        `False`; it does not return if the process is replaced.
    """
    import keras

    from keras_involution.distribution import Hosts, simulate_devices
    from keras_involution.distribution.bound import bound_command
    from keras_involution.distribution.local import (
        has_tpu,
        threads_per_process,
        visible_gpus,
    )

    gpus, is_torch = visible_gpus(), keras.config.backend() == "torch"
    number = int(devices) if devices.isdecimal() else 0
    if devices == "auto" and is_torch:
        number = len(gpus)
    if number < 2 or Hosts.from_environment().world_size > 1:
        return False
    if not is_torch:
        if not (gpus or has_tpu()):
            simulate_devices(number)
        return False
    if not gpus:
        os.environ.update(threads_per_process(number))
    # Each process uses the device that belongs to its local rank.
    command = bound_command([*_WHALE_ID, *sys.argv[1:], "--devices=auto"])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += [f"--nproc-per-node={number}", "--no-python"]
    os.execv(sys.executable, [*torchrun, *command])
    return True
