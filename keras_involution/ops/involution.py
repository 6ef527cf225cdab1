"""The public operator: checks its arguments and calls an implementation."""

from __future__ import annotations

import keras
from keras import ops

from keras_involution._arguments import received
from keras_involution._typing import Tensor
from keras_involution.ops._implementation import named, select

if keras.config.backend() == "tensorflow":
    from keras_involution.ops.tensorflow import (
        IMPLEMENTATIONS,
        exported_form,
        geometry_of,
    )
elif keras.config.backend() == "jax":
    from keras_involution.ops.jax import IMPLEMENTATIONS, exported_form, geometry_of
elif keras.config.backend() == "torch":
    from keras_involution.ops.torch import IMPLEMENTATIONS, exported_form, geometry_of
else:
    raise ImportError(
        "keras_involution runs on the backends 'tensorflow', 'jax' and 'torch'. "
        f"Received: KERAS_BACKEND={keras.config.backend()!r}"
    )

_FLOATS = ("float32", "float16", "bfloat16", "float64")
"""Two tensors of one of these dtypes are not cast."""


def available_implementations() -> tuple[str, ...]:
    """Names of the implementations on the running backend, best first.

    Returns:
        Tuple of names that `involution(..., implementation=name)` accepts. An
        implementation may not support the given tensors; naming it then raises an
        error with the reason.

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
    """Applies a different kernel at each position, shared by the channels of a group.

    `y[p, c] = sum over taps t of kernels[p, g(c), t] * x[p * strides + (t - center) *
    dilation_rate, c]` with `g(c) = c // (C / G)`; outside the borders `x` is zero.

    Args:
        inputs: Floating-point tensor with one, two or three spatial dimensions.
        kernels: Floating-point tensor, the weights of each output position. The
            window and the number of groups are taken from its shape.
        strides: Integer or tuple, the step between windows.
        dilation_rate: Integer or tuple, the spacing of the taps of a window.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses Keras's
            global setting.
        implementation: `None` chooses the best available implementation. A name from
            `available_implementations()` runs that one or raises an error. On
            TensorFlow, graphs with `"cpp"` run only where this package is loaded. It is
            therefore chosen in eager mode and in `fit`, `evaluate` and `predict`, but
            not in other functions, which might be saved. Exported programs always
            contain standard operations only.

    Input shape:
        With two spatial dimensions, `inputs` (B, H, W, C) and `kernels`
        (B, Ho, Wo, G, Kh, Kw), where Ho = ceil(H / strides). Channels first:
        (B, C, H, W) and (B, G, Kh, Kw, Ho, Wo).

    Returns:
        Tensor (B, Ho, Wo, C), or (B, C, Ho, Wo) channels first, with the dtype to
        which Keras promotes the two inputs. Half-precision sums are kept in float32.
        It has derivatives of any order, in forward and reverse mode.

    Raises:
        ValueError: If the shapes do not fit, a side of the window is even, the number
            of groups does not divide the number of channels, the tensors are complex,
            or the named implementation cannot run here.

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
    arguments = (strides, dilation_rate, data_format, implementation)
    if isinstance(inputs, keras.KerasTensor) or isinstance(kernels, keras.KerasTensor):
        return InvolutionOperation(*arguments).symbolic_call(inputs, kernels)
    # No `keras.Operation` for arrays: creating one takes as long as a small involution.
    return _compute(inputs, kernels, *arguments)


class OperatorNode(keras.Operation):
    """An operator with its arguments, as a node of a functional model."""

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


@keras.saving.register_keras_serializable(package="keras_involution")
class InvolutionOperation(OperatorNode):
    """The operator as a node of a functional model."""

    def call(self, inputs: Tensor, kernels: Tensor) -> Tensor:
        return _compute(
            inputs,
            kernels,
            self.strides,
            self.dilation_rate,
            self.data_format,
            self.implementation,
        )

    def compute_output_spec(self, inputs: Tensor, kernels: Tensor) -> keras.KerasTensor:
        geometry = geometry_of(
            tuple(inputs.shape),
            tuple(kernels.shape),
            self.strides,
            self.dilation_rate,
            self.data_format,
        )
        shape = geometry.output_shape(tuple(inputs.shape))
        dtype = result_dtype(inputs=inputs, kernels=kernels)
        return keras.KerasTensor(shape, dtype=dtype)


def _compute(
    inputs: Tensor,
    kernels: Tensor,
    strides: int | tuple[int, ...],
    dilation_rate: int | tuple[int, ...],
    data_format: str | None,
    implementation: str | None,
) -> Tensor:
    inputs, kernels = ops.convert_to_tensor(inputs), ops.convert_to_tensor(kernels)
    if inputs.dtype != kernels.dtype or _dtype(inputs) not in _FLOATS:
        dtype = result_dtype(inputs=inputs, kernels=kernels)
        inputs, kernels = ops.cast(inputs, dtype), ops.cast(kernels, dtype)
    shapes = inputs.shape, kernels.shape
    geometry = geometry_of(*shapes, strides, dilation_rate, data_format)
    name = exported_form(inputs) or implementation
    chosen = select(IMPLEMENTATIONS, name, inputs, kernels, geometry)
    return chosen.run(inputs, kernels, geometry)


def _dtype(tensor: Tensor) -> str:
    return keras.backend.standardize_dtype(tensor.dtype)


def result_dtype(**tensors: Tensor) -> str:
    """The dtype to which Keras promotes the tensors; float64 stays float64.

    Raises:
        ValueError: If a tensor is complex.
    """
    dtypes = {_dtype(tensor) for tensor in tensors.values()}
    if any(dtype.startswith("complex") for dtype in dtypes):
        names = ", ".join(f"`{name}`" for name in tensors)
        given = {f"{name}_dtype": tensor.dtype for name, tensor in tensors.items()}
        raise ValueError(f"{names} must be real. {received(**given)}")
    if dtypes == {"float64"}:  # Keras's promotion would narrow it to float32
        return "float64"
    return keras.backend.result_type(*dtypes, float)
