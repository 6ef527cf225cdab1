"""The options for several devices, and the processes that they start."""

from __future__ import annotations

import sys
from typing import Any

import click
import keras

from keras_involution.whale_id.cli._options import Command

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


def devices_options(command: Command) -> Command:
    """`--devices` and what belongs to it."""
    for decorate in (
        click.option("--share", hidden=True),
        click.option(
            "--timeout",
            default=3600.0,
            show_default=True,
            help="Seconds that the first of several hosts waits for the next part.",
        ),
        click.option(
            "--part-size",
            default=1024,
            show_default=True,
            help="Photographs of a part, with --devices.",
        ),
        click.option(
            "--devices",
            type=_Devices(),
            help="Processes, each with a GPU of its own if there are any; auto takes "
            "all GPUs, or half of the cores. Under srun, torchrun or Kubernetes each "
            "process that they start is one.",
        ),
    ):
        command = decorate(command)
    return command


def worker_command(
    source: tuple[str, str | None, bool], share: str, options: dict[str, Any]
) -> list[str]:
    """The command line of one that writes a share of the parts."""
    table, images, boxes = source
    command = [*_WHALE_ID, "embed"]
    command += [f"--share={share}"]
    command += [f"--images={images}"] if images is not None else []
    command += [] if boxes else ["--no-boxes"]
    command += ["--head"] if options["head"] else []
    for name in ("flip", "margin", "batch_size", "on_error", "part_size"):
        command.append(f"--{name.replace('_', '-')}={options[name]}")
    return [*command, "--", table, options["model"], options["out"]]


def trained_in_processes(devices: str) -> bool:
    """Starts this very command once for each device, where the backend wants that.

    PyTorch does, and every backend on a host with nothing but its processor. Whether
    it did; the processes that are started, here or by a launcher, do not.
    """
    from keras_involution.distribution import Hosts, launch
    from keras_involution.distribution.local import (
        has_tpu,
        parted_threads,
        visible_gpus,
    )

    gpus = visible_gpus()
    number = int(devices) if devices.isdecimal() else 0
    if devices == "auto" and keras.config.backend() == "torch":
        number = len(gpus)
    several = keras.config.backend() == "torch" or not (gpus or has_tpu())
    if number < 2 or not several or Hosts.from_environment().processes > 1:
        return False
    launch(
        # Of the devices that it sees, each takes what there is.
        [*_WHALE_ID, *sys.argv[1:], "--devices=auto"],
        number,
        environment={} if gpus else parted_threads(number),
        gpus=bool(gpus),
        output=sys.stderr,
    )
    return True
