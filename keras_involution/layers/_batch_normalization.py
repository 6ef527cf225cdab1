"""Batch normalization over the whole batch, on one or several devices.

Keras 3.15 synchronizes the statistics on TensorFlow only. On PyTorch, its training step
consists of a dozen operations on whole feature maps, each with its own gradient, and
takes two to five times as long as the single operation used here. The values are the
same: the moving statistics also use the biased variance of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from keras_involution import _strict
from keras_involution._arguments import received
from keras_involution._typing import Tensor

_BACKEND = keras.config.backend()


@keras.saving.register_keras_serializable(package="keras_involution")
class BatchNormalization(layers.BatchNormalization):
    """Batch normalization with statistics over the batches of all devices.

    On one device it computes the same as `keras.layers.BatchNormalization`, and trains
    faster on PyTorch.

    Args:
        axis: Integer, the axis of the channels.
        momentum: Float, momentum of the moving averages.
        epsilon: Float, added to the variance.
        synchronized: Boolean, whether training uses the mean and variance over all
            replicas on TensorFlow and all processes on PyTorch. On JAX they always
            cover the global batch.
        **kwargs: Further arguments of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: Floating-point tensor of any rank.
        training: Boolean, whether to use the statistics of the batch.
        mask: Boolean tensor, or `None`.

    Input shape:
        Any.

    Output shape:
        The same as the input shape.

    Returns:
        Tensor.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If a mask is given in training on several devices.

    Example:

    >>> import numpy as np
    >>> from keras_involution.layers import BatchNormalization
    >>> tuple(BatchNormalization()(np.ones((2, 4, 4, 3), "float32")).shape)
    (2, 4, 4, 3)

    Reference:
        `keras.layers.BatchNormalization`
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        *,
        synchronized: bool = True,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs, layers.BatchNormalization)
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)
        # Keras's own attribute `synchronized` stays false: otherwise TensorFlow would
        # use its slower path on a single device too.
        self.over_devices = bool(synchronized)

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        normalized = self._normalized(inputs) if training and self.trainable else None
        if normalized is None and _BACKEND == "torch" and mask is None:
            return self._scaled(inputs)
        if normalized is None or self.renorm:
            return super().call(inputs, training=training, mask=mask)
        if mask is not None:
            if normalized in (_torch_normalized, _tensorflow_normalized):
                return super().call(inputs, training=training, mask=mask)
            raise ValueError(
                "Batch normalization over several devices does not support masks; use "
                f"`synchronized=False`. {received(layer=self.name)}"
            )
        return self._train(inputs, normalized)

    def trains_joined(self) -> bool:
        """Whether `train_joined` computes what training with the layer computes."""
        return self.trainable and not self.renorm and not self._over_processes()

    def train_joined(self, x: Any, shortcut: Any, relu: bool) -> Any:
        """`relu(norm(x) + shortcut)` in float32 on PyTorch, in the memory of `norm(x)`.

        Args:
            x: Tensor (..., C).
            shortcut: Tensor of the shape of `x`, or `None`.
            relu: Boolean.
        """
        return self._train(x, _torch_normalized, shortcut, relu)

    def _train(self, inputs: Tensor, normalized: Any, *following: Any) -> Tensor:
        """The outputs of a training step, which moves the statistics."""
        dtype = self._wide(inputs)
        scale = ops.cast(self.gamma, dtype) if self.scale else None
        offset = ops.cast(self.beta, dtype) if self.center else None
        outputs, mean, variance = normalized(
            ops.cast(inputs, dtype), self.axis, scale, offset, self.epsilon, *following
        )
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(
                ops.cast(moving, dtype) * self.momentum + value * (1 - self.momentum)
            )
        return ops.cast(outputs, self.compute_dtype)

    def _scaled(self, inputs: Tensor) -> Tensor:
        """Normalizes by fixed statistics on PyTorch in one pass over the inputs. Keras
        makes three passes, and narrows float64 to float32."""
        import torch

        def values(variable: Any) -> Tensor:
            return ops.convert_to_tensor(variable).to(dtype)

        shape, dtype = [1] * inputs.ndim, getattr(torch, self._wide(inputs))
        shape[self.axis] = inputs.shape[self.axis]
        scale = torch.rsqrt(values(self.moving_variance) + self.epsilon)
        if self.scale:
            scale = scale * values(self.gamma)
        offset = -values(self.moving_mean) * scale
        if self.center:
            offset = offset + values(self.beta)
        x = torch.addcmul(offset.reshape(shape), inputs, scale.reshape(shape))
        return ops.cast(x, self.compute_dtype)

    def _wide(self, inputs: Tensor) -> str:
        is_double = _BACKEND == "torch" and inputs.dtype.itemsize == 8
        if is_double:
            return "float64"
        return keras.backend.result_type(inputs.dtype, "float32")

    def _normalized(self, inputs: Tensor) -> Callable[..., Any] | None:
        """The function that computes a training step; `None` leaves it to Keras."""
        if _BACKEND == "tensorflow":
            if self.over_devices and _replicas():
                return _replicas_normalized
            is_last = self.axis % len(inputs.shape) == len(inputs.shape) - 1
            is_float32 = self._wide(inputs) == "float32"
            return _tensorflow_normalized if is_last and is_float32 else None
        if _BACKEND != "torch":
            return None
        several = inputs.device.type != "meta" and self._over_processes()
        return _processes_normalized if several else _torch_normalized

    def _over_processes(self) -> bool:
        from keras_involution.layers import _torch_processes

        return self.over_devices and _torch_processes.world_size() > 1

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "synchronized": self.over_devices}


