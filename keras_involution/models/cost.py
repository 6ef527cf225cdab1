"""What a model costs to run: parameters and multiply-adds, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from keras_involution._arguments import received
from keras_involution._typing import Shape
from keras_involution.models import _cost_rules


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer for one image.

    Attributes:
        name: Name of the layer, after those of the layers and models around it.
        kind: Name of its class.
        output_shape: Shape of its output without the batch.
        parameters: Number of parameters, without the moving statistics of batch
            normalization; 0 where a layer is used again.
        macs: Multiplications of a convolution, an involution or a dense layer.
        others: Operations of biases, normalization, activations and pooling.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
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
    def macs(self) -> int:
        """Multiply-adds of convolutions, involutions and dense layers in all."""
        return sum(row.macs for row in self.rows)

    @property
    def published_flops(self) -> int:
        """What the tables of the paper call FLOPs: multiply-adds and the others."""
        return self.macs + sum(row.others for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "output", "parameters", "multiply-adds")
        lines = [
            (f"{row.name} ({row.kind})", " x ".join(map(str, row.output_shape)),
             f"{row.parameters:,}", f"{row.macs:,}")
            for row in self.rows
        ]  # fmt: skip
        total = ("in all", "", f"{self.parameters:,}", f"{self.macs:,}")
        table = [head, *lines, total]
        widths = [max(len(line[i]) for line in table) for i in range(4)]
        text = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}"
            for a, b, c, d in table
        ]
        if self.uncounted:
            text.append(f"Not counted: {', '.join(self.uncounted)}")
        return "\n".join(text)


def model_cost(model: keras.Model, input_shape: Sequence[int]) -> Cost:
    """Parameters and multiply-adds of a model, layer by layer, for one image.

    An involution is counted as its two 1x1 convolutions and one multiply-add for each
    tap of its window, channel and position; a convolution, and a dense layer, as its
    products. The tables of the paper add biases, two operations a value of a batch
    normalization, one of a ReLU and one a value that is pooled: `published_flops`,
    which is within 0.006 G of what they say.

    Args:
        model: Functional model of one input; models inside of it are counted too, and
            the layers inside of a layer, those of a feature pyramid for instance.
        input_shape: Tuple, shape of an image without the batch: (H, W, C), or
            (C, H, W) channels first.

    Returns:
        `Cost`. Its numbers are for one image.

    Raises:
        ValueError: If the model is not functional or not built, or the shape is open or
            does not fit.

    Example:

    >>> from keras_involution import RedNet26
    >>> from keras_involution.models import model_cost
    >>> model = RedNet26(stem_kernel_size=7, data_format="channels_last")
    >>> cost = model_cost(model, (224, 224, 3))
    >>> print(f"{cost.parameters:,}, {cost.macs / 1e9:.2f} G")
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
    rows = [LayerCost(*row) for row in _cost_rules.rows(model, keras.Input(shape))]
    names = [r.name for r in rows if r.parameters and not r.macs + r.others]
    return Cost(tuple(rows), tuple(names))


def _check_shape(model: keras.Model, shape: Shape) -> None:
    expected = getattr(model, "input_shape", None)
    if isinstance(expected, list) and len(expected) == 1:
        expected = expected[0]
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
