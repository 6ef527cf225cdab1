"""Draws the figures of `docs/what-involution-computes.md`.

    KERAS_BACKEND=torch python docs/write_figures.py

Run from the root of the repository; it takes seconds. The kernels are those of the
shipped RedNet-26 on a photo of `examples/data`, the rest are drawings.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from keras_involution import RedNet26
from keras_involution.layers import Involution2D

FOLDER = Path(__file__).parent / "figures"
DATA = Path(__file__).parents[1] / "examples" / "data" / "caltech101-mini"
# Colors that people with color blindness tell apart (Okabe and Ito).
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
LIGHT, DARK = "#EEEEEE", "#444444"
LAYER = "stack1_block0_2_involution"


def panels(count: int, width: float = 2.1, height: float = 2.3) -> tuple[Figure, list]:
    figure, axes = plt.subplots(1, count, figsize=(width * count, height), dpi=110)
    for axis in axes:
        axis.set_axis_off()
        axis.set_aspect("equal")
    return figure, list(axes)


def cell(axis: Axes, row: float, column: float, color: str, side: float = 1.0) -> None:
    place = (column - side / 2, row - side / 2)
    axis.add_patch(plt.Rectangle(place, side, side, facecolor=color, edgecolor="white"))


def grid(axis: Axes, side: int, title: str) -> None:
    for row in range(side):
        for column in range(side):
            cell(axis, row, column, LIGHT)
    axis.set(xlim=(-0.7, side - 0.3), ylim=(side - 0.3, -0.7))
    axis.set_title(title, fontsize=10, family="monospace")


def draw_kernel_size() -> Figure:
    figure, axes = panels(3)
    for axis, size in zip(axes, (3, 5, 7)):
        grid(axis, 9, f"kernel_size={size}")
        half = size // 2
        for row in range(4 - half, 5 + half):
            for column in range(4 - half, 5 + half):
                cell(axis, row, column, COLORS[0])
        axis.plot(4, 4, "o", color="white", markersize=4)
    return figure


def draw_dilation_rate() -> Figure:
    figure, axes = panels(3)
    for axis, rate in zip(axes, (1, 2, 3)):
        grid(axis, 9, f"dilation_rate={rate}")
        for row in (-rate, 0, rate):
            for column in (-rate, 0, rate):
                cell(axis, 4 + row, 4 + column, COLORS[0])
        axis.plot(4, 4, "o", color="white", markersize=4)
    return figure


def draw_strides() -> Figure:
    figure, axes = panels(2)
    for axis, stride in zip(axes, (1, 2)):
        grid(axis, 8, f"strides={stride}")
        for row in range(0, 8, stride):
            for column in range(0, 8, stride):
                middle = (stride - 1) / 2
                if stride > 1:  # the step whose mean makes the kernel
                    cell(axis, row + middle, column + middle, "#CFE3F1", stride * 0.94)
                axis.plot(column, row, "o", color=COLORS[0], markersize=5)
    return figure


def draw_groups() -> Figure:
    figure, axes = panels(3)
    for axis, groups in zip(axes, (1, 2, 4)):
        for channel in range(8):
            cell(axis, channel, 0, COLORS[channel * groups // 8])
            axis.text(-0.9, channel, f"{channel}", fontsize=7, ha="right", va="center")
        for group in range(groups):
            middle = (group + 0.5) * 8 / groups - 0.5
            for row in (-1, 0, 1):
                for column in (-1, 0, 1):
                    place = middle + 0.5 * row, 4 + 0.5 * column
                    cell(axis, *place, COLORS[group], 0.5)
            axis.plot([0.6, 3.1], [middle, middle], color=DARK, linewidth=0.8)
        axis.set(xlim=(-2, 5.5), ylim=(7.9, -0.9))
        axis.set_title(f"groups={groups}", fontsize=10, family="monospace")
    return figure


def draw_reduction_ratio() -> Figure:
    ratios = (1, 2, 4, 8)
    counts = []
    for ratio in ratios:
        layer = Involution2D(7, groups=4, reduction_ratio=ratio)
        layer.build((None, 8, 8, 64))
        counts.append(layer.count_params())
    convolution = keras.layers.Conv2D(64, 7)
    convolution.build((None, 8, 8, 64))
    counts.append(convolution.count_params())
    figure, axis = plt.subplots(figsize=(5.4, 2.2), dpi=110)
    names = [f"reduction_ratio={ratio}" for ratio in ratios] + ["Conv2D(64, 7)"]
    bars = axis.barh(names, counts, color=[COLORS[0]] * 4 + [COLORS[1]])
    axis.bar_label(bars, [f"{count:,}" for count in counts], fontsize=8, padding=3)
    axis.set_xscale("log")
    axis.set_xlim(1000, 1_500_000)
    axis.invert_yaxis()
    axis.set_xlabel("parameters, 64 channels, 7 x 7, 4 groups", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def kernels_of_photo() -> tuple[np.ndarray, np.ndarray]:
    """A photo (96, 96, 3) and the kernels of the group that differs most with place."""
    sheet = np.asarray(Image.open(DATA / "test.jpg"))
    photo = sheet.reshape(10, 96, -1, 96, 3)[8, :, 1]  # a sunflower
    model = RedNet26.from_preset("rednet_26_tiny_imagenet", image_shape=(96, 96, 3))
    layer = model.backbone.get_layer(LAYER)
    features = keras.Model(model.backbone.input, layer.input)
    x = keras.ops.convert_to_numpy(model.preprocessor(photo[None]))
    found = features.predict(x, verbose=0)
    kernels = layer.generate_kernels(keras.ops.convert_to_tensor(found))
    kernels = keras.ops.convert_to_numpy(kernels)[0]  # (Ho, Wo, G, 7, 7)
    change = kernels.std(axis=(0, 1)).mean(axis=(1, 2))
    return photo, kernels[:, :, change.argmax()]


def draw_kernels() -> Figure:
    photo, kernels = kernels_of_photo()
    figure, axes = panels(5)
    rows, columns = kernels.shape[:2]
    places = [(0.12, 0.12), (0.5, 0.5), (0.3, 0.72), (0.85, 0.3)]
    axes[0].imshow(photo)
    axes[0].set_title("photo", fontsize=10)
    chosen = [kernels[int(d * rows), int(r * columns)] for d, r in places]
    spread = np.abs(chosen).max()
    for axis, color, kernel, (down, right) in zip(axes[1:], COLORS, chosen, places):
        axis.imshow(kernel, cmap="PuOr", vmin=-spread, vmax=spread)
        size = kernel.shape[0]
        frame = plt.Rectangle(
            (-0.5, -0.5), size, size, fill=False, edgecolor=color, linewidth=5
        )
        axis.add_patch(frame)
        axes[0].plot(96 * right, 96 * down, "o", color=color, markeredgecolor="white")
    axes[2].set_title("kernels at four positions", fontsize=10, loc="left")
    return figure


FIGURES = {
    "kernels": draw_kernels,
    "kernel_size": draw_kernel_size,
    "groups": draw_groups,
    "strides": draw_strides,
    "dilation_rate": draw_dilation_rate,
    "reduction_ratio": draw_reduction_ratio,
}


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        figure = draw()
        figure.savefig(folder / f"{name}.png", bbox_inches="tight", facecolor="white")
        plt.close(figure)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
