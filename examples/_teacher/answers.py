"""A teacher's answers to whole pictures, given once and kept for every epoch.

A teacher that answers within every step sees the very views of the student, and takes
most of a step's time. Here it answers once for each picture as it is, and the student
learns these answers of whatever part of the picture it is shown: less exact targets,
and steps as fast as without a teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_involution._typing import Tensor


@dataclass(frozen=True, eq=False)
class StoredAnswers:
    """Makes of a compiled student one that learns from labels and stored logits.

    Args:
        teacher: String, its name.
        logits: Array (N, classes), the teacher's answers to the pictures of all rows.
        temperature: Float, by which the logits of both are divided.
        label_share: Float from 0 to 1, the share of the labels in the loss.
    """

    teacher: str
    logits: np.ndarray
    temperature: float = 2.0
    label_share: float = 0.5

    @property
    def described(self) -> dict[str, Any]:
        """What a run that goes on must have in common with its beginning."""
        names = ("teacher", "temperature", "label_share")
        return {name: getattr(self, name) for name in names} | {"answers": "stored"}

    def targets(self, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The targets of labels (B, classes), with the answers beside: (B, 2 classes).

        Raises:
            ValueError: If a picture has no answer.
        """
        logits = self.logits[rows].astype("float32") / self.temperature
        if not np.isfinite(logits).all():
            raise ValueError("The teacher has not answered for all these pictures.")
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return np.concatenate([labels, powers / powers.sum(-1, keepdims=True)], -1)

    def __call__(self, student: keras.Model) -> keras.Model:
        loss = LabelsAndAnswers(student.loss, self.temperature, self.label_share)
        student.compile(student.optimizer, loss)
        return student


class LabelsAndAnswers(keras.losses.Loss):
    """The loss of `training.build_distiller`, of targets as above.

    Args:
        labels_loss: `keras.losses.Loss` of the labels.
        temperature: Float.
        label_share: Float.
    """

    def __init__(
        self, labels_loss: keras.losses.Loss, temperature: float, label_share: float
    ) -> None:
        super().__init__(name="labels_and_answers")
        self.labels_loss, self.label_share = labels_loss, label_share
        self.temperature = temperature
        self.divergence = keras.losses.KLDivergence(reduction=None)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        labels, answers = ops.split(y_true, 2, axis=-1)
        found = ops.softmax(y_pred / self.temperature, axis=-1)
        taught = self.temperature**2 * self.divergence(answers, found)
        labelled = self.labels_loss.call(labels, y_pred)
        return self.label_share * labelled + (1 - self.label_share) * taught
