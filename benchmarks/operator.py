"""Measures the involution operator: all implementations and other formulations.

For the sizes of the four stages of RedNet (7x7 windows, groups of 16 channels), it
measures forward, and forward with both gradients: the median time, the peak memory, and
the ratios to the floor measured in the same run and to `unfold`, the published
formulation. It takes about three minutes per backend on 2 cores. `--baselines` adds
slow formulations, which take ten minutes on JAX.

    KERAS_BACKEND=torch python -m benchmarks.operator --output benchmarks/results
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._measure import devices, report

if TYPE_CHECKING:
    from benchmarks._measure.formulations import Formulation
    from keras_involution._measure.machine import Rates
    from keras_involution.ops._geometry import Geometry

STAGES = {56: 64, 28: 128, 14: 256, 7: 512}
WINDOW, GROUP_CHANNELS = 7, 16
TRAINING_UNIT = "ms, forward and both gradients, 8 images"
UNFOLD = "unfold, as published"
COLUMNS = (
    "stage", "work", "formulation", "ms", "x floor", "x faster than unfold",
    "% of copy bandwidth", "MiB at peak",
)  # fmt: skip


def usable(
    device: devices.Device, arguments: argparse.Namespace
) -> Iterator[Formulation]:
    """Yields the selected formulations that can run; prints why others cannot."""
    from benchmarks._measure.formulations import all_formulations

    for formulation in all_formulations(device.kind):
        if not _wanted(formulation, arguments):
            continue
        try:
            formulation.run(
                *_tensors(device, 7, formulation.data_format, arguments)[:2]
            )
        except (ValueError, NotImplementedError) as error:
            print(f"SKIPPED: {formulation.name}: {_first_line(error)}")
        else:
            yield formulation


def measure_stage(
    device: devices.Device,
    side: int,
    formulations: list[Formulation],
    arguments: argparse.Namespace,
) -> Iterator[report.Row]:
    from keras_involution._measure import machine

    rates = machine.rates(device, arguments.dtype)
    print(f"{side}x{side}x{STAGES[side]}: {rates}", flush=True)
    for formulation in formulations:
        for work in ("forward", "training"):
            yield _measure(device, rates, side, formulation, work, arguments)


def _wanted(formulation: Formulation, arguments: argparse.Namespace) -> bool:
    if arguments.only:
        return any(word in formulation.name for word in arguments.only)
    return formulation.ours or formulation.name == UNFOLD or arguments.baselines


def _measure(
    device: devices.Device,
    rates: Rates,
    side: int,
    formulation: Formulation,
    work: str,
    arguments: argparse.Namespace,
) -> report.Row:
    from keras_involution._measure import machine, timing

    tensors = _tensors(device, side, formulation.data_format, arguments)
    wrap = device.forward if work == "forward" else device.training
    function = wrap(formulation.run)
    if formulation.compiled:
        function = device.compiled(function)
    inputs = tensors[:2] if work == "forward" else tensors
    repeats = arguments.repeats if formulation.ours else 3
    run = lambda: function(*inputs)  # noqa: E731
    milliseconds = timing.median_ms(run, device.wait, repeats)
    moved, operations = machine.involution_work(
        _geometry(tensors, formulation.data_format),
        tuple(tensors[0].shape),
        arguments.dtype,
        work == "training",
    )
    return {
        "stage": f"{side}x{side}x{STAGES[side]}",
        "work": work,
        "formulation": formulation.name,
        "ms": milliseconds,
        "x floor": milliseconds / rates.floor_ms(moved, operations),
        "% of copy bandwidth": 100 * moved / rates.copied / milliseconds,
        "MiB at peak": device.peak_mib(run),
    }


def _tensors(
    device: devices.Device, side: int, data_format: str, arguments: argparse.Namespace
) -> tuple[Any, Any, Any]:
    channels = STAGES[side]
    groups = channels // GROUP_CHANNELS
    x, k = (side, side, channels), (side, side, groups, WINDOW, WINDOW)
    if data_format == "channels_first":
        x, k = (channels, side, side), (groups, WINDOW, WINDOW, side, side)
    shapes = ((arguments.batch, *shape) for shape in (x, k, x))
    made = [device.normal(shape, arguments.dtype) for shape in shapes]
    return made[0], made[1], made[2]


def _geometry(tensors: tuple[Any, ...], data_format: str) -> Geometry:
    from keras_involution.ops._geometry import geometry_of

    shapes = (tuple(tensor.shape) for tensor in tensors[:2])
    return geometry_of(*shapes, 1, 1, data_format)


def _compare_with_unfold(rows: list[report.Row]) -> None:
    key = lambda row: (row["stage"], row["work"])  # noqa: E731
    slow = {key(row): row["ms"] for row in rows if row["formulation"] == UNFOLD}
    for row in rows:
        if key(row) in slow:
            row["x faster than unfold"] = slow[key(row)] / row["ms"]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--stages", type=int, nargs="*", default=list(STAGES))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", nargs="*", help="words in names of formulations")
    parser.add_argument("--baselines", action="store_true", help="add all baselines")
    parser.add_argument("--output", type=Path, help="folder for JSON and a plot")
    arguments = parser.parse_args()
    device = devices.open_device(arguments.device)
    from keras_involution._measure import machine

    head = {**machine.describe(device), "batch": arguments.batch}
    head["dtype"] = arguments.dtype
    report.print_head(head)
    formulations = list(usable(device, arguments))
    rows: list[report.Row] = []
    for side in arguments.stages:
        rows += measure_stage(device, side, formulations, arguments)
    _compare_with_unfold(rows)
    print(report.table(rows, COLUMNS))
    if arguments.output:
        name = f"operator_{head['backend']}_{head['device']}_{arguments.dtype}"
        report.write_json(arguments.output / f"{name}.json", head, rows)
        training = [row for row in rows if row["work"] == "training"]
        plot = arguments.output / f"{name}.png"
        names = ("stage", "formulation", "ms")
        foot = report.foot(head, report.command())
        report.bar_plot(plot, training, names, TRAINING_UNIT, foot, log=True)


if __name__ == "__main__":
    main()
