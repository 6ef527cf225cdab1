"""The weight initialization of the published networks."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from keras_involution._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class PublishedInitializer(keras.initializers.VarianceScaling):
    """Kaiming normal over the outputs, not truncated: the published initialization.

    NumPy draws the numbers, so they are the same on every backend. On JAX, Keras's
    initializers are compiled for every new shape, which took most of the time to build
    a RedNet.

    Args:
        seed: Integer or `keras.random.SeedGenerator`; `None` draws one from Keras's
            global seed.
    """

    def __init__(self, seed: Any = None) -> None:
        super().__init__(2.0, "fan_out", "untruncated_normal", seed=seed)

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        sides = tuple(int(side or 0) for side in shape)
        *window, _, filters = sides
        deviation = math.sqrt(self.scale / (math.prod(window) * filters))
        seed = self.seed
        if isinstance(seed, keras.random.SeedGenerator):
            seed = keras.ops.convert_to_numpy(seed.next()).tolist()
        numbers = np.random.default_rng(seed).standard_normal(sides, "float32")
        return keras.ops.convert_to_tensor(deviation * numbers, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": super().get_config()["seed"]}


def fresh(initializer: keras.initializers.Initializer) -> Any:
    """A copy, so that two weights of one shape start with different values."""
    return initializer.__class__.from_config(initializer.get_config())
