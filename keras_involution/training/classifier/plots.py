"""Plots of a run: the confusion matrix and the training curves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_involution._files import atomic_write
from keras_involution.training.classifier.metrics import confused_pairs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELED = 30
"""Largest number of classes for which the matrix shows names and numbers."""
LISTED = 20
INK, SOFT, LINE = "#1d2b36", "#5b6b78", "#d5dde3"
COLORS = ("#1b6ca8", "#d1603d", "#5a8f5a")


def draw_confusion(confusion: np.ndarray, class_names: list[str], path: Path) -> None:
    """Draws the confusion matrix, normalized per class, and frequent mistakes.

    Args:
        confusion: Integers (i, j), images of class i that were classified as class j.
        class_names: List of strings.
        path: Path of the PNG file.
    """
    count = len(class_names)
    side = max(4.5, min(0.42 * count, 9)) if count <= LABELED else 8.0
    figure = _figure(side + 5.2, side + 1.2)
    matrix, listed = figure.subplots(1, 2, width_ratios=(side, 3.4))
    totals = confusion.sum(-1, keepdims=True)
    fractions = confusion / np.maximum(totals, 1)
    # The square root makes rare mistakes visible.
    image = matrix.imshow(np.sqrt(fractions), cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=matrix, shrink=0.5, pad=0.02, ticks=np.sqrt(_TICKS))
    figure.axes[-1].set_yticklabels([f"{tick:.0%}" for tick in _TICKS])
    right = np.trace(confusion) / max(confusion.sum(), 1)
    matrix.set_title(
        f"{right:.1%} of {confusion.sum():,} images correct, "
        f"{np.diag(fractions)[totals[:, 0] > 0].mean():.1%} mean over classes",
        color=INK, fontsize=11, loc="left",
    )  # fmt: skip
    if count <= LABELED:
        _label(matrix, confusion, fractions, class_names)
    number = "" if count <= LABELED else ", by its number from 0"
    matrix.set_xlabel(f"prediction{number}", color=SOFT)
    matrix.set_ylabel(f"class{number}", color=SOFT)
    _list_pairs(listed, confusion, class_names)
    _save(figure, path)


_TICKS = np.array([0, 0.05, 0.25, 0.5, 1])


def _label(
    matrix: Axes, confusion: np.ndarray, fractions: np.ndarray, class_names: list[str]
) -> None:
    places = range(len(class_names))
    names = [_short(name) for name in class_names]
    matrix.set_xticks(places, names, rotation=90)
    matrix.set_yticks(places, names)
    for i, j in zip(*np.nonzero(confusion)):
        color = "white" if fractions[i, j] > 0.3 else INK
        text = str(confusion[i, j])
        matrix.text(j, i, text, ha="center", va="center", color=color, fontsize=8)


def _list_pairs(axes: Axes, confusion: np.ndarray, class_names: list[str]) -> None:
    axes.axis("off")
    axes.set_title("most frequent mistakes", color=INK, fontsize=11, loc="left")
    pairs = confused_pairs(confusion, LISTED)
    totals = confusion.sum(-1)
    lines = [
        f"{_short(class_names[i])} \u2192 {_short(class_names[j])}: {n} of {totals[i]}"
        for i, j, n in pairs
    ]
    text = "\n".join(lines) if lines else "none"
    axes.text(0, 1, text, va="top", color=INK, fontsize=9, linespacing=1.6)


def draw_curves(epochs_table: Path, steps_table: Path, path: Path) -> None:
    """Draws losses and accuracies of `epochs.csv`, and rates of `steps.csv`."""
    rows, steps = _numbers(epochs_table), _numbers(steps_table)
    epochs = [row["epoch"] for row in rows]
    figure = _figure(7.5, 8)
    losses, accuracies, rates = figure.subplots(3, 1, sharex=True)

    def draw(axes: Axes, names: dict[str, str]) -> None:
        # Dashes keep two lines visible that coincide if all classes have equal size.
        for (name, label), color, style in zip(names.items(), COLORS, ("-", "--", "-")):
            values = [row[name] for row in rows]
            axes.plot(
                epochs, values, style, marker="o", ms=3.5, color=color, label=label
            )

    draw(losses, {"loss": "training, augmented", "val_loss": "validation"})
    draw(
        accuracies,
        {"top_1": "accuracy", "mean_per_class": "mean of classes", "top_5": "top 5"},
    )
    per_epoch = rows[0]["step"] / rows[0]["epoch"]
    rates.plot(
        [row["step"] / per_epoch for row in steps],
        [row["learning_rate"] for row in steps],
        color=COLORS[0],
    )
    best = max(range(len(rows)), key=lambda row: (rows[row]["top_1"], -row))
    accuracies.plot(epochs[best], rows[best]["top_1"], "o", ms=11, mfc="none", mec=INK)
    accuracies.set_title(
        f"best: {rows[best]['top_1']:.1%} after epoch {epochs[best]:g}",
        color=INK, fontsize=10, loc="right",
    )  # fmt: skip
    accuracies.set_ylim(0, 1.02)
    losses.set_ylim(0, 1.06 * max(max(r["loss"], r["val_loss"]) for r in rows))
    rates.set_ylim(0, 1.06 * max(row["learning_rate"] for row in steps))
    rates.set_xlabel("epoch", color=SOFT)
    rates.locator_params(axis="x", integer=True)
    for axes, title in ((losses, "loss"), (accuracies, "validation"), (rates, "")):
        _plain(axes, title or "learning rate")
    losses.legend(frameon=False)
    accuracies.legend(frameon=False)
    _save(figure, path)


def _numbers(table: Path) -> list[dict[str, float]]:
    with table.open(encoding="utf-8", newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    """Writes a PNG file atomically."""
    with atomic_write(path, force=True) as draft:
        figure.savefig(draft, dpi=130, format="png", bbox_inches="tight")


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    axes.grid(color=LINE, lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(name: str) -> str:
    # matplotlib interprets a dollar sign as the start of a formula.
    text = name if len(name) <= 24 else f"{name[:23]}\u2026"
    return text.replace("$", r"\$")
