"""Measures `ops.fused_involution` and the operator with stored kernels.

For the sizes of the four stages of RedNet (7x7 windows, groups of 16 channels, a
quarter of the channels as features), it measures forward, and forward with all
gradients. "Stored" computes the kernels as a product and applies `ops.involution`. The
two are measured in turn. It takes about a minute per backend on 2 cores.

    KERAS_BACKEND=torch python -m benchmarks.fused_operator
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks._measure import devices, report
from benchmarks.operator import GROUP_CHANNELS, STAGES, WINDOW

if TYPE_CHECKING:
    from keras_involution._measure.devices import Device

RATIO = 4
COLUMNS = ("stage", "work", "stored, ms", "fused, ms", "fused / stored")


def formulations(groups: int) -> dict[str, Callable[..., Any]]:
    """Returns both formulations, functions of inputs, features, matrix and bias."""
    from keras import ops as keras_ops

    from keras_involution import ops

    def stored(x: Any, features: Any, matrix: Any, bias: Any) -> Any:
        kernels = keras_ops.matmul(features, matrix) + bias
        shape = (*features.shape[:3], groups, WINDOW, WINDOW)
        kernels = keras_ops.reshape(kernels, shape)
        return ops.involution(x, kernels, data_format="channels_last")

    def fused(*tensors: Any) -> Any:
        sizes = {"kernel_size": WINDOW, "groups": groups}
        return ops.fused_involution(*tensors, **sizes, data_format="channels_last")

    return {"stored": stored, "fused": fused}


def measure_stage(
    device: Device, side: int, work: str, batch: int, repeats: int
) -> report.Row:
    """Returns the median times of both formulations, measured in turn."""
    import keras

    from keras_involution._measure import timing

    channels = STAGES[side]
    groups, features = channels // GROUP_CHANNELS, channels // RATIO
    columns, image = groups * WINDOW**2, (batch, side, side)
    shapes = (*image, channels), (*image, features), (features, columns), (columns,)
    tensors = [device.normal(shape, "float32") for shape in shapes]
    if work == "training":
        tensors.append(device.normal(shapes[0], "float32"))
    calls = {}
    for name, function in formulations(groups).items():
        wrap = device.forward if work == "forward" else device.training
        run = wrap(function)
        if keras.config.backend() != "torch":  # Keras runs PyTorch eagerly
            run = device.compiled(run)
        calls[name] = lambda run=run: run(*tensors)
        timing.median_ms(calls[name], device.wait, 3)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(timing.sample_ms(call, device.wait, 5))
    stored, fused = (statistics.median(times[name]) for name in ("stored", "fused"))
    return {
        "stage": f"{side}x{side}x{channels}",
        "work": work,
        "stored, ms": stored,
        "fused, ms": fused,
        "fused / stored": fused / stored,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    device = devices.open_device(arguments.device)
    from keras_involution._measure import machine

    report.print_head(machine.describe(device))
    rows = [
        measure_stage(device, side, work, arguments.batch, arguments.repeats)
        for side in STAGES
        for work in ("forward", "training")
    ]
    print(report.table(rows, COLUMNS))


if __name__ == "__main__":
    main()
