"""The sum of a residual block, from which a branch can be left out in training."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_involution._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class StochasticDepthAdd(layers.Add):
    """[(B, H, W, C), (B, H, W, C)] to their sum; in training the second is left out
    for each image with the probability `rate`, and scaled by 1 / (1 - rate) where not.

    It takes the place of `Add`: with a layer more in the branch, Keras would count the
    layers in another order, and the weights files of the two would not be one.

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016,
        https://arxiv.org/abs/1603.09382
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        # One draw for all values of an image: the whole branch stays or goes.
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
