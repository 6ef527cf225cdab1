"""Figures of a classification, from its logits."""

from __future__ import annotations

import numpy as np


def figures_of(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracies and the mean cross entropy.

    Args:
        scores: Logits (N, classes).
        labels: Class numbers (N,).

    Returns:
        Dictionary of `top_1`, `top_5`, `mean_per_class` (the mean over the classes
        that there are of the share that is right) and `val_loss`.
    """
    places = ranks(scores, labels)
    right = places == 0
    classes = [right[labels == label].mean() for label in np.unique(labels)]
    loss = -np.log(
        np.maximum(probabilities(scores)[np.arange(len(labels)), labels], 1e-30)
    )
    return {
        "top_1": float(right.mean()),
        "top_5": float((places < 5).mean()),
        "mean_per_class": float(np.mean(classes)),
        "val_loss": float(loss.mean()),
    }


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the right one; of equal ones the first is first."""
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(-1)


def probabilities(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def confusion_of(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """How many pictures of class i were answered with class j: integers (i, j)."""
    counts = np.bincount(labels * classes + answers, minlength=classes**2)
    return counts.reshape(classes, classes)


def confused_pairs(confusion: np.ndarray, most: int = 20) -> list[tuple[int, int, int]]:
    """(truth, answer, pictures) of the mistakes that were made most often."""
    wrong = confusion * (1 - np.eye(len(confusion), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = (np.unravel_index(place, wrong.shape) for place in order)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in places if wrong[i, j]]
