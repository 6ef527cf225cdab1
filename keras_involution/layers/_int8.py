"""1x1 convolutions with 8-bit kernels, for Keras's `quantize("int8")`.

Keras quantizes its dense layers only. Here a kernel is rounded as in those layers, with
one scale per output channel, and is stored that way in files and memory, which takes a
quarter of the bytes. The layer computes in its own precision with the dequantized
kernel, which `kernel` returns, so the code that reads the kernel does not change.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops, quantizers

from keras_involution._arguments import received
from keras_involution._keras_private import flat_layers, untrack
from keras_involution._typing import Shape, Tensor


class Int8Kernel(layers.Layer):
    """Mixin for a pointwise Keras convolution; it precedes the Keras class.

    Keras stores the kernel in `_kernel`, and reads `_is_quantized` before quantizing.
    """

    _kernel: Any
    dtype_policy: Any

    lora_alpha: float
    lora_rank: int
    lora_kernel_a: Any
    lora_kernel_b: Any

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        if self.quantization_mode is not None:
            self._use_integers(self.quantization_mode, None)

    @property
    def kernel(self) -> Tensor:
        # Not `super().kernel`: it causes a graph break in `torch.compile`.
        kernel: Any = self._kernel
        if self.quantization_mode is not None:
            kernel = ops.cast(kernel, self.compute_dtype)
            kernel = kernel / ops.cast(self.kernel_scale, self.compute_dtype)
        if not self.lora_enabled:
            return kernel
        factor = self.lora_alpha / self.lora_rank
        kernel = kernel + factor * ops.matmul(self.lora_kernel_a, self.lora_kernel_b)
        return ops.cast(kernel, self.compute_dtype)

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Rounds the kernel; called by the model's `quantize`.

        Args:
            mode: String, `"int8"`; other modes leave the layer as it is.
            type_check: Boolean, whether subclasses are rejected; not used.
            config: `keras.quantizers.Int8QuantizationConfig`, whose weight quantizer is
                used. Activations are not quantized.
        """
        if mode != "int8":
            # Keras warns, and continues with the next layer.
            super().quantize(mode, type_check, config)
        self._use_integers("int8", getattr(config, "weight_quantizer", None))
        self.dtype_policy = keras.dtype_policies.get(
            f"int8_from_{self.dtype_policy.name}"
        )

    def quantized_call(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.call(*args, **kwargs)

    def _use_integers(self, mode: str, quantizer: Any) -> None:
        if mode != "int8":
            raise ValueError(
                f"1x1 convolutions support only 'int8'. {received(mode=mode)}"
            )
        integers, scale = _rounded(self._kernel, quantizer)
        untrack(self, self._kernel)
        self._kernel = self.add_weight(
            name="kernel",
            shape=integers.shape,
            initializer="zeros",
            dtype="int8",
            trainable=False,
        )
        self.kernel_scale = self.add_weight(
            name="kernel_scale", shape=scale.shape, initializer="ones", trainable=False
        )
        self._kernel.assign(integers)
        self.kernel_scale.assign(scale)
        self._is_quantized = True

    def save_own_variables(self, store: Any) -> None:
        if self.quantization_mode is None:
            super().save_own_variables(store)
            return
        integers, scale = self._kernel, self.kernel_scale
        if self.lora_enabled:  # the saved kernel includes it, as in Keras
            integers, scale = _rounded(self.kernel, None)
        values = [integers, self.bias, scale]
        for name, value in enumerate(v for v in values if v is not None):
            store[str(name)] = value

    def load_own_variables(self, store: Any) -> None:
        if self.quantization_mode is None:
            super().load_own_variables(store)
            return
        variables = [self._kernel, self.bias, self.kernel_scale]
        variables = [v for v in variables if v is not None]
        if len(store.keys()) != len(variables):
            raise ValueError(
                f"An 8-bit kernel needs {len(variables)} weights. "
                + received(weights=sorted(store.keys()))
            )
        for name, variable in enumerate(variables):
            variable.assign(store[str(name)])
        if self.lora_enabled:
            for part in (self.lora_kernel_a, self.lora_kernel_b):
                part.assign(ops.zeros(part.shape))


class HoldsPointwise(layers.Layer):
    """A composite layer whose 1x1 convolutions may be quantized."""

    def __init__(self, *, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype=float_policy(dtype), **kwargs)
        self.pointwise_dtype = keras.dtype_policies.get(dtype)

    def get_config(self) -> dict[str, Any]:
        policy = policy_with_pointwise(self, self.pointwise_dtype)
        dtype = keras.dtype_policies.serialize(policy)
        return {**super().get_config(), "dtype": dtype}


def float_policy(dtype: Any) -> Any:
    """The floating-point policy of a quantized policy; other policies unchanged."""
    policy = keras.dtype_policies.get(dtype)
    if policy.quantization_mode is None:
        return policy
    return keras.dtype_policies.get(policy.get_config()["source_name"])


def policy_with_pointwise(holder: Any, otherwise: Any) -> Any:
    """The policy that rebuilds `holder` with its 1x1 convolutions unchanged.

    Raises:
        ValueError: If only some of them are quantized.
    """
    pointwise = [la for la in flat_layers(holder) if isinstance(la, Int8Kernel)]
    policies = {layer.dtype_policy.name: layer.dtype_policy for layer in pointwise}
    if all(policy.quantization_mode is None for policy in policies.values()):
        return otherwise
    if len(policies) > 1:
        raise ValueError(
            "To save a layer or network, either all of its 1x1 convolutions must be "
            "quantized, or none. "
            + received(name=holder.name, policies=sorted(policies))
        )
    [policy] = policies.values()
    return policy


def _rounded(kernel: Any, quantizer: Any) -> tuple[Any, Any]:
    """Integers of the shape of `kernel`, and the scale to divide them by."""
    shape = tuple(kernel.shape)
    quantizer = quantizer or quantizers.AbsMaxQuantizer(axis=0)
    matrix = keras.ops.convert_to_numpy(kernel).reshape(shape[-2:])
    integers, scale = quantizer(matrix, to_numpy=True)
    integers, scale = map(keras.ops.convert_to_numpy, (integers, scale))
    return integers.reshape(shape), scale.reshape(-1)
