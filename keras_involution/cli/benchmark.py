"""`keras-involution benchmark`: times the implementations of involution."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution import _arguments
from keras_involution._commands import Command, positive, reported

if TYPE_CHECKING:
    from keras_involution._measure.devices import Device
    from keras_involution._measure.machine import Rates
    from keras_involution.ops._geometry import Geometry
    from keras_involution.ops._implementation import Implementation

# Forward, then forward and backward.
_WITH_GRADIENTS = (False, True)
_COLUMNS = ("forward, ms", "x floor", "forward + backward, ms", "x floor")


class _Integers(click.ParamType):
    """One integer, or a tuple of them."""

    name = "N[,N...]"

    def convert(self, value: Any, param: Any, context: Any) -> int | tuple[int, ...]:
        try:
            numbers = tuple(int(word) for word in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of integers such as 8,56,56,64.")
        return numbers if "," in str(value) else numbers[0]


@cloup.command(cls=Command)
@click.option(
    "--shape",
    type=_Integers(),
    default="8,56,56,64",
    help="Shape of the inputs, in the order of --data-format, with one to three "
    "spatial dimensions.",
)
@click.option(
    "--kernel-size", type=_Integers(), default="7", help="Sides of the window; odd."
)
@click.option(
    "--groups",
    type=click.IntRange(1),
    show_default="one for every 16 channels, as in RedNet",
    help="Number of kernels at each position; must divide the channels.",
)
@click.option(
    "--strides", type=_Integers(), default="1", help="Step between output positions."
)
@click.option(
    "--dilation-rate",
    type=_Integers(),
    default="1",
    help="Spacing of the points of the window.",
)
@click.option(
    "--dtype",
    type=click.Choice(("float32", "float16", "bfloat16")),
    default="float32",
    help="Data type of all tensors.",
)
@click.option(
    "--data-format",
    type=click.Choice(_arguments.DATA_FORMATS),
    default="channels_last",
    help="Order of the dimensions.",
)
@click.option(
    "--repeats", default=15, callback=positive, help="Number of measurements."
)
def command(shape: Any, dtype: str, repeats: int, **options: Any) -> None:
    """Time every implementation of involution on this machine and backend.

    Times are medians in milliseconds. TensorFlow and JAX run compiled programs, PyTorch
    runs eagerly. "forward + backward" computes the outputs and both gradients. The
    command also lists the implementations that cannot run, with the reason. "chosen"
    marks the implementation that layers use by default; on TensorFlow, this applies to
    `fit`, `evaluate`, `predict` and eager calls.

    The floor is the larger of two times: the time to move the bytes at the bandwidth of
    a copy, and the time to do the multiply-adds at the speed of a matrix product. Both
    speeds are measured in the same run. Forward reads inputs and kernels once and
    writes outputs once. Backward reads inputs, kernels and the upstream gradient,
    writes the two gradients, and has twice the multiply-adds of forward.
    """
    with reported():
        geometry = _geometry(shape, **options)
    _report(geometry, shape, dtype, repeats)


def _geometry(
    shape: Any,
    kernel_size: Any,
    groups: int | None,
    strides: Any,
    dilation_rate: Any,
    data_format: str,
) -> Geometry:
    from keras_involution.ops._geometry import Geometry

    if not isinstance(shape, tuple) or not 3 <= len(shape) <= 5 or min(shape) < 1:
        raise ValueError(
            "`shape` must be three to five positive integers: images, spatial sizes "
            f"and channels. {_arguments.received(shape=shape)}"
        )
    rank = len(shape) - 2
    channels = shape[1] if data_format == "channels_first" else shape[-1]
    if groups is None:
        groups = channels // 16 if channels % 16 == 0 else 1
    _arguments.divisible(channels, groups, "channels", "groups")
    return Geometry(
        kernel_size=_arguments.odd_window(kernel_size, rank),
        strides=_arguments.spatial_tuple(strides, rank, "strides"),
        dilation_rate=_arguments.spatial_tuple(dilation_rate, rank, "dilation_rate"),
        groups=groups,
        channels=channels,
        data_format=data_format,
    )


def _report(
    geometry: Geometry, shape: tuple[int, ...], dtype: str, repeats: int
) -> None:
    from rich.console import Console
    from rich.table import Table

    from keras_involution._measure import devices, machine
    from keras_involution.ops._implementation import select
    from keras_involution.ops.involution import IMPLEMENTATIONS

    device = devices.running_device()
    rates = machine.rates(device, dtype, repeats)
    head = machine.describe(device)
    words = head["backend"], head[head["backend"]], device.name, head["cores"], rates
    click.echo("{} {}, {}, {} cores, {}".format(*words))
    table = Table("implementation")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    tensors = _tensors(device, geometry, shape, dtype)
    floors = _floors(rates, geometry, shape, dtype)
    x, k, _ = tensors
    chosen = select(IMPLEMENTATIONS, None, x, k, geometry)
    reasons = {}
    for each in IMPLEMENTATIONS:
        if reason := each.unsupported_reason(x, k, geometry):
            reasons[each.name] = reason
            continue
        times = _times(device, each, tensors, geometry, repeats)
        label = f"{each.name} (chosen)" if each is chosen else each.name
        table.add_row(label, *_cells(times, floors))
    table.add_row("floor", *_cells(floors, floors))
    Console().print(table)
    for name, reason in reasons.items():
        click.echo(f"{name} cannot run: {reason}")


def _tensors(
    device: Device, geometry: Geometry, shape: tuple[int, ...], dtype: str
) -> list[Any]:
    """Returns random inputs, kernels and upstream gradient."""
    shapes: Any = geometry.kernels_shape(shape), geometry.output_shape(shape)
    return [device.normal(s, dtype) for s in (shape, *shapes)]


def _times(
    device: Device,
    implementation: Implementation,
    tensors: list[Any],
    geometry: Geometry,
    repeats: int,
) -> list[float]:
    """Returns milliseconds of forward, and of forward and backward."""
    import keras

    from keras_involution._measure import timing

    def operator(x: Any, k: Any) -> Any:
        return implementation.run(x, k, geometry)

    times = []
    for training in _WITH_GRADIENTS:
        function = (device.training if training else device.forward)(operator)
        if keras.config.backend() != "torch":  # Keras runs PyTorch eagerly
            function = device.compiled(function)
        inputs = tensors if training else tensors[:2]
        call = functools.partial(function, *inputs)
        times.append(timing.median_ms(call, device.wait, repeats))
    return times


def _floors(
    rates: Rates, geometry: Geometry, shape: tuple[int, ...], dtype: str
) -> list[float]:
    from keras_involution._measure.machine import involution_work

    works = (involution_work(geometry, shape, dtype, t) for t in _WITH_GRADIENTS)
    return [rates.floor_ms(*work) for work in works]


def _cells(times: list[float], floors: list[float]) -> list[str]:
    numbers = (number for t, f in zip(times, floors) for number in (t, t / f))
    return [f"{n:.0f}" if n >= 100 else f"{n:.3g}" for n in numbers]
