"""Linear probes: a softmax on the features of a network that stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

BATCH = 50
STEPS = 300
DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)


def features(model: Any, images: np.ndarray) -> np.ndarray:
    """Pooled features (N, C), means over images and their mirror images."""
    pooled = keras.Model(model.input, model.get_layer("pooler").output)
    return np.concatenate(list(_both(pooled, model.preprocessor, images)))


def logits(model: Any, images: np.ndarray) -> np.ndarray:
    """(N, classes), means over images and their mirror images."""
    return np.concatenate(list(_both(model, model.preprocessor, images)))


def _both(model: Any, prepare: Any, images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), BATCH):
        x = keras.ops.convert_to_numpy(prepare(images[start : start + BATCH]))
        pair = [model.predict_on_batch(view) for view in (x, x[:, :, ::-1])]
        yield np.mean([keras.ops.convert_to_numpy(y) for y in pair], axis=0)


def predict(x: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The logits of `others`, by a probe of `x`; a fifth of it chooses the decay."""
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
