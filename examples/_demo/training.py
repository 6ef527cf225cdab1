"""A RedNet on a few hundred photographs, from pretrained weights or from none."""

from __future__ import annotations

import math

import keras
import numpy as np
from PIL import Image

from keras_involution import RedNet26, RedNetImageClassifier, RedNetImageConverter

BATCH_SIZE = 20
LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
WARM_UP = 1 / 8


def build_model(
    class_names: tuple[str, ...],
    image_size: int,
    cls: type[RedNetImageClassifier] = RedNet26,
) -> RedNetImageClassifier:
    """A new `cls` that looks at the whole photograph, stretched to a square."""
    return cls(
        num_classes=len(class_names),
        class_names=class_names,
        image_shape=(image_size, image_size, 3),
        data_format="channels_last",
        preprocessor=whole_photographs(image_size),
    )


def load_model(
    preset: str, class_names: tuple[str, ...], image_size: int
) -> RedNetImageClassifier:
    """A RedNet-26 with the weights of a preset and a new head."""
    return RedNet26.from_preset(
        preset,
        num_classes=len(class_names),
        class_names=class_names,
        preprocessor=whole_photographs(image_size),
    )


def whole_photographs(image_size: int) -> RedNetImageConverter:
    size = (image_size, image_size)
    return RedNetImageConverter(size, crop_to_aspect_ratio=False, antialias=True)


def train(
    model: RedNetImageClassifier,
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    seed: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Trains in place: AdamW on a cosine, label smoothing, augmented photographs."""
    photographs = AugmentedPhotographs(model, images, labels, seed)
    steps = epochs * len(photographs)
    warm_up = math.ceil(WARM_UP * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 20,
        max(1, steps - warm_up),
        alpha=1e-3,
        warmup_target=LEARNING_RATE,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=LABEL_SMOOTHING
    )
    model.compile(optimizer, loss, metrics=["accuracy"])
    model.fit(photographs, epochs=epochs, verbose=0, callbacks=callbacks)


class AugmentedPhotographs(keras.utils.PyDataset):
    """Batches of random crops, mirrored half of the time, in changed light.

    In NumPy and Pillow, outside the model: on JAX the layers of Keras that crop and
    zoom would have to be compiled, or make every training step eager.

    Args:
        model: The network to prepare for; its preprocessor says how.
        images: Bytes (N, H, W, 3).
        labels: Class numbers (N,).
        seed: Integer.
    """

    def __init__(
        self,
        model: RedNetImageClassifier,
        images: np.ndarray,
        labels: np.ndarray,
        seed: int,
    ) -> None:
        super().__init__()
        self.images = images
        self.targets = np.eye(model.num_classes, dtype="float32")[labels]
        self.converter = model.preprocessor
        self.random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.images) // BATCH_SIZE

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * BATCH_SIZE : (index + 1) * BATCH_SIZE]
        views = np.stack([self._random_view(self.images[row]) for row in rows])
        scale = np.array(self.converter.scale, "float32")
        return views * scale + np.array(self.converter.offset, "float32"), (
            self.targets[rows]
        )

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.images))

    def _random_view(self, image: np.ndarray) -> np.ndarray:
        """A crop of 50 to 100 % of the area, resized, mirrored, relit: (h, w, 3)."""
        random, sides = self.random, np.array(image.shape[1::-1])
        area, ratio = random.uniform(0.5, 1), np.exp(random.uniform(-0.15, 0.15))
        shares = np.sqrt([area * ratio, area / ratio])
        width, height = np.minimum(shares, 1) * sides
        left, top = random.uniform(0, 1, 2) * (sides - (width, height))
        box = (left, top, left + width, top + height)
        size = self.converter.image_size[::-1]
        view = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box)
        view = np.asarray(view, "float32")[:, :: random.choice((-1, 1))]
        light = random.uniform(0.8, 1.2) * random.uniform(0.95, 1.05, 3)
        return (view * light).astype("float32")
