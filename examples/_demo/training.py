"""Trains a RedNet on a few hundred photos, from a preset or from scratch."""

from __future__ import annotations

import math

import keras
import numpy as np

from keras_involution import RedNet26, RedNetImageClassifier, RedNetImageConverter
from keras_involution.data import LabeledImages
from keras_involution.training import (
    Augmentation,
    Budget,
    ImageBatches,
    Progress,
    RandomView,
    Trainer,
    build_optimizer,
    build_schedule,
)
from keras_involution.training.image_changes import RandomLight
from keras_involution.training.progress_line import ProgressLine

BATCH_SIZE = 20
LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
WARM_UP = 1 / 8
AUGMENTATION = Augmentation(
    RandomView(area=(0.5, 1.0), ratio=1.16), (RandomLight(0.2, 0.0, 0.05),)
)


def build_model(
    class_names: tuple[str, ...],
    image_size: int,
    cls: type[RedNetImageClassifier] = RedNet26,
) -> RedNetImageClassifier:
    """Builds a classifier that resizes whole photos to a square."""
    return cls(
        num_classes=len(class_names),
        class_names=class_names,
        image_shape=(image_size, image_size, 3),
        data_format="channels_last",
        preprocessor=whole_photos(image_size),
    )


def load_model(
    preset: str, class_names: tuple[str, ...], image_size: int
) -> RedNetImageClassifier:
    """Loads a RedNet-26 with the weights of a preset and a new head."""
    return RedNet26.from_preset(
        preset,
        num_classes=len(class_names),
        class_names=class_names,
        preprocessor=whole_photos(image_size),
    )


def whole_photos(image_size: int) -> RedNetImageConverter:
    """Builds a preprocessor that stretches photos to a square instead of cropping."""
    size = (image_size, image_size)
    return RedNetImageConverter(size, crop_to_aspect_ratio=False, antialias=True)


def train(
    model: RedNetImageClassifier,
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    seed: int,
) -> Progress:
    """Trains a model in place, with AdamW and a cosine schedule."""
    batches = ImageBatches(
        LabeledImages(images, labels),
        np.arange(len(images)),
        batch_size=BATCH_SIZE,
        num_classes=model.num_classes,
        converter=model.preprocessor,
        image_size=model.preprocessor.image_size[0],
        augmentation=AUGMENTATION,
        seed=seed,
    )
    budget = Budget(epochs, batches.steps_per_epoch)
    schedule = build_schedule(
        "cosine",
        LEARNING_RATE,
        budget.steps,
        warm_up_steps=math.ceil(WARM_UP * budget.steps),
        final_fraction=1e-3,
    )
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=LABEL_SMOOTHING
    )
    optimizer = build_optimizer("adamw", LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    model.compile(optimizer, loss)
    trainer = Trainer(model, batches, budget, learning_rate=schedule)
    return trainer.run(ProgressLine(budget))
