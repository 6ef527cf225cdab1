"""What a run is given, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from examples._teacher.answers import StoredAnswers
from examples._teacher.distillation import Distillation
from examples._training.pictures import Pictures
from keras_involution import RedNetImageClassifier, training


@dataclass
class Settings:
    """What a run does not change: how it is called, and what it is given.

    `rows` are the pictures to train on, `held_out_rows` those to validate on. `keep`
    is handed the model after every validation, with the weights that were validated,
    and whether they were better than all before. `begun_with` is whatever else a run
    that goes on must have in common with its beginning.
    """

    output: Path
    pictures: Pictures
    rows: np.ndarray
    held_out_rows: np.ndarray
    keep: Callable[[RedNetImageClassifier, bool], None]
    recipe: training.Recipe
    image_size: int
    epochs: int
    batch_size: int
    minutes: float | None = None
    checkpoint_minutes: float = 5.0
    evaluations_an_epoch: int = 1
    held_out_step: int = 5
    seed: int = 0
    distillation: Distillation | StoredAnswers | None = None
    begun_with: dict[str, str] = field(default_factory=dict)

    @property
    def described(self) -> dict[str, Any]:
        """What a run that goes on must have in common with its beginning."""
        recipe = {name: str(value) for name, value in asdict(self.recipe).items()}
        names = ("image_size", "epochs", "batch_size", "minutes", "seed")
        taught = self.distillation.described if self.distillation else {}
        own = {name: getattr(self, name) for name in names} | self.begun_with
        return own | recipe | taught


@dataclass
class Progress:
    """How far a run is; what a checkpoint keeps beside weights and optimizer."""

    described: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    share: float = 0.0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
