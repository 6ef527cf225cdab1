"""Batch normalisation whose training step is one operation of PyTorch.

Keras 3.15 writes it on PyTorch as a dozen operations on whole maps, each with a
gradient of its own, and takes two to five times as long. The values are the same:
variances are those of the batch itself, in the moving statistics too.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from keras_involution._typing import Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, faster in training on PyTorch."""

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if not (training and self.trainable and mask is None and self._is_native):
            return super().call(inputs, training=training, mask=mask)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        scale = ops.cast(self.gamma, dtype) if self.scale else None
        offset = ops.cast(self.beta, dtype) if self.center else None
        outputs, mean, variance = _normalized(
            ops.cast(inputs, dtype), self.axis, scale, offset, self.epsilon
        )
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(
                ops.cast(moving, dtype) * self.momentum + value * (1 - self.momentum)
            )
        return ops.cast(outputs, self.compute_dtype)

    @property
    def _is_native(self) -> bool:
        """Whether nobody has other moments in mind, of several devices' batches say."""
        moments = getattr(self._moments, "__func__", None)
        plain = moments is layers.BatchNormalization._moments
        return keras.config.backend() == "torch" and plain and not self.renorm


def _normalized(
    x: Any, axis: int, scale: Any, offset: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    """Outputs, and mean and variance of the batch (C,), which pass on no gradient."""
    import torch

    shape, axis = x.shape, axis % x.ndim
    before, channels, after = (
        math.prod(shape[:axis]),
        shape[axis],
        math.prod(shape[axis + 1 :]),
    )
    # Channels last, the whole batch is one image that PyTorch knows to be so.
    x = x.reshape(before, channels, after, 1)
    if after == 1:
        x = x.reshape(1, before, 1, channels).permute(0, 3, 1, 2)
    y, mean, inverse = torch.native_batch_norm(
        x, scale, offset, None, None, True, 0.0, epsilon
    )
    if after == 1:
        y = y.permute(0, 2, 3, 1)
    mean, inverse = mean.detach(), inverse.detach()
    variance = torch.clamp(inverse**-2 - epsilon, min=0)
    return y.reshape(shape), mean, variance
