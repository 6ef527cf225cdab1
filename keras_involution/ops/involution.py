"""The public operator: checks its arguments and hands over to an implementation."""

from __future__ import annotations

import keras
from keras import ops

from keras_involution._typing import Shape, Tensor
from keras_involution.ops._geometry import Geometry, geometry_of
from keras_involution.ops._implementation import Implementation, named, select

if keras.config.backend() == "tensorflow":
    from keras_involution.ops.tensorflow import IMPLEMENTATIONS
elif keras.config.backend() == "jax":
    from keras_involution.ops.jax import IMPLEMENTATIONS
elif keras.config.backend() == "torch":
    from keras_involution.ops.torch import IMPLEMENTATIONS
else:
    raise ImportError(
        "keras_involution runs on the backends 'tensorflow', 'jax' and 'torch'. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}"
    )


def available_implementations() -> tuple[str, ...]:
    """Names of the implementations on the running backend, best first.

    Returns:
        A tuple of names that `involution(..., implementation=name)` knows. One of
        them may still be unable to run on given tensors; asked for by name it then
        raises with the reason.

    Example:

    >>> from keras_involution import ops
    >>> "portable" in ops.available_implementations()
    True
    """
    return tuple(implementation.name for implementation in IMPLEMENTATIONS)


def involution(
    inputs: Tensor,
    kernels: Tensor,
    strides: int | tuple[int, ...] = 1,
    dilation_rate: int | tuple[int, ...] = 1,
    data_format: str | None = None,
    implementation: str | None = None,
) -> Tensor:
    """Applies to every position its own kernel, shared by the channels of a group.

    `y[p, c] = sum over taps t of kernels[p, g(c), t] * x[p * strides + (t - centre) *
    dilation_rate, c]` with `g(c) = c // (C / G)`; outside the borders `x` is zero.

    Args:
        inputs: Floating-point tensor with one, two or three spatial dimensions.
        kernels: Floating-point tensor, the weights of each output position. The
            window and the number of groups are read off its shape.
        strides: Integer or tuple, the step between windows.
        dilation_rate: Integer or tuple, the spacing of the taps of a window.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's
            global setting.
        implementation: `None` chooses; a name of `available_implementations()`
            runs that one or raises.

    Input shape:
        With two spatial dimensions, `inputs` (B, H, W, C) and `kernels`
        (B, Ho, Wo, G, Kh, Kw), where Ho = ceil(H / strides). Channels first:
        (B, C, H, W) and (B, G, Kh, Kw, Ho, Wo).

    Returns:
        Tensor (B, Ho, Wo, C), or (B, C, Ho, Wo) channels first, of the dtype that
        Keras promotes the two inputs to; half-precision sums are kept in float32.

    Raises:
        ValueError: If shapes do not fit, a window side is even, the groups do not
            divide the channels, or the named implementation cannot run here.

    Example:

    >>> import numpy as np
    >>> from keras_involution import ops
    >>> x = np.ones((1, 4, 4, 8), "float32")
    >>> mean = np.full((1, 4, 4, 2, 3, 3), 1 / 9, "float32")
    >>> ops.involution(x, mean, data_format="channels_last").shape == (1, 4, 4, 8)
    True

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """
    operation = InvolutionOperation(strides, dilation_rate, data_format, implementation)
    if isinstance(inputs, keras.KerasTensor) or isinstance(kernels, keras.KerasTensor):
        return operation.symbolic_call(inputs, kernels)
    return operation.call(inputs, kernels)


@keras.saving.register_keras_serializable(package="keras_involution")
class InvolutionOperation(keras.Operation):
    """The operator as a node of a functional model."""

    def __init__(
        self,
        strides: int | tuple[int, ...] = 1,
        dilation_rate: int | tuple[int, ...] = 1,
        data_format: str | None = None,
        implementation: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.data_format = data_format
        if implementation is not None:
            named(IMPLEMENTATIONS, implementation)
        self.implementation = implementation

    def call(self, inputs: Tensor, kernels: Tensor) -> Tensor:
        inputs, kernels = ops.convert_to_tensor(inputs), ops.convert_to_tensor(kernels)
        dtype = _result_dtype(inputs, kernels)
        inputs, kernels = ops.cast(inputs, dtype), ops.cast(kernels, dtype)
        geometry = self._geometry(inputs.shape, kernels.shape)
        chosen = self._select(inputs, kernels, geometry)
        return chosen.run(inputs, kernels, geometry)

    def compute_output_spec(self, inputs: Tensor, kernels: Tensor) -> keras.KerasTensor:
        geometry = self._geometry(inputs.shape, kernels.shape)
        shape = geometry.output_shape(tuple(inputs.shape))
        return keras.KerasTensor(shape, dtype=_result_dtype(inputs, kernels))

    def _geometry(self, inputs_shape: Shape, kernels_shape: Shape) -> Geometry:
        return geometry_of(
            tuple(inputs_shape),
            tuple(kernels_shape),
            self.strides,
            self.dilation_rate,
            self.data_format,
        )

    def _select(
        self, inputs: Tensor, kernels: Tensor, geometry: Geometry
    ) -> Implementation:
        return select(IMPLEMENTATIONS, self.implementation, inputs, kernels, geometry)


def _result_dtype(inputs: Tensor, kernels: Tensor) -> str:
    return keras.backend.result_type(inputs.dtype, kernels.dtype, float)
