"""Distillation from logits that a teacher computes once for each whole image.

A teacher that runs in every step sees the augmented images of the student, but takes
most of the time. With stored logits, the targets are less exact, but steps are as fast
as without a teacher. The logits are the mean over the image and its mirror image, so
they also fit mirrored views.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._typing import Tensor
from keras_involution.data.decoded import write_array
from keras_involution.models import RedNetImageConverter
from keras_involution.training.batches import whole_batches

BATCH = 64
FLUSHED = 20
"""Number of batches after which the logits are written to disk."""


def store_logits(
    teacher: keras.Model,
    images: np.ndarray,
    rows: np.ndarray,
    path: str | Path,
    converter: RedNetImageConverter,
) -> np.ndarray:
    """Computes and stores the logits of whole images; resumes after an interruption.

    The logits are the mean over each image and its mirror image.

    Args:
        teacher: `keras.Model` that takes images prepared by `converter`, channels last.
        images: uint8 array (N, H, W, 3).
        rows: Row numbers (M,) of the images for which to compute logits.
        path: Path of the .npy file that holds the logits.
        converter: `RedNetImageConverter` of the student.

    Returns:
        float16 array (N, classes), a memory map that is NaN in all other rows.

    Raises:
        ValueError: If the file exists with another shape.

    Example:

    >>> import keras, numpy as np, tempfile
    >>> from keras_involution import RedNetImageConverter
    >>> from keras_involution.training import store_logits
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(5)]
    >>> teacher = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    >>> images, rows = np.zeros((3, 8, 8, 3), "uint8"), np.array([0, 2])
    >>> converter = RedNetImageConverter(data_format="channels_last")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/logits.npy"
    ...     logits = store_logits(teacher, images, rows, path, converter)
    ...     np.isnan(logits).all(axis=1).tolist()
    [False, True, False]
    """
    path = Path(path)
    shape = (len(images), teacher.output_shape[-1])
    if not path.exists():
        write_array(path, np.full(shape, np.nan, "float16"))
    logits = np.lib.format.open_memmap(path, "r+")
    if logits.shape != shape:
        raise ValueError(
            "The file holds logits for other images or classes. "
            + received(path=str(path), shape=logits.shape, images=len(images))
        )
    left = rows[np.isnan(logits[rows]).any(-1)]
    batches = whole_batches(images, left, images.shape[1], BATCH, converter)
    for number, batch in enumerate(batches):
        both = [teacher.predict_on_batch(x) for x in (batch, batch[:, :, ::-1])]
        found = np.mean([np.asarray(logits) for logits in both], axis=0)
        logits[left[number * BATCH : (number + 1) * BATCH]] = found
        if number % FLUSHED == 0:
            logits.flush()
    logits.flush()
    return logits


class StoredLogits:
    """Targets and loss of a student that learns from labels and stored logits.

    Args:
        logits: Array (N, classes), as returned by `store_logits`.
        temperature: Float that both logits are divided by.
        label_weight: Float from 0 to 1, weight of the labels in the loss.

    Raises:
        ValueError: If a number is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_involution.training import StoredLogits
    >>> stored = StoredLogits(np.zeros((10, 4), "float16"))
    >>> stored.targets(np.array([2, 5]), np.eye(4)[[0, 1]]).shape
    (2, 8)
    """

    def __init__(
        self, logits: np.ndarray, temperature: float = 2.0, label_weight: float = 0.5
    ) -> None:
        self.logits = logits
        self.temperature = _arguments.positive_number(temperature, "temperature")
        self.label_weight = _arguments.rate(label_weight, "label_weight")

    def targets(self, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns labels and probabilities of the teacher, concatenated.

        Args:
            rows: Row numbers of the images (B,).
            labels: One-hot labels (B, classes).

        Returns:
            float32 array (B, 2 * classes).

        Raises:
            ValueError: If the teacher has no logits for an image.
        """
        logits = self.logits[rows].astype("float32") / self.temperature
        if not np.isfinite(logits).all():
            raise ValueError(
                "The teacher has no logits for some of these images. "
                + received(rows=rows.tolist())
            )
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return np.concatenate([labels, powers / powers.sum(-1, keepdims=True)], -1)

    def loss(self, labels_loss: keras.losses.Loss) -> keras.losses.Loss:
        """Returns the loss of `build_distiller` for these targets.

        Args:
            labels_loss: `keras.losses.Loss` of labels and logits.

        Returns:
            `keras.losses.Loss` of the targets (B, 2 * classes) and logits (B, classes).
        """
        return _StoredLogitsLoss(labels_loss, self.temperature, self.label_weight)


class _StoredLogitsLoss(keras.losses.Loss):
    def __init__(
        self, labels_loss: keras.losses.Loss, temperature: float, label_weight: float
    ) -> None:
        super().__init__(name="stored_logits")
        self.labels_loss, self.label_weight = labels_loss, label_weight
        self.temperature = temperature
        self.divergence = keras.losses.KLDivergence(reduction=None)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        labels, teacher = ops.split(y_true, 2, axis=-1)
        student = ops.softmax(y_pred / self.temperature, axis=-1)
        distilled = self.temperature**2 * self.divergence(teacher, student)
        labeled = self.labels_loss.call(labels, y_pred)
        return self.label_weight * labeled + (1 - self.label_weight) * distilled
