"""Linear probes: softmax regression on the features of a frozen network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

BATCH = 50
STEPS = 300
DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)


def features(model: Any, images: np.ndarray) -> np.ndarray:
    """Returns pooled features (N, C), averaged over images and mirror images."""
    pooled = keras.Model(model.input, model.get_layer("pooler").output)
    return np.concatenate(list(_both(pooled, model.preprocessor, images)))


def logits(model: Any, images: np.ndarray) -> np.ndarray:
    """Returns logits (N, classes), averaged over images and mirror images."""
    return np.concatenate(list(_both(model, model.preprocessor, images)))


def _both(model: Any, prepare: Any, images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), BATCH):
        x = keras.ops.convert_to_numpy(prepare(images[start : start + BATCH]))
        pair = [model.predict_on_batch(view) for view in (x, x[:, :, ::-1])]
        yield np.mean([keras.ops.convert_to_numpy(y) for y in pair], axis=0)


def predict(x: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Trains a probe on `x` and returns the logits of `others`.

    The weight decay is chosen on a fifth of `x`.

    Args:
        x: Features (N, C).
        labels: Class numbers (N,).
        others: Features (M, C).

    Returns:
        Array (M, classes).
    """
    held = np.random.default_rng(0).permutation(len(x)) % 5 == 0
    fractions = []
    for decay in DECAYS:
        found = _softmax(x[~held], labels[~held], x[held], decay)
        fractions.append((found.argmax(-1) == labels[held]).mean())
    return _softmax(x, labels, others, DECAYS[int(np.argmax(fractions))])


def _softmax(
    x: np.ndarray, labels: np.ndarray, others: np.ndarray, decay: float
) -> np.ndarray:
    mean, spread = x.mean(0), x.std(0) + 1e-6
    keras.utils.set_random_seed(0)
    probe = keras.Sequential([keras.layers.Dense(int(labels.max()) + 1)])
    rate = keras.optimizers.schedules.CosineDecay(1e-2, STEPS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    probe.compile(keras.optimizers.AdamW(rate, weight_decay=decay), loss)
    probe.fit((x - mean) / spread, labels, len(x), STEPS, verbose=0)
    return probe.predict((others - mean) / spread, len(others), verbose=0)
