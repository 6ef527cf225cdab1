"""The base class of `Involution1D`, `Involution2D` and `Involution3D`."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_involution import _arguments, _strict, ops
from keras_involution._typing import Shape, Tensor
from keras_involution.layers._batch_normalization import (
    BatchNormalization,
    scale_and_offset,
)
from keras_involution.layers._initializer import PublishedInitializer, fresh
from keras_involution.layers._int8 import HoldsPointwise
from keras_involution.layers._normalized import (
    HAS_NORMALIZED,
    TRAINS_JOINED,
    normalized,
)
from keras_involution.layers._pointwise import pointwise_convolution
from keras_involution.layers._pooling import means_of_windows
from keras_involution.ops._geometry import Geometry
from keras_involution.ops.fused_involution import is_faster

_POOLINGS = {
    1: layers.AveragePooling1D,
    2: layers.AveragePooling2D,
    3: layers.AveragePooling3D,
}


class BaseInvolution(HoldsPointwise):
    """Involution of any rank; the public classes carry the documentation."""

    rank: int

    def __init__(
        self,
        kernel_size: int | tuple[int, ...] = 7,
        groups: int = 1,
        strides: int | tuple[int, ...] = 1,
        dilation_rate: int | tuple[int, ...] = 1,
        reduction_ratio: int = 4,
        data_format: str | None = None,
        kernel_initializer: Any = None,
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        implementation: str | None = None,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        super().__init__(**kwargs)
        self.kernel_size = _arguments.odd_window(kernel_size, self.rank)
        self.groups = _arguments.positive_integer(groups, "groups")
        self.strides = _arguments.spatial_tuple(strides, self.rank, "strides")
        self.dilation_rate = _arguments.spatial_tuple(
            dilation_rate, self.rank, "dilation_rate"
        )
        self.reduction_ratio = _arguments.positive_integer(
            reduction_ratio, "reduction_ratio"
        )
        self.data_format = _arguments.standard_data_format(data_format)
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or PublishedInitializer()
        )
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.momentum, self.epsilon = momentum, epsilon
        if implementation not in (None, *ops.available_implementations()):
            _arguments.one_of(
                implementation,
                (None, *ops.available_implementations()),
                "implementation",
            )
        self.implementation = implementation
        self.input_spec = keras.InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Shape) -> None:
        geometry = self._geometry(input_shape)
        channels = geometry.channels
        taps = geometry.groups
        for side in geometry.kernel_size:
            taps *= side
        self.pool = self._average_pooling() if max(self.strides) > 1 else None
        reduced = max(1, channels // self.reduction_ratio)
        self.reduce = self._pointwise(reduced, use_bias=False, name="reduce")
        self.reduce_norm = BatchNormalization(
            axis=1 if geometry.channels_first else -1,
            momentum=self.momentum,
            epsilon=self.epsilon,
            dtype=self.dtype_policy,
            name="reduce_norm",
        )
        self.span = self._pointwise(taps, use_bias=True, name="span")
        shape = geometry.output_shape(tuple(input_shape))
        self.reduce.build(shape)
        shape = self.reduce.compute_output_shape(shape)
        self.reduce_norm.build(shape)
        self.span.build(shape)
        self.input_spec = keras.InputSpec(
            ndim=self.rank + 2,
            axes={1 if geometry.channels_first else -1: channels},
        )
        self.built = True

    def call(
        self,
        inputs: Tensor,
        training: bool | None = None,
        return_kernels: bool = False,
    ) -> Tensor:
        settings: dict[str, Any] = {
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "data_format": self.data_format,
            "implementation": self.implementation,
        }
        features = self._features(inputs, training)
        if not return_kernels and self._is_fused(inputs):
            matrix = keras.ops.reshape(self.span.kernel, self.span.kernel.shape[-2:])
            span = matrix, keras.ops.convert_to_tensor(self.span.bias)
            return ops.fused_involution(
                inputs, features, *span, self.kernel_size, self.groups, **settings
            )
        kernels = self._kernels(features)
        outputs = ops.involution(inputs, kernels, **settings)
        return (outputs, kernels) if return_kernels else outputs

    def _is_fused(self, inputs: Tensor) -> bool:
        """Whether the kernels are computed where they are applied, and not stored."""
        is_plain = not (self.span.lora_enabled or self.span.quantization_mode)
        geometry = self._geometry(inputs.shape)
        return is_plain and is_faster(inputs, geometry, self.implementation)

    def generate_kernels(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The weights of every output position, computed from `inputs`.

        Args:
            inputs: Tensor with the shape of the layer's inputs.
            training: Whether batch normalization uses the statistics of this batch.

        Returns:
            Tensor (B, Ho, Wo, G, Kh, Kw); channels first (B, G, Kh, Kw, Ho, Wo).
        """
        return self._kernels(self._features(inputs, training))

    def _features(self, inputs: Tensor, training: bool | None) -> Tensor:
        """(B, Ho, Wo, R), or (B, R, Ho, Wo): the features that generate the kernels."""
        x = inputs
        if self.pool is not None:
            means = means_of_windows(inputs, self.pool)
            x = keras.ops.cast(means, self.compute_dtype)
        norm = self.reduce_norm
        if not (training and norm.trainable):
            return self._reduce_and_norm(x)
        if TRAINS_JOINED and norm.trains_joined():
            return norm.train_joined(self.reduce(x), None, relu=True)
        return keras.ops.relu(norm(self.reduce(x), training=True))

    def _kernels(self, features: Tensor) -> Tensor:
        x = self.span(features)
        return keras.ops.reshape(x, self._split_taps(keras.ops.shape(x)))

    def _reduce_and_norm(self, x: Tensor) -> Tensor:
        """With the ReLU: normalization by fixed statistics only scales the weights."""
        ops_ = keras.ops
        if HAS_NORMALIZED and self._is_plain_image(x):
            return normalized(x, self.reduce_norm, self.reduce, relu=True)
        scale, offset = scale_and_offset(self.reduce_norm)
        kernel = ops_.convert_to_tensor(self.reduce.kernel) * scale
        kernel, offset = (ops_.cast(v, self.compute_dtype) for v in (kernel, offset))
        x = self.reduce.convolution_op(x, kernel)
        if self.data_format == "channels_first":
            offset = ops_.reshape(offset, (-1, *(1,) * self.rank))
        return ops_.relu(x + offset)

    def _is_plain_image(self, x: Tensor) -> bool:
        is_image = self.rank == 2 and self.data_format == "channels_last"
        # Symbolic sizes of an exported program must not be compared.
        is_known = all(type(size) is int for size in x.shape[1:])
        is_float32 = keras.backend.standardize_dtype(x.dtype) == "float32"
        return is_image and is_known and is_float32

    def _split_taps(self, shape: tuple) -> tuple:
        window = (self.groups, *self.kernel_size)
        if self.data_format == "channels_first":
            return (shape[0], *window, *shape[2:])
        return (*shape[:-1], *window)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self._geometry(input_shape).output_shape(tuple(input_shape))

    def compute_output_spec(
        self,
        inputs: Tensor,
        training: bool | None = None,
        return_kernels: bool = False,
    ) -> Any:
        geometry = self._geometry(inputs.shape)
        spec = [geometry.output_shape(inputs.shape)]
        spec += [geometry.kernels_shape(inputs.shape)] if return_kernels else []
        tensors = [keras.KerasTensor(s, dtype=self.compute_dtype) for s in spec]
        return tuple(tensors) if return_kernels else tensors[0]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        initializers, regularizers = keras.initializers, keras.regularizers
        config.update(
            kernel_size=self.kernel_size,
            groups=self.groups,
            strides=self.strides,
            dilation_rate=self.dilation_rate,
            reduction_ratio=self.reduction_ratio,
            data_format=self.data_format,
            kernel_initializer=initializers.serialize(self.kernel_initializer),
            bias_initializer=initializers.serialize(self.bias_initializer),
            kernel_regularizer=regularizers.serialize(self.kernel_regularizer),
            momentum=self.momentum,
            epsilon=self.epsilon,
            implementation=self.implementation,
        )
        return config

    def _geometry(self, input_shape: Shape) -> Geometry:
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if channels is None:
            raise ValueError(
                "The number of channels of the inputs must be known. "
                + _arguments.received(input_shape=tuple(input_shape))
            )
        _arguments.divisible(channels, self.groups, "channels", "groups")
        return Geometry(
            kernel_size=self.kernel_size,
            strides=self.strides,
            dilation_rate=self.dilation_rate,
            groups=self.groups,
            channels=channels,
            data_format=self.data_format,
        )

    def _pointwise(self, filters: int, use_bias: bool, name: str) -> layers.Layer:
        return pointwise_convolution(
            self.rank,
            filters,
            use_bias=use_bias,
            data_format=self.data_format,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.pointwise_dtype,
            name=name,
        )

    def _average_pooling(self) -> layers.Layer:
        """Averages over windows of the size of the strides. An incomplete last window
        is averaged over its elements, as published (`ceil_mode` in PyTorch)."""
        # PyTorch has no 3D pooling in half precision on CPUs.
        is_half = self.rank == 3 and self.compute_dtype in ("float16", "bfloat16")
        return _POOLINGS[self.rank](
            self.strides,
            self.strides,
            padding="same",
            data_format=self.data_format,
            dtype="float32" if is_half else self.dtype_policy,
            name="pool",
        )
