"""Involution with kernels that are generated during the computation and not stored.

The kernels of a batch are the largest tensor of an involution layer: K * K * G numbers
per position, computed by a product of the features with a matrix and read once. Here
they are computed for a few images at a time, and again for the gradients.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Tensor
from keras_involution.ops._arrays import wide
from keras_involution.ops._geometry import Geometry, geometry_of
from keras_involution.ops._implementation import Implementation, select
from keras_involution.ops.involution import (
    IMPLEMENTATIONS,
    OperatorNode,
    exported_form,
    result_dtype,
)

if keras.config.backend() == "tensorflow":
    from keras_involution.ops.tensorflow._pieces import in_pieces
elif keras.config.backend() == "jax":
    from keras_involution.ops.jax._pieces import in_pieces
else:
    from keras_involution.ops.torch._pieces import in_pieces

# Size of the kernels of one piece of a batch. With smaller pieces, the calls take more
# time than the computation.
PIECE_BYTES = 1 << 22


def fused_involution(
    inputs: Tensor,
    features: Tensor,
    span_kernel: Tensor,
    span_bias: Tensor,
    kernel_size: int | tuple[int, ...],
    groups: int = 1,
    strides: int | tuple[int, ...] = 1,
    dilation_rate: int | tuple[int, ...] = 1,
    data_format: str | None = None,
    implementation: str | None = None,
) -> Tensor:
    """`involution` with the kernels `features @ span_kernel + span_bias`.

    An involution layer applies this operation to the features after its `reduce`.
    The kernels of the whole batch never exist at once: kernels for a few images (4 MiB,
    or one image) are computed, applied and discarded, and computed again for the
    gradients. This takes less memory in training, and the time of one more product.
    The implementation `"cpp"` computes the kernels in the cache, for a few rows of one
    image; on PyTorch and JAX, this usually takes less time. With several JAX devices,
    each computes all of its images at once.

    Args:
        inputs: Floating-point tensor with one, two or three spatial dimensions.
        features: Floating-point tensor, R features for each output position.
        span_kernel: Floating-point tensor, the matrix from features to kernels. Its
            columns are ordered by group, then by tap of the window.
        span_bias: Floating-point tensor, added to every kernel.
        kernel_size: Odd integer or tuple, the window.
        groups: Integer, number of groups of channels. The channels of a group share a
            kernel.
        strides: Integer or tuple, the step between windows.
        dilation_rate: Integer or tuple, the spacing of the taps of a window.
        data_format: `"channels_last"` or `"channels_first"`; the latter is transposed.
            `None` uses Keras's global setting.
        implementation: Implementation that applies the kernels, as for `involution`.

    Input shape:
        With two spatial dimensions, `inputs` (B, H, W, C), `features` (B, Ho, Wo, R),
        `span_kernel` (R, G * Kh * Kw) and `span_bias` (G * Kh * Kw,), where
        Ho = ceil(H / strides). Channels first: (B, C, H, W) and (B, R, Ho, Wo).

    Returns:
        Tensor (B, Ho, Wo, C), or (B, C, Ho, Wo) channels first, with the dtype to
        which Keras promotes the tensors. Half-precision sums are kept in float32.

    Raises:
        ValueError: If the shapes do not fit, a side of the window is even, the number
            of groups does not divide the number of channels, or the named
            implementation cannot run here.

    Example:

    >>> import numpy as np
    >>> from keras_involution import ops
    >>> x, features = np.ones((1, 4, 4, 8), "float32"), np.ones((1, 4, 4, 3), "float32")
    >>> matrix, bias = np.ones((3, 2 * 9), "float32"), np.zeros(2 * 9, "float32")
    >>> y = ops.fused_involution(
    ...     x, features, matrix, bias, 3, groups=2, data_format="channels_last"
    ... )
    >>> float(y[0, 1, 1, 0])
    27.0

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """
    tensors = inputs, features, span_kernel, span_bias
    arguments: dict[str, Any] = {
        "strides": strides,
        "dilation_rate": dilation_rate,
        "data_format": data_format,
        "implementation": implementation,
    }
    if any(isinstance(tensor, keras.KerasTensor) for tensor in tensors):
        node = FusedInvolutionOperation(kernel_size, groups, **arguments)
        return node.symbolic_call(*tensors)
    return _compute(*tensors, kernel_size, groups, **arguments)


@keras.saving.register_keras_serializable(package="keras_involution")
class FusedInvolutionOperation(OperatorNode):
    """The operator as a node of a functional model."""

    def __init__(
        self, kernel_size: int | tuple[int, ...], groups: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.groups = groups

    def call(
        self,
        inputs: Tensor,
        features: Tensor,
        span_kernel: Tensor,
        span_bias: Tensor,
    ) -> Tensor:
        tensors = inputs, features, span_kernel, span_bias
        return _compute(*tensors, *self._sizes(), implementation=self.implementation)

    def compute_output_spec(self, *tensors: Tensor) -> keras.KerasTensor:
        geometry = _geometry(tensors, *self._sizes())
        shape = geometry.output_shape(tuple(tensors[0].shape))
        return keras.KerasTensor(shape, dtype=_result_dtype(tensors))

    def _sizes(self) -> tuple[Any, Any, Any, Any, Any]:
        sizes = self.kernel_size, self.groups, self.strides, self.dilation_rate
        return *sizes, self.data_format


def _compute(
    inputs: Tensor,
    features: Tensor,
    span_kernel: Tensor,
    span_bias: Tensor,
    kernel_size: int | tuple[int, ...],
    groups: int,
    strides: int | tuple[int, ...],
    dilation_rate: int | tuple[int, ...],
    data_format: str | None,
    implementation: str | None,
) -> Tensor:
    given = inputs, features, span_kernel, span_bias
    tensors = [ops.convert_to_tensor(tensor) for tensor in given]
    dtype = _result_dtype(tensors)
    geometry = _geometry(
        tensors, kernel_size, groups, strides, dilation_rate, data_format
    )
    # Half precision is computed in float32, so the result is rounded once.
    x, f, matrix, bias = (wide(ops.cast(tensor, dtype)) for tensor in tensors)
    first = geometry.channels_first
    if first:
        x, f = ops.moveaxis(x, 1, -1), ops.moveaxis(f, 1, -1)
    last = replace(geometry, data_format="channels_last")
    chosen = _chosen(x, last, exported_form(x) or implementation)
    fused = chosen.fused()
    if fused is not None:
        y = fused(x, f, matrix, bias, last)
    else:
        y = in_pieces(chosen, x, f, matrix, bias, last, _images(f, last))
    return ops.cast(ops.moveaxis(y, -1, 1) if first else y, dtype)


def _result_dtype(tensors: Any) -> str:
    names = ("inputs", "features", "span_kernel", "span_bias")
    return result_dtype(**dict(zip(names, tensors, strict=True)))


def is_faster(inputs: Tensor, geometry: Geometry, implementation: str | None) -> bool:
    """Whether networks are known to take less memory than with stored kernels, and no
    more time: with C++ kernels, in float32 and channels last. Training can take longer
    on maps of 7x7 (RESULTS.md)."""
    if geometry.channels_first or exported_form(inputs) is not None:
        return False
    if keras.backend.standardize_dtype(inputs.dtype) != "float32":
        return False
    return _chosen(inputs, geometry, implementation).fused() is not None


def _chosen(inputs: Tensor, geometry: Geometry, name: str | None) -> Implementation:
    shape = geometry.kernels_shape(tuple(inputs.shape))
    # Without a name, Keras counts the tensors, which breaks graphs of torch.compile.
    kernels = keras.KerasTensor(shape, dtype=inputs.dtype, name="kernels")
    return select(IMPLEMENTATIONS, name, inputs, kernels, geometry)


def _images(features: Tensor, geometry: Geometry) -> int:
    """Number of images in a piece: a divisor of the batch size, if that is known."""
    batch, *sizes = features.shape[:-1]
    if not all(isinstance(size, int) for size in (batch, *sizes)):
        return 1
    taps = geometry.groups * math.prod(geometry.kernel_size)
    fit = PIECE_BYTES // max(1, 4 * math.prod(sizes) * taps)
    return next((n for n in range(min(fit, batch), 0, -1) if batch % n == 0), 1)


def _geometry(
    tensors: Any,
    kernel_size: Any,
    groups: int,
    strides: Any,
    dilation_rate: Any,
    data_format: str | None,
) -> Geometry:
    shape, of_features, matrix, bias = (tuple(tensor.shape) for tensor in tensors)
    rank = len(shape) - 2
    window = _arguments.odd_window(kernel_size, rank)
    groups = _arguments.positive_integer(groups, "groups")
    data_format = _arguments.standard_data_format(data_format)
    first = data_format == "channels_first"
    taps, channels = groups * math.prod(window), of_features[1 if first else -1 :][:1]
    if len(of_features) != len(shape) or (matrix, bias) != ((*channels, taps), (taps,)):
        raise ValueError(
            "`features` must have as many dimensions as `inputs` and R channels, "
            f"`span_kernel` the shape (R, {taps}) and `span_bias` the shape ({taps},). "
            + received(
                inputs_shape=shape,
                features_shape=of_features,
                span_kernel_shape=matrix,
                span_bias_shape=bias,
            )
        )
    batch, sizes = of_features[0], of_features[2:] if first else of_features[1:-1]
    kernels = (groups, *window, *sizes) if first else (*sizes, groups, *window)
    return geometry_of(shape, (batch, *kernels), strides, dilation_rate, data_format)
