"""What a model costs to run: parameters and multiply-adds, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_involution._arguments import received
from keras_involution._typing import Shape
from keras_involution.layers._base import BaseInvolution

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_POOLINGS = tuple(
    getattr(layers, f"{kind}Pooling{rank}D")
    for kind in ("Max", "Average", "GlobalMax", "GlobalAverage")
    for rank in (1, 2, 3)
)


Sides = tuple[int, ...]


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer for one image.

    Attributes:
        name: Name of the layer, with those of the models around it.
        kind: Name of its class.
        output_shape: Shape of its output without the batch.
        parameters: Number of parameters, without the moving statistics of batch
            normalisation.
        multiply_adds: Multiplications of a convolution, an involution or a dense layer.
        others: Operations of biases, normalisation, activations and pooling.
    """

    name: str
    kind: str
    output_shape: Sides
    parameters: int
    multiply_adds: int
    others: int


@dataclass(frozen=True)
class Cost:
    """The cost of a model for one image; printed, it is a table.

    Attributes:
        rows: `LayerCost` of every layer, in the order of the computation.
        uncounted: Names of layers with weights whose operations are not known.
    """

    rows: tuple[LayerCost, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Parameters in all, without the moving statistics."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of convolutions, involutions and dense layers in all."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def published_flops(self) -> int:
        """What the tables of the paper call FLOPs: multiply-adds and the others."""
        return self.multiply_adds + sum(row.others for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "output", "parameters", "multiply-adds")
        lines = [
            (f"{row.name} ({row.kind})", _text(row.output_shape),
             f"{row.parameters:,}", f"{row.multiply_adds:,}")
            for row in self.rows
        ]  # fmt: skip
        total = ("in all", "", f"{self.parameters:,}", f"{self.multiply_adds:,}")
        table = [head, *lines, total]
        widths = [max(len(line[i]) for line in table) for i in range(4)]
        text = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}"
            for a, b, c, d in table
        ]
        if self.uncounted:
            text.append(f"Not counted: {', '.join(self.uncounted)}")
        return "\n".join(text)


def summary_of_cost(model: keras.Model, input_shape: Sequence[int]) -> Cost:
    """Parameters and multiply-adds of a model, layer by layer, for one image.

    An involution is counted as its two 1x1 convolutions and one multiply-add for each
    tap of its window, channel and position; a convolution, and a dense layer, as its
    products. The tables of the paper add biases, two operations a value of a batch
    normalisation, one of a ReLU and one a value that is pooled: `published_flops`,
    which is within 0.006 G of what they say.

    Args:
        model: Functional model of one input; models inside of it are counted too.
        input_shape: Tuple, shape of an image without the batch: (H, W, C), or
            (C, H, W) channels first.

    Returns:
        `Cost`. Its numbers are for one image.

    Raises:
        ValueError: If the model is not functional or not built, or the shape is open or
            does not fit.

    Example:

    >>> from keras_involution import RedNet26
    >>> from keras_involution.models import summary_of_cost
    >>> model = RedNet26(stem_kernel_size=7, data_format="channels_last")
    >>> cost = summary_of_cost(model, (224, 224, 3))
    >>> print(f"{cost.parameters:,}, {cost.multiply_adds / 1e9:.2f} G")
    9,233,886, 1.71 G

    Reference:
        The published counts are those of https://github.com/d-li14/involution
    """
    shape = tuple(input_shape)
    if not all(isinstance(side, int) and side > 0 for side in shape):
        raise ValueError(
            f"`input_shape` must be positive integers. {received(input_shape=shape)}"
        )
    _check_shape(model, shape)
    rows: list[LayerCost] = []
    _count(model, keras.Input(shape), rows)
    names = [r.name for r in rows if r.parameters and not r.multiply_adds + r.others]
    return Cost(tuple(rows), tuple(names))


def _check_shape(model: keras.Model, shape: Shape) -> None:
    expected = getattr(model, "input_shape", None)
    if not isinstance(expected, tuple) or not all(
        side is None or isinstance(side, int) for side in expected
    ):
        raise ValueError(
            "The cost is counted of built functional models of one input. "
            + received(model=type(model).__name__, inputs=expected)
        )
    fits = len(expected) == len(shape) + 1 and all(
        side in (None, given) for side, given in zip(expected[1:], shape)
    )
    if not fits:
        raise ValueError(
            f"`input_shape` must fit the model's {expected[1:]}. "
            + received(input_shape=shape)
        )


def _count(model: keras.Model, inputs: Any, rows: list[LayerCost]) -> None:
    """Appends the cost of every layer between `inputs` and the outputs of a model."""

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if isinstance(layer, keras.Model):
            fresh = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:]), args)
            _count(layer, fresh[0], rows)
        elif isinstance(layer, layers.Layer):
            rows.append(_cost_of(layer, _shape(args[0]), _shape(outputs)))
        return outputs

    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0])
    # A clone: the calls would else be added to the graph of the model itself.
    keras.models.clone_model(model, input_tensors=inputs, call_function=call)


def _cost_of(layer: Any, inputs: Sides, outputs: Sides) -> LayerCost:
    multiply_adds, others = 0, 0
    if isinstance(layer, BaseInvolution):
        multiply_adds, others = _of_involution(layer, inputs, outputs)
    elif isinstance(layer, _CONVOLUTIONS):
        multiply_adds, others = _of_convolution(layer, outputs)
    elif isinstance(layer, layers.Dense):
        multiply_adds = _size(outputs) * inputs[-1]
        others = layer.units * bool(layer.use_bias)
    elif isinstance(layer, layers.BatchNormalization):
        others = 2 * _size(outputs)
    elif isinstance(layer, layers.ReLU):
        others = _size(outputs)
    elif isinstance(layer, _POOLINGS):
        others = _size(inputs)
    kind = type(layer).__name__
    return LayerCost(
        layer.name, kind, outputs, _parameters(layer), multiply_adds, others
    )


def _of_convolution(layer: Any, outputs: Sides) -> tuple[int, int]:
    positions = _size(outputs) // layer.filters
    products = math.prod(layer.kernel.shape)
    return positions * products, _size(outputs) * bool(layer.use_bias)


def _of_involution(layer: Any, inputs: Sides, outputs: Sides) -> tuple[int, int]:
    channels = outputs[0 if layer.data_format == "channels_first" else -1]
    positions = _size(outputs) // channels
    reduced, taps = layer.reduce.filters, math.prod(layer.kernel_size)
    products = channels * reduced + reduced * layer.span.filters + taps * channels
    others = positions * (3 * reduced + layer.span.filters)
    if layer.pool is not None:
        others += _size(inputs)
    return positions * products, others


def _parameters(layer: Any) -> int:
    """Without what batch normalisation only keeps; of a frozen layer too."""
    layer.trainable = True
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def _shape(tensor: Any) -> Sides:
    tensor = tensor[0] if isinstance(tensor, list | tuple) else tensor
    sides = tuple(tensor.shape[1:])
    if None in sides:
        raise ValueError(
            "The cost cannot be counted where a layer leaves its shape open. "
            + received(name=tensor.name, shape=sides)
        )
    return sides


def _size(shape: Sides) -> int:
    return math.prod(shape)


def _text(shape: Sides) -> str:
    return " x ".join(map(str, shape))
