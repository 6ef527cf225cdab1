"""A trained classifier on its test pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from examples._training import folder as names
from examples._training import metrics
from examples._training.choices import Choices
from examples._training.classifier import data_of
from examples._training.run import scores_of
from examples._training.tables import write_table
from keras_involution import RedNetImageClassifier
from keras_involution._arguments import received

BATCH_SIZE = 64
"""Pictures of a batch that is no training step."""


def measured(
    folder: Path, weights: str = names.BEST
) -> tuple[dict[str, Any], np.ndarray]:
    """The figures of the test part, written down, and the confusion matrix.

    Raises:
        ValueError: If there is no run, it has no weights yet, or no test part.
    """
    choices = Choices(**names.read_settings(folder)["choices"])
    if not (folder / weights).is_dir():
        raise ValueError(
            "The run has not been validated yet, so there are no weights to test. "
            + received(weights=weights)
        )
    model = RedNetImageClassifier.from_preset(folder / weights)
    data = data_of(folder, choices, model)
    rows, pictures = data.rows("test"), data.decoded.pictures
    if not len(rows):
        raise ValueError(f"The split has no pictures to test. {received(test=0)}")
    size = model.preprocessor.image_size[0]
    scores = scores_of(model, pictures.images, rows, size, BATCH_SIZE)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"The network answers with no numbers. {received(weights=weights)}"
        )
    labels, classes = pictures.labels[rows], model.class_names
    confusion = metrics.confusion_of(labels, scores.argmax(-1), len(classes))
    _write_predictions(
        folder, [data.decoded.names[r] for r in rows], labels, scores, classes
    )
    figures = _test_figures(scores, labels, confusion, classes)
    figures = {"weights": weights, **figures, "skipped": data.skipped("test")}
    names.write_json(folder / names.TEST, figures)
    return figures, confusion


def _test_figures(
    scores: np.ndarray, labels: np.ndarray, confusion: np.ndarray, classes: list[str]
) -> dict[str, Any]:
    found, counts = metrics.figures_of(scores, labels), confusion.sum(-1)
    return {
        "pictures": len(labels),
        "accuracy": found["top_1"],
        "mean_per_class_accuracy": found["mean_per_class"],
        "top_5_accuracy": found["top_5"],
        "loss": found["val_loss"],
        "class_accuracies": {
            name: float(confusion[i, i] / counts[i]) if counts[i] else None
            for i, name in enumerate(classes)
        },
        "most_confused": [
            {"class": classes[i], "taken_for": classes[j], "pictures": n}
            for i, j, n in metrics.confused_pairs(confusion)
        ],
    }


def _write_predictions(
    folder: Path,
    pictures: list[str],
    labels: np.ndarray,
    scores: np.ndarray,
    classes: list[str],
) -> None:
    columns = ("name", "class", "prediction", "probability", "rank")
    ranks, shares = metrics.ranks(scores, labels), metrics.probabilities(scores)
    with write_table(folder / names.PREDICTIONS, columns) as writer:
        for name, label, share, rank in zip(pictures, labels, shares, ranks):
            best = share.argmax()
            row = [name, classes[label], classes[best], f"{share[best]:.4f}", rank + 1]
            writer.writerow(row)
