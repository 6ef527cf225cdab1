"""Classification metrics from logits."""

from __future__ import annotations

import keras
import numpy as np

from keras_involution.training.batches import whole_batches


def scores_of(
    model: keras.Model,
    images: np.ndarray,
    rows: np.ndarray,
    size: int,
    batch_size: int,
) -> np.ndarray:
    """Computes the logits of whole images without augmentation.

    Args:
        model: `RedNetImageClassifier`.
        images: uint8 array (N, H, W, 3).
        rows: Row numbers (M,).
        size: Integer, side to which the images are resized.
        batch_size: Integer.

    Returns:
        float32 array (M, classes), in the order of `rows`.
    """
    batches = whole_batches(images, rows, size, batch_size, model.preprocessor)
    return np.concatenate(
        [np.asarray(model.predict_on_batch(batch), "float32") for batch in batches]
    )


def classification_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Computes accuracies and the mean cross entropy.

    Args:
        scores: Logits (N, classes).
        labels: Class numbers (N,).

    Returns:
        Dictionary of `top_1`, `top_5`, `mean_per_class` (mean accuracy of the classes
        that occur) and `val_loss`.
    """
    places = ranks(scores, labels)
    correct = places == 0
    classes = [correct[labels == label].mean() for label in np.unique(labels)]
    own = probabilities(scores)[np.arange(len(labels)), labels]
    return {
        "top_1": float(correct.mean()),
        "top_5": float((places < 5).mean()),
        "mean_per_class": float(np.mean(classes)),
        "val_loss": float(-np.log(np.maximum(own, 1e-30)).mean()),
    }


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the rank of the correct class, from 0; ties keep the class order."""
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(-1)


def probabilities(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, classes: int
) -> np.ndarray:
    """Counts images of class i that were classified as class j: integers (i, j)."""
    counts = np.bincount(labels * classes + predictions, minlength=classes**2)
    return counts.reshape(classes, classes)


def confused_pairs(confusion: np.ndarray, most: int = 20) -> list[tuple[int, int, int]]:
    """Returns (class, prediction, images) of the most frequent mistakes."""
    wrong = confusion * (1 - np.eye(len(confusion), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = (np.unravel_index(place, wrong.shape) for place in order)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in places if wrong[i, j]]