def scale_and_offset(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and offset of each channel for normalization by the fixed statistics."""
    # Tensors, not variables: on PyTorch, float64 variables would give float32.
    mean, variance = map(
        ops.convert_to_tensor, (norm.moving_mean, norm.moving_variance)
    )
    scale = ops.rsqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * ops.convert_to_tensor(norm.gamma)
    offset = -mean * scale
    if norm.center:
        offset = offset + ops.convert_to_tensor(norm.beta)
    return scale, offset


def _replicas() -> bool:
    """Whether the step runs on several TensorFlow replicas."""
    import tensorflow as tf

    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return several and not tf.distribute.in_cross_replica_context()


def _other_axes(x: Any, axis: int) -> list[int]:
    return [i for i in range(len(x.shape)) if i != axis % len(x.shape)]


def _replicas_normalized(
    x: Any, axis: int, scale: Any, offset: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    mean, variance = ops.moments(x, _other_axes(x, axis), synchronized=True)
    outputs = ops.batch_normalization(x, mean, variance, axis, offset, scale, epsilon)
    return outputs, mean, variance


def _tensorflow_normalized(
    x: Any, axis: int, scale: Any, offset: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    import tensorflow as tf

    channels = x.shape[-1]
    rows = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, channels))
    # Not `tf.compat.v1.nn.fused_batch_norm`, which raises `epsilon` to 1.001e-5.
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=rows,
        scale=tf.ones(channels) if scale is None else scale,
        offset=tf.zeros(channels) if offset is None else offset,
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=epsilon,
    )
    # That of the batch itself, not TensorFlow's estimate for the moving statistics.
    count = tf.cast(tf.size(x, tf.int64) // channels, "float32")
    variance = tf.where(count > 1, variance * (count - 1) / count, variance)
    return tf.reshape(y, tf.shape(x)), *map(tf.stop_gradient, (mean, variance))


def _processes_normalized(
    x: Any, axis: int, scale: Any, offset: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    from keras_involution.layers._torch_processes import mean_over_processes

    axes = _other_axes(x, axis)
    mean = mean_over_processes(ops.mean(x, axes, keepdims=True))
    variance = mean_over_processes(ops.mean(ops.square(x - mean), axes))
    mean = mean.reshape(variance.shape)
    outputs = ops.batch_normalization(x, mean, variance, axis, offset, scale, epsilon)
    return outputs, mean.detach(), variance.detach()


def _torch_normalized(*arguments: Any) -> tuple[Any, Any, Any]:
    from keras_involution.layers import _torch_normalization

    return _torch_normalization.normalized(*arguments)
