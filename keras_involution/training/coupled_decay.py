"""Stochastic gradient descent with weight decay in the gradient, as in PyTorch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_involution import _arguments
from keras_involution._typing import Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class SGDWithCoupledDecay(keras.optimizers.SGD):
    """`keras.optimizers.SGD` with weight decay added to the gradient.

    The momentum accumulates `gradient + coupled_decay * variable`, for every variable.
    This is the weight decay of SGD in PyTorch and Paddle. In contrast, `weight_decay`
    in Keras shrinks the variables separately from the gradient; with a momentum of 0.9,
    its effect is ten times smaller.

    Args:
        learning_rate: Float or schedule.
        momentum: Float.
        nesterov: Boolean.
        coupled_decay: Float.
        **kwargs: Further arguments of `keras.optimizers.SGD`.

    Raises:
        ValueError: If `coupled_decay` is negative.

    Example:

    >>> from keras_involution.training import SGDWithCoupledDecay
    >>> optimizer = SGDWithCoupledDecay(0.1, momentum=0.9, coupled_decay=1e-4)
    >>> optimizer.coupled_decay
    0.0001
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        coupled_decay: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, nesterov, **kwargs)
        self.coupled_decay = _arguments.not_negative(coupled_decay, "coupled_decay")

    def update_step(
        self, gradient: Tensor, variable: Any, learning_rate: Tensor
    ) -> None:
        decay = ops.cast(self.coupled_decay, variable.dtype)
        gradient = ops.add(gradient, ops.multiply(decay, variable))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coupled_decay": self.coupled_decay}
