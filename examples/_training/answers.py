"""What a network answers for whole pictures, kept in a file."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from examples._training.batches import held_out_batches
from examples._training.pictures import write_array
from keras_involution._arguments import received

BATCH = 64
FLUSHED = 20
"""Batches of answers between two that are surely on the disk."""


def answers_of(
    network: keras.Model, images: np.ndarray, rows: np.ndarray, path: Path
) -> np.ndarray:
    """The logits of a network for whole pictures; goes on where it was interrupted.

    Args:
        network: `keras.Model` of pictures as `RedNetImageConverter` prepares them.
        images: Bytes (N, H, W, 3).
        rows: Row numbers of the pictures that it answers for.
        path: Path of the file that keeps the answers.

    Returns:
        Array (N, classes) of float16, a memory map, NaN in all other rows.

    Raises:
        ValueError: If the file is there, but of another shape.
    """
    if not path.exists():
        nothing = np.full((len(images), network.output_shape[-1]), np.nan, "float16")
        write_array(path, nothing)
    answers = np.lib.format.open_memmap(path, "r+")
    if answers.shape != (len(images), network.output_shape[-1]):
        raise ValueError(
            "The file holds answers for other pictures or classes. "
            + received(path=str(path), shape=answers.shape, pictures=len(images))
        )
    left = rows[np.isnan(answers[rows]).any(-1)]
    batches = held_out_batches(images, left, images.shape[1], BATCH)
    for number, batch in enumerate(batches):
        found = np.asarray(network.predict_on_batch(batch))
        answers[left[number * BATCH : (number + 1) * BATCH]] = found
        if number % FLUSHED == 0:
            answers.flush()
    answers.flush()
    return answers
