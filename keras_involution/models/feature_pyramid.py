"""Feature pyramid network with involutions, for detectors and segmenters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from keras_involution import _arguments, _strict
from keras_involution._arguments import received
from keras_involution._typing import Shape, Tensor
from keras_involution.layers import Involution2D
from keras_involution.layers._initializer import fresh
from keras_involution.layers._int8 import HoldsPointwise
from keras_involution.layers._pointwise import pointwise_convolution
from keras_involution.models.rednet_blocks import SPATIAL_OPERATORS


@keras.saving.register_keras_serializable(package="keras_involution")
class InvolutionFeaturePyramid(HoldsPointwise):
    """A feature pyramid network whose output convolutions are involutions.

    A 1x1 convolution converts each feature map of the backbone to `num_filters`
    channels. The next coarser map is upsampled by 2 and added, and an involution
    computes the output of the level. Levels above the last level of the backbone are
    computed by 3x3 convolutions with strides 2. Feature maps can have any size, but the
    height and width of each must be half of those of the finer map, rounded up.

    Args:
        min_level: Integer, the finest level: 3 in RetinaNet, 2 in semantic FPN.
        max_level: Integer, the coarsest level: 7 in RetinaNet, 5 in semantic FPN.
        num_filters: Integer, channels of all outputs.
        use_p5: Boolean, whether the first level above the backbone is computed from the
            last map of the backbone, as published, or from the last map of the pyramid.
        kernel_size: Odd integer or tuple of 2, window of the involutions.
        group_channels: Integer, channels that share a kernel; must divide
            `num_filters`.
        reduction_ratio: Integer, reduction of the channels in the branch that generates
            the kernels.
        spatial_operator: `"involution"`, or `"convolution"` for a standard pyramid with
            3x3 convolutions.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses the global
            setting of Keras.
        kernel_initializer: Initializer of all convolutions and involutions.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Dictionary from "P2", "P3"... to feature maps, such as
            `backbone.pyramid_outputs`. Levels below `min_level` and above `max_level`
            are ignored.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        Dictionary of (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        Dictionary from `min_level` to `max_level` of (B, H, W, num_filters), or
        (B, num_filters, H, W).

    Returns:
        Dictionary of tensors, for example "P3" to "P7".

    Raises:
        ValueError: If a size does not fit, the inputs lack a level, or
            `spatial_operator` or `data_format` is unknown.

    Example:

    >>> import keras
    >>> from keras_involution import RedNetBackbone
    >>> from keras_involution.models import InvolutionFeaturePyramid
    >>> backbone = RedNetBackbone.from_depth(
    ...     26, image_shape=(64, 96, 3), data_format="channels_last"
    ... )
    >>> pyramid = InvolutionFeaturePyramid(3, 7, data_format="channels_last")
    >>> outputs = pyramid(backbone.pyramid_outputs)
    >>> model = keras.Model(backbone.input, outputs)
    >>> {level: tuple(map.shape[1:]) for level, map in outputs.items()}["P3"]
    (8, 12, 256)

    Reference:
        Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017,
        https://arxiv.org/abs/1612.03144; Li et al., "Involution: Inverting the
        Inherence of Convolution for Visual Recognition", CVPR 2021,
        https://arxiv.org/abs/2103.06255
    """

    def __init__(
        self,
        min_level: int = 3,
        max_level: int = 7,
        num_filters: int = 256,
        use_p5: bool = True,
        kernel_size: int | tuple[int, int] = 7,
        group_channels: int = 16,
        reduction_ratio: int = 4,
        spatial_operator: str = "involution",
        data_format: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        super().__init__(**kwargs)
        check = _arguments.positive_integer
        self.min_level = check(min_level, "min_level")
        self.max_level = check(max_level, "max_level")
        if min_level > max_level:
            raise ValueError(
                "`min_level` must be at most `max_level`. "
                + received(min_level=min_level, max_level=max_level)
            )
        self.num_filters = check(num_filters, "num_filters")
        self.use_p5 = use_p5
        self.kernel_size = _arguments.odd_window(kernel_size, 2)
        self.group_channels = check(group_channels, "group_channels")
        self.reduction_ratio = check(reduction_ratio, "reduction_ratio")
        self.spatial_operator = _arguments.one_of(
            spatial_operator, SPATIAL_OPERATORS, "spatial_operator"
        )
        if spatial_operator == "involution":
            _arguments.divisible(
                num_filters, group_channels, "num_filters", "group_channels"
            )
        self.data_format = _arguments.standard_data_format(data_format)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Mapping[str, Shape]) -> None:
        shapes = self._used(input_shape)
        self._check_sides(list(shapes.values()))
        common = {"data_format": self.data_format, "dtype": self.dtype_policy}
        self.enlarge = layers.UpSampling2D(2, name="enlarge", **common)
        self.pad = layers.ZeroPadding2D(1, name="pad", **common)
        for layer in (self.enlarge, self.pad):  # not every pyramid calls both
            layer.build(self._with_filters(next(iter(shapes.values()))))
        self.laterals = {p: self._convolution(1, 1, f"lateral_{p}") for p in shapes}
        self.operators = {p: self._operator(f"output_{p}") for p in shapes}
        for level, shape in shapes.items():
            self.laterals[level].build(shape)
            self._build_operator(level, self._with_filters(shape))
        last = list(shapes.values())[-1]
        last = last if self.use_p5 else self._with_filters(last)
        for level in self._coarser(shapes):
            self.operators[level] = self._convolution(3, 2, f"output_{level}")
            self._build_operator(level, last)
            last = self._with_filters(last, strides=2)
        self.built = True

    def call(
        self, inputs: Mapping[str, Tensor], training: bool | None = None
    ) -> dict[str, Tensor]:
        inputs = self._used(inputs)
        outputs: dict[str, Tensor] = {}
        merged = None
        for level in reversed(inputs):
            lateral = self.laterals[level](inputs[level])
            merged = lateral if merged is None else self._add(lateral, merged)
            outputs[level] = self._output(level, merged, training)
        last = list(inputs)[-1]
        x = inputs[last] if self.use_p5 else outputs[last]
        for level in self._coarser(inputs):
            x = outputs[level] = self.operators[level](self.pad(x))
        return {level: outputs[level] for level in sorted(outputs, key=_number)}

    def compute_output_shape(
        self, input_shape: Mapping[str, Shape]
    ) -> dict[str, Shape]:
        used = self._used(input_shape)
        shapes = {level: self._with_filters(shape) for level, shape in used.items()}
        shape = list(shapes.values())[-1]
        for level in self._coarser(used):
            shape = shapes[level] = self._with_filters(shape, strides=2)
        return shapes

    def compute_output_spec(
        self, inputs: Mapping[str, Tensor], training: bool | None = None
    ) -> dict[str, keras.KerasTensor]:
        shapes = {level: tuple(tensor.shape) for level, tensor in inputs.items()}
        return {
            level: keras.KerasTensor(shape, dtype=self.compute_dtype)
            for level, shape in self.compute_output_shape(shapes).items()
        }

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "min_level": self.min_level,
            "max_level": self.max_level,
            "num_filters": self.num_filters,
            "use_p5": self.use_p5,
            "kernel_size": self.kernel_size,
            "group_channels": self.group_channels,
            "reduction_ratio": self.reduction_ratio,
            "spatial_operator": self.spatial_operator,
            "data_format": self.data_format,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    def _used(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Selects the inputs from `min_level` to `max_level`, finest first."""
        last = max(map(_number, inputs), default=0)
        levels = range(self.min_level, min(last, self.max_level) + 1)
        missing = [f"P{n}" for n in levels if f"P{n}" not in inputs]
        if missing or not levels:
            raise ValueError(
                f"The inputs must hold every level from P{self.min_level} to their "
                f"last. {received(inputs=sorted(inputs))}"
            )
        return {f"P{n}": inputs[f"P{n}"] for n in levels}

    def _check_sides(self, shapes: list[Shape]) -> None:
        for fine, coarse in itertools.pairwise(shapes):
            for side, half in zip(self._sides(fine), self._sides(coarse)):
                if side and half and half != -(-side // 2):
                    raise ValueError(
                        "Height and width of each map must be half of those of the "
                        "finer map, rounded up. " + received(finer=fine, coarser=coarse)
                    )

    def _coarser(self, used: Mapping[str, Any]) -> list[str]:
        """Returns the names of the levels above those of the inputs."""
        first = _number(list(used)[-1]) + 1
        return [f"P{n}" for n in range(first, self.max_level + 1)]

    def _add(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Adds the upsampled coarse map to the fine one."""
        rows, columns = self._sides(keras.ops.shape(fine))
        x = self.enlarge(coarse)
        if self.data_format == "channels_first":
            return fine + x[:, :, :rows, :columns]
        return fine + x[:, :rows, :columns]

    def _output(self, level: str, x: Tensor, training: bool | None) -> Tensor:
        if self.spatial_operator == "convolution":
            return self.operators[level](self.pad(x))
        return self.operators[level](x, training=training)

    def _build_operator(self, level: str, shape: Shape) -> None:
        operator = self.operators[level]
        if not isinstance(operator, Involution2D):
            shape = self.pad.compute_output_shape(shape)
        operator.build(shape)

    def _operator(self, name: str) -> layers.Layer:
        if self.spatial_operator == "convolution":
            return self._convolution(3, 1, name)
        return Involution2D(
            self.kernel_size,
            groups=self.num_filters // self.group_channels,
            reduction_ratio=self.reduction_ratio,
            data_format=self.data_format,
            kernel_initializer=self.kernel_initializer,
            dtype=self.pointwise_dtype,
            name=name,
        )

    def _convolution(self, window: int, strides: int, name: str) -> layers.Layer:
        settings = {
            "data_format": self.data_format,
            "kernel_initializer": fresh(self.kernel_initializer),
            "name": name,
        }
        if window == 1:
            return pointwise_convolution(
                2, self.num_filters, dtype=self.pointwise_dtype, **settings
            )
        return layers.Conv2D(
            self.num_filters,
            window,
            strides=strides,
            dtype=self.dtype_policy,
            **settings,
        )

    def _sides(self, shape: Shape) -> Shape:
        first = self.data_format == "channels_first"
        return tuple(shape[2:4] if first else shape[1:3])

    def _with_filters(self, shape: Shape, strides: int = 1) -> Shape:
        """Returns `shape` with `num_filters` channels, downsampled by `strides`."""
        sides = [side and -(-side // strides) for side in self._sides(shape)]
        if self.data_format == "channels_first":
            return (shape[0], self.num_filters, *sides)
        return (shape[0], *sides, self.num_filters)


def _number(level: str) -> int:
    """Returns the number of a level, such as 3 for "P3"."""
    if not (level[:1] == "P" and level[1:].isdecimal()):
        raise ValueError(
            f'The levels must be named "P2", "P3"... {received(level=level)}'
        )
    return int(level[1:])
