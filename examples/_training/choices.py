"""What a person chose for a classifier."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import keras

from keras_involution._arguments import received
from keras_involution.training import RECIPES, Recipe


@dataclass(frozen=True)
class Choices:
    """What a person chose for a run; all of it are JSON values."""

    data: str
    leave_out: list[str]
    split: str | None = None
    model: str = "rednet"
    depth: str | None = None
    preset: str | None = None
    probe: bool = False
    recipe: str = "rednet_few_epochs"
    learning_rate: float | None = None
    epochs: int | None = None
    batch_size: int = 64
    image_size: int | None = None
    minutes: float | None = None
    evaluations_an_epoch: int = 1
    dtype_policy: str = "float32"
    seed: int = 0
    on_error: str = "stop"
    track: list[str] = dataclasses.field(default_factory=list)

    def check(self, pictures: int) -> None:
        """Raises `ValueError` for what so many pictures cannot be trained with."""
        rate = self.learning_rate
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(
                f"The rate must be positive. {received(learning_rate=rate)}"
            )
        if pictures < self.batch_size:
            raise ValueError(
                "The pictures to train on must be one batch at least. "
                + received(pictures=pictures, batch_size=self.batch_size)
            )
        keras.DTypePolicy(self.dtype_policy)

    def training_recipe(self) -> Recipe:
        """The recipe with the changes; a rate that is given is the highest one."""
        recipe = RECIPES[self.recipe]
        if self.learning_rate is not None:
            recipe = dataclasses.replace(
                recipe,
                learning_rate=self.learning_rate,
                base_batch_size=self.batch_size,
            )
        # A frozen network is run as at inference: nothing in it is dropped.
        return dataclasses.replace(recipe, drop_path_rate=0.0) if self.probe else recipe
