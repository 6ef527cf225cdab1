"""The operator for XLA through TensorFlow, with gradients written by hand.

TensorFlow runs the shifted slices one kernel after the other unless XLA fuses them,
so the operator compiles itself (`jit_compile=True`), inside whatever calls it.

Forward: the input is padded once; the sum over the taps of a shifted slice times
that tap's weights is one expression, which XLA fuses into one loop with the sum in
a register. The gradient for the inputs is the same sum gathered at the mirrored
offsets; with strides, each phase of the input's grid is such a sum by itself.

The gradient for the kernels sums over the channels of a group. XLA does not
vectorise a sum over the innermost axis on a CPU, so there the channels are moved
outwards and the loop runs over the positions, an image and a tap at a time: an
image stays in the cache and the program is one small loop body. Elsewhere every
tap's product is reduced in place, which XLA fuses.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation

# Longest sum over channels that is written out; longer ones loop over blocks.
_UNROLLED_CHANNELS = 16


def involution(inputs: tf.Tensor, kernels: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    def pull_back(x, k, dy):
        dx = _gradient_of_inputs(x, k, dy, geometry)
        return dx, _gradient_of_kernels(x, dy, geometry)

    return _run(_forward, geometry, pull_back, inputs, kernels)


# Involution is linear in each of its two inputs, so the derivatives of its gradients,
# X(k, dy) and K(x, dy), are the same functions once more:
# <u, X(k, dy)> = <I(u, k), dy> and <v, K(x, dy)> = <I(x, v), dy>.


def _gradient_of_inputs(
    x: tf.Tensor, k: tf.Tensor, dy: tf.Tensor, geometry: Geometry
) -> tf.Tensor:
    """X(k, dy); of x only the sizes are read."""

    def pull_back(x, k, dy, u):
        return None, _gradient_of_kernels(u, dy, geometry), involution(u, k, geometry)

    return _run(_input_gradient, geometry, pull_back, x, k, dy)


def _gradient_of_kernels(x: tf.Tensor, dy: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """K(x, dy)."""

    def pull_back(x, dy, v):
        return _gradient_of_inputs(x, v, dy, geometry), involution(x, v, geometry)

    return _run(_kernels_gradient, geometry, pull_back, x, dy)


def _run(
    function: Callable, geometry: Geometry, pull_back: Callable, *tensors: tf.Tensor
) -> tf.Tensor:
    """Runs the compiled function, out of sight of the tapes.

    A tape that watched it would keep all that the program computes on its way.
    """
    program = _compiled(function, geometry)
    if not tf.executing_eagerly():
        if _is_traced_without_gradients(tensors):
            return program(*tensors)
        # A gradient inside of `tf.cond` finds only what the branch itself has made.
        tensors = tuple(map(tf.identity, tensors))

    @tf.custom_gradient
    def run(*tensors):
        value = program(*map(tf.stop_gradient, tensors))
        return value, lambda upstream: pull_back(*tensors, upstream)

    return run(*tensors)


def _is_traced_without_gradients(tensors: tuple[tf.Tensor, ...]) -> bool:
    """Whether this graph will forget a gradient of our own.

    The body of a `tf.vectorized_map` or of a jacobian does, once vectorised; and in a
    graph a `tf.autodiff.ForwardAccumulator` does not ask for it.
    """
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        if _VECTORISED.search(graph.get_name_scope()):
            return True
        graph = getattr(graph, "outer_graph", None)
    return bool(forwardprop_util.pack_tangents(tensors).tangents)


# The name scope of what TensorFlow is going to vectorise.
_VECTORISED = re.compile(r"(^|/)loop_body(_\d+)?(/|$)")


@functools.cache
def _compiled(function: Callable, geometry: Geometry) -> Callable:
    @tf.function(jit_compile=True, autograph=False)
    def involution(*tensors):
        return function(geometry, *tensors)

    return involution


def _forward(geometry: Geometry, x: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    axes = geometry.grouped_axes
    padded = _pad(_split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    sizes = [_size(k, axis) for axis in geometry.kernel_spatial_axes]
    weights = _merge_window(k, geometry)
    total = None
    for number, tap in enumerate(geometry.taps()):
        window = _cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        weight = (
            weights[:, :, number] if geometry.channels_first else weights[..., number]
        )
        total = _add(total, _product(window, weight, geometry))
    return tf.cast(_merge_groups(total, geometry), x.dtype)


def _input_gradient(
    geometry: Geometry, x: tf.Tensor, k: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    """The phases of the padded input's grid, each gathered by itself, interleaved."""
    padding, strides = geometry.padding, geometry.strides
    sizes = [_size(x, axis) for axis in geometry.spatial_axes]
    first = [p // s for p, s in zip(padding, strides)]
    stop = [-(-(p + n) // s) for p, n, s in zip(padding, sizes, strides)]
    reach = geometry.steps(tuple(n - 1 for n in geometry.kernel_size))
    outputs = [_size(k, axis) for axis in geometry.kernel_spatial_axes]
    widths = [
        (max(r - f, 0), _at_least_zero(e - n))
        for r, f, e, n in zip(reach, first, stop, outputs)
    ]
    dy = _pad(_split_groups(dy, geometry), geometry.grouped_axes, widths)
    k = _pad(k, geometry.kernel_spatial_axes, widths)
    start = [f + front for f, (front, _) in zip(first, widths)]
    count = [e - f for f, e in zip(first, stop)]
    phases = _gather_phases(geometry, k, dy, start, count)
    corner = [p - f * s for p, f, s in zip(padding, first, strides)]
    dx = _cut(_interleave(phases, geometry), geometry.grouped_axes, corner, sizes)
    return tf.ensure_shape(tf.cast(_merge_groups(dx, geometry), x.dtype), x.shape)


def _gather_phases(
    geometry: Geometry, k: tf.Tensor, dy: tf.Tensor, start: list, count: list
) -> list[tf.Tensor]:
    """For each phase, the sum over its taps of kernels * upstream, `steps` back."""
    totals: dict = dict.fromkeys(itertools.product(*map(range, geometry.strides)))
    for tap in geometry.taps():
        back = [s - m for s, m in zip(start, geometry.steps(tap))]
        window = _cut(dy, geometry.grouped_axes, back, count)
        weight = _cut(k[geometry.tap_index(tap)], geometry.spatial_axes, back, count)
        phase = geometry.phase(tap)
        totals[phase] = _add(totals[phase], _product(window, weight, geometry))
    # The first tap has phase zero, so there is a shape for the phases without taps.
    zero = tf.zeros_like(next(iter(totals.values())))
    return [zero if total is None else total for total in totals.values()]


def _interleave(phases: list[tf.Tensor], geometry: Geometry) -> tf.Tensor:
    """One sub-grid a phase to the whole grid."""
    shape = _sizes(phases[0])
    stacked = tf.reshape(tf.stack(phases), [*geometry.strides, *shape])
    order: list[int] = []
    for axis in range(len(shape)):
        order.append(geometry.rank + axis)
        if axis in geometry.grouped_axes:
            order.append(geometry.grouped_axes.index(axis))
    for axis, stride in zip(geometry.grouped_axes, geometry.strides):
        shape[axis] *= stride
    return tf.reshape(tf.transpose(stacked, order), shape)


def _kernels_gradient(geometry: Geometry, x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
    if all(device.device_type == "CPU" for device in tf.config.list_logical_devices()):
        dk = _kernels_gradient_by_loops(geometry, x, dy)
    else:
        dk = _kernels_gradient_by_reduction(geometry, x, dy)
    sizes = [_size(dy, axis) for axis in geometry.spatial_axes]
    weights = [geometry.groups, *geometry.kernel_size]
    shape = [*weights, *sizes] if geometry.channels_first else [*sizes, *weights]
    dk = tf.reshape(dk, [_size(x, 0), *shape])
    return tf.ensure_shape(dk, geometry.kernels_shape(tuple(x.shape)))


def _kernels_gradient_by_reduction(
    geometry: Geometry, x: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    axes, channels = geometry.grouped_axes, geometry.grouped_channel_axis
    padded = _pad(_split_groups(x, geometry), axes, [(p, p) for p in geometry.padding])
    upstream = _wide(_split_groups(dy, geometry))
    sizes = [_size(dy, axis) for axis in geometry.spatial_axes]
    terms = []
    for tap in geometry.taps():
        window = _cut(padded, axes, geometry.offset(tap), sizes, geometry.strides)
        term = tf.reduce_sum(_wide(window) * upstream, channels)
        terms.append(tf.cast(term, x.dtype))
    return tf.stack(terms, 2 if geometry.channels_first else -1)


def _kernels_gradient_by_loops(
    geometry: Geometry, x: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    """Loops over images and taps around a sum over channels, along the positions."""
    batch = _size(x, 0)
    x, dy = _one_image_at_least(x), _one_image_at_least(dy)
    taps = list(geometry.taps())
    phases = tf.constant([geometry.phase(tap) for tap in taps])
    steps = tf.constant([geometry.steps(tap) for tap in taps])

    def one_image(image):
        grid, dy = image

        def one_tap(where):
            return tf.cast(_sum_over_channels(geometry, grid, dy, *where), x.dtype)

        dk = tf.map_fn(one_tap, (phases, steps), fn_output_signature=x.dtype)
        rest = list(range(1, dy.shape.rank))
        first = geometry.channels_first
        return tf.transpose(dk, [1, 0, *rest[1:]] if first else [*rest, 0])

    images = _channels_outwards(geometry, x, dy)
    return tf.map_fn(one_image, images, fn_output_signature=x.dtype)[:batch]


def _one_image_at_least(images: tf.Tensor) -> tf.Tensor:
    """XLA has no loop over nothing."""
    missing = 1 - tf.minimum(_size(images, 0), 1)
    return _pad(images, [0], [(0, missing)]) if images.shape[0] in (0, None) else images


def _channels_outwards(
    geometry: Geometry, x: tf.Tensor, dy: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The padded input by phases, and the upstream, ready for sums along positions.

    Channels last: (B, phases, H, c, W * G) and (B, Ho, c, Wo * G), where c runs over
    the channels of a group. Channels first: (B, phases, G, c, H, W) and
    (B, G, c, Ho, Wo), which is how they come.
    """
    grid = _wide(_split_phases(_split_groups(x, geometry), geometry))
    dy = _wide(_split_groups(dy, geometry))
    if geometry.channels_first:
        return grid, dy
    return _channels_before_row(grid), _channels_before_row(dy)


def _channels_before_row(array: tf.Tensor) -> tf.Tensor:
    """(..., W, G, c) to (..., c, W * G)."""
    rank = array.shape.rank
    moved = tf.transpose(array, [*range(rank - 3), rank - 1, rank - 3, rank - 2])
    *shape, row, groups = _sizes(moved)
    return tf.reshape(moved, [*shape, row * groups])


def _split_phases(grouped: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """Pads, and puts one axis a spatial dimension, its phase, behind the batch."""
    axes = geometry.grouped_axes
    shape: list = []
    widths, phase_axes, other_axes = [], [], []
    for axis, size in enumerate(_sizes(grouped)):
        other_axes.append(len(shape))
        shape.append(size)
        if axis in axes:
            padding = geometry.padding[axes.index(axis)]
            stride = geometry.strides[axes.index(axis)]
            shape[-1] = -(-(size + 2 * padding) // stride)
            widths.append((padding, shape[-1] * stride - padding - size))
            phase_axes.append(len(shape))
            shape.append(stride)
    split = tf.reshape(_pad(grouped, axes, widths), shape)
    return tf.transpose(split, [0, *phase_axes, *other_axes[1:]])


def _sum_over_channels(
    geometry: Geometry,
    grid: tf.Tensor,
    dy: tf.Tensor,
    phase: tf.Tensor,
    steps: tf.Tensor,
) -> tf.Tensor:
    """One tap's gradient for one image, (Ho, Wo * G) or (G, Ho, Wo)."""
    block = math.gcd(geometry.group_channels, _UNROLLED_CHANNELS)
    axis = 1 if geometry.channels_first else geometry.rank - 1
    shape = _sizes(dy)
    shape[axis] = 1
    start: list = [0] * len(shape)
    first = geometry.channels_first
    spatial = range(2, len(shape)) if first else [*range(axis), len(shape) - 1]
    for position, step in zip(spatial, tf.unstack(steps)):
        start[position] = step
    if not first:
        start[-1] = start[-1] * geometry.groups

    def add_block(number, total):
        for channel in range(block):
            start[axis] = number * block + channel
            place = [*tf.unstack(phase), *start]
            window = tf.slice(grid, place, [1] * geometry.rank + shape)
            corner = [0] * axis + [start[axis]] + [0] * (len(shape) - axis - 1)
            total = total + tf.reshape(window, shape) * tf.slice(dy, corner, shape)
        return number + 1, total

    total = tf.zeros(shape, dy.dtype)
    blocks = geometry.group_channels // block
    if blocks == 1:
        _, total = add_block(0, total)
    else:
        _, total = tf.while_loop(
            lambda number, total: number < blocks, add_block, (tf.constant(0), total)
        )
    return tf.squeeze(total, axis)


def _split_groups(x: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """(B, H, W, C) to (B, H, W, G, C/G); (B, C, H, W) to (B, G, C/G, H, W)."""
    shape = _sizes(x)
    axis = 1 if geometry.channels_first else len(shape) - 1
    shape[axis : axis + 1] = [geometry.groups, geometry.group_channels]
    return tf.reshape(x, shape)


def _merge_groups(grouped: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    shape = _sizes(grouped)
    axis = 1 if geometry.channels_first else len(shape) - 2
    shape[axis : axis + 2] = [geometry.channels]
    return tf.reshape(grouped, shape)


def _merge_window(k: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """(B, Ho, Wo, G, T) or (B, G, T, Ho, Wo): LiteRT slices five axes at most."""
    shape = _sizes(k)
    axis = 2 if geometry.channels_first else len(shape) - geometry.rank
    shape[axis : axis + geometry.rank] = [math.prod(geometry.kernel_size)]
    return tf.reshape(k, shape)


def _sizes(array: tf.Tensor) -> list:
    return [_size(array, axis) for axis in range(array.shape.rank)]


def _size(array: tf.Tensor, axis: int):
    """An integer where it is known, else a scalar tensor."""
    size = array.shape[axis]
    return tf.shape(array)[axis] if size is None else size


def _at_least_zero(size):
    return max(size, 0) if isinstance(size, int) else tf.maximum(size, 0)


def _pad(array: tf.Tensor, axes: Sequence[int], widths: Sequence[tuple]) -> tf.Tensor:
    config: list = [(0, 0)] * array.shape.rank
    for axis, width in zip(axes, widths):
        config[axis] = width
    return tf.pad(array, config)


def _cut(
    array: tf.Tensor,
    axes: Sequence[int],
    starts: Sequence[int],
    sizes: Sequence,
    steps: Sequence[int] | None = None,
) -> tf.Tensor:
    index = [slice(None)] * array.shape.rank
    for axis, start, size, step in zip(axes, starts, sizes, steps or [1] * len(axes)):
        index[axis] = slice(start, start + (size - 1) * step + 1, step)
    return array[tuple(index)]


def _product(window: tf.Tensor, weight: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    weight = tf.expand_dims(_wide(weight), geometry.grouped_channel_axis)
    return _wide(window) * weight


def _wide(array: tf.Tensor) -> tf.Tensor:
    return array if array.dtype == tf.float64 else tf.cast(array, tf.float32)


def _add(total: tf.Tensor | None, term: tf.Tensor) -> tf.Tensor:
    return term if total is None else total + term


NATIVE = Implementation("native", involution, lambda inputs, kernels, geometry: None)
