"""Residual addition with stochastic depth."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_involution._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class StochasticDepthAdd(layers.Add):
    """Adds a shortcut and a residual branch that is dropped at random in training.

    For each image, the branch is dropped with the probability `rate`, and otherwise
    scaled by `1 / (1 - rate)`. Inputs are two tensors (B, H, W, C), shortcut first.

    The class replaces `Add`. An extra dropout layer in the branch would change the
    order of the layers, so weights files of models with and without it would differ.

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016,
        https://arxiv.org/abs/1603.09382
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        # One random value per image: the whole branch is kept or dropped.
        self.drop = layers.Dropout(
            rate, noise_shape=(None, 1, 1, 1), dtype=self.dtype_policy, name="drop"
        )

    def build(self, input_shape: list[Shape]) -> None:
        super().build(input_shape)
        self.drop.build(input_shape[1])

    def call(self, inputs: list[Tensor], training: bool | None = None) -> Tensor:
        shortcut, branch = inputs
        return super().call([shortcut, self.drop(branch, training=training)])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
