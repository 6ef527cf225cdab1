"""Trains a classifier of keras-cv on a RedNet backbone.

What it does: builds the `ImageClassifier` of keras-cv on a small `RedNetBackbone` and
trains it on 400 photos of ten classes. keras-cv is no longer developed; keras-hub
replaces it. This example is for projects that still use keras-cv.

How long it takes: half a minute on one idle core.

What to expect: one line per epoch, a loss that falls from 2.2 to about 1, and an
accuracy of about 0.45 on 200 held-out photos (guessing gives 0.10). The program trains
for only six epochs on small images; `examples/demo.py` trains longer and is more
accurate.

Command, from the root of the repository, after
`pip install "keras-involution[keras-cv,torch]"`:

    KERAS_BACKEND=torch python -m examples.keras_cv_classifier
"""

from __future__ import annotations

import keras
import keras_cv

from examples._demo.photos import CLASS_NAMES, load_photos
from keras_involution import RedNetBackbone, RedNetImageConverter


def main(epochs: int = 6, side: int = 32) -> float:
    """Trains the classifier.

    Returns:
        Float, the accuracy on the held-out photos.
    """
    keras.utils.set_random_seed(0)
    backbone = RedNetBackbone(
        stackwise_num_filters=(16, 32, 64, 128),
        stackwise_num_blocks=(1, 1, 1, 1),
        kernel_size=5,
        group_channels=8,
        image_shape=(side, side, 3),
    )
    model = keras_cv.models.ImageClassifier(backbone, num_classes=len(CLASS_NAMES))
    model.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    prepare = RedNetImageConverter((side, side))
    images, labels = load_photos("train")
    model.fit(prepare(images), labels, batch_size=32, epochs=epochs, verbose=2)
    images, labels = load_photos("test")
    _, accuracy = model.evaluate(prepare(images), labels, verbose=0)
    print(f"Accuracy on {len(labels)} held-out photos: {accuracy:.2f} (guessing 0.10)")
    return float(accuracy)


if __name__ == "__main__":
    main()
