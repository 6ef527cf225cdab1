"""Evaluates a trained classifier on its test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.data._tables import csv_writer
from keras_involution.models import RedNetImageClassifier
from keras_involution.training.classifier import folder as names
from keras_involution.training.classifier import metrics
from keras_involution.training.classifier.data import data_of
from keras_involution.training.classifier.network import converter_of
from keras_involution.training.classifier.settings import ClassifierSettings

BATCH_SIZE = 64


def test_classifier(
    folder: str | Path, weights: str = names.BEST
) -> tuple[dict[str, Any], np.ndarray]:
    """Evaluates a run on its test images; writes `test.json` and `predictions.csv`.

    Args:
        folder: Path of the folder of the run.
        weights: `"best"` or `"last"`.

    Returns:
        Dictionary of metrics, and the confusion matrix.

    Raises:
        ValueError: If the folder holds no run, or the run has no weights yet or no test
            images.
    """
    folder = Path(folder)
    settings = ClassifierSettings(**names.read_run(folder)["settings"])
    if not (folder / weights).is_dir():
        raise ValueError(
            "The run has not been validated yet, so it has no weights to test. "
            + received(weights=weights)
        )
    model = RedNetImageClassifier.from_preset(folder / weights)
    converter = converter_of(model)
    data = data_of(folder, settings, converter)
    rows, (images, every) = data.rows("test"), data.decoded.data
    if not len(rows):
        raise ValueError(f"The split has no test images. {received(test=0)}")
    size = (converter.image_size or (0, 0))[0]
    scores = metrics.scores_of(model, images, rows, size, BATCH_SIZE)
    if not np.isfinite(scores).all():
        raise ValueError(
            f"The logits of the network are not finite. {received(weights=weights)}"
        )
    labels, classes = every[rows], list(model.class_names or ())
    confusion = metrics.confusion_matrix(labels, scores.argmax(-1), len(classes))
    test_names = [data.decoded.names[row] for row in rows]
    _write_predictions(folder, test_names, labels, scores, classes)
    found = {
        "weights": weights,
        **_test_metrics(scores, labels, confusion, classes),
        "skipped": data.skipped("test"),
    }
    names.write_json(folder / names.TEST, found)
    return found, confusion


test_classifier.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest


def _test_metrics(
    scores: np.ndarray, labels: np.ndarray, confusion: np.ndarray, classes: list[str]
) -> dict[str, Any]:
    found = metrics.classification_metrics(scores, labels)
    counts = confusion.sum(-1)
    return {
        "images": len(labels),
        "accuracy": found["top_1"],
        "mean_per_class_accuracy": found["mean_per_class"],
        "top_5_accuracy": found["top_5"],
        "loss": found["val_loss"],
        "class_accuracies": {
            name: float(confusion[i, i] / counts[i]) if counts[i] else None
            for i, name in enumerate(classes)
        },
        "most_confused": [
            {"class": classes[i], "prediction": classes[j], "images": n}
            for i, j, n in metrics.confused_pairs(confusion)
        ],
    }


def _write_predictions(
    folder: Path,
    image_names: list[str],
    labels: np.ndarray,
    scores: np.ndarray,
    classes: list[str],
) -> None:
    columns = ("name", "class", "prediction", "probability", "rank")
    ranks = metrics.ranks(scores, labels)
    probabilities = metrics.probabilities(scores)
    with csv_writer(folder / names.PREDICTIONS, columns) as writer:
        for name, label, row, rank in zip(image_names, labels, probabilities, ranks):
            best = row.argmax()
            values = [classes[label], classes[best], f"{row[best]:.4f}", rank + 1]
            writer.writerow([name, *values])
