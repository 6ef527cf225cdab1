"""Loads a published checkpoint into a RedNet.

Names, shapes and values are checked before any layer is created.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.hub._registry import backbone_class
from keras_involution.hub.checkpoints import CheckpointError, open_checkpoint
from keras_involution.hub.checkpoints.budget import StoredArray
from keras_involution.models.rednet_names import (
    FEATURES,
    assign_published,
    published_shapes,
    published_weights,
)
from keras_involution.models.rednet_presets import STACKWISE_NUM_BLOCKS

_HEAD = "head.fc.weight"
_PREDICTIONS = "predictions"
_BLOCK = re.compile(r"layer([1-4])\.(\d{1,4})\.conv1\.weight")
_STEM_BIAS = "stem.1.conv2.conv.bias"
_NAMES_SHOWN = 1200
_LARGEST = float(np.finfo("float32").max)


@dataclass(frozen=True)
class RedNetCheckpoint:
    """The arrays and the architecture of a RedNet checkpoint.

    Attributes:
        path: Path of the file.
        depth: Integer, one of the published depths.
        stem_kernel_size: Integer, window of the involution of the stem.
        num_classes: Integer, number of classes of the head; `None` without a head.
        arrays: Dictionary from published names without prefix to arrays with the layout
            of PyTorch.
        class_names: List of strings; `None` if the file does not have them.
    """

    path: Path
    depth: int
    stem_kernel_size: int
    num_classes: int | None
    arrays: dict[str, np.ndarray]
    class_names: list[str] | None


def from_checkpoint(
    cls: Any,
    path: str | Path,
    *,
    num_classes: int | None = None,
    load_weights: bool = True,
    dtype: Any = None,
    **kwargs: Any,
) -> Any:
    """Builds a classifier or a backbone from a published checkpoint.

    Depth, window of the stem and number of classes are inferred from the arrays.

    Args:
        cls: `RedNetBackbone`, `RedNetImageClassifier` or the class of a depth.
        path: Path of the file, as in `read_checkpoint`.
        num_classes: Integer, number of classes of a new head; `None` keeps the head of
            the checkpoint.
        load_weights: Boolean; `False` builds the model with random weights.
        dtype: dtype or `keras.DTypePolicy`.
        **kwargs: Further arguments of `cls`.

    Returns:
        The model.

    Raises:
        CheckpointError: A `ValueError`, if the file cannot be read or belongs to
            another network. The message lists arrays that are missing, unexpected or
            of another shape.
    """
    backbone_only = issubclass(cls, backbone_class())
    if backbone_only and num_classes is not None:
        raise TypeError(
            f"A backbone has no classes. {received(num_classes=num_classes)}"
        )
    without_head = (
        backbone_only or num_classes is not None or kwargs.get("include_top") is False
    )
    checkpoint = read_rednet(path, without_head)
    if hasattr(cls, "check_depth") and checkpoint.depth != cls.depth:
        raise CheckpointError(
            f"The checkpoint is a RedNet of depth {checkpoint.depth}, not {cls.depth}; "
            "load it with `RedNetImageClassifier.from_preset` or the class for its "
            f"depth. {received(path=str(checkpoint.path))}"
        )
    backbone_cls = cls if backbone_only else cls.backbone_cls
    model = backbone = backbone_cls.from_depth(
        checkpoint.depth,
        stem_kernel_size=checkpoint.stem_kernel_size,
        dtype=dtype,
        **(kwargs if backbone_only else {}),
    )
    if not backbone_only:
        head = _head_arguments(checkpoint, num_classes)
        model = cls(backbone=backbone, **{**head, **kwargs})
    if load_weights:
        assign(checkpoint, backbone, model, without_head)
    return model


def read_rednet(path: str | Path, without_head: bool = False) -> RedNetCheckpoint:
    """Reads a checkpoint of a RedNet; checks names and shapes before values.

    Args:
        path: Path of the file, as in `read_checkpoint`.
        without_head: Boolean, whether to ignore the head of the checkpoint.

    Returns:
        `RedNetCheckpoint`.

    Raises:
        CheckpointError: If the arrays are not those of a published depth, a value is
            not finite, or a variance is not positive.
    """
    with open_checkpoint(path) as opened:
        stored = {
            name: array
            for name, array in opened.arrays.items()
            if not (without_head and name.startswith("head."))
        }
        where = received(path=str(opened.path))
        depth, stem = _depth(stored, where), _stem_kernel_size(stored)
        classes = None if without_head else _num_classes(stored, where)
        _compare(stored, published_shapes(depth, stem, classes), where)
        arrays = {name: array.read() for name, array in stored.items()}
    check_values(arrays, where)
    names = opened.class_names
    fits = names is not None and len(names) == classes
    return RedNetCheckpoint(
        opened.path, depth, stem, classes, arrays, names if fits else None
    )


def assign(
    checkpoint: RedNetCheckpoint,
    backbone: Any,
    model: Any,
    without_head: bool = False,
) -> None:
    """Sets the weights of a model to those of a checkpoint of the same depth."""
    head = None if without_head else model.get_layer(_PREDICTIONS)
    for name, variable in published_weights(backbone, head).items():
        assign_published(variable, checkpoint.arrays[name])


def fill_from_checkpoint(model: Any, path: Path) -> None:
    """Loads the weights of a published checkpoint into an existing model.

    A backbone, or a classifier without head, ignores the head of the checkpoint.

    Raises:
        CheckpointError: If the checkpoint belongs to another network.
        ValueError: If the model is quantized or has LoRA matrices.
    """
    backbone = getattr(model, "backbone", model)
    num_classes = getattr(model, "num_classes", None)
    without_head = num_classes is None
    # Raises before a large file is read.
    published_weights(backbone, None if without_head else model.get_layer(_PREDICTIONS))
    checkpoint = read_rednet(path, without_head)
    if (checkpoint.depth, checkpoint.stem_kernel_size, checkpoint.num_classes) != (
        backbone.depth,
        backbone.stem_kernel_size,
        num_classes,
    ):
        raise CheckpointError(
            f"The checkpoint is a RedNet of depth {checkpoint.depth} with "
            f"{checkpoint.num_classes} classes; depth {backbone.depth} with "
            f"{num_classes} classes is expected. {received(path=str(path))}"
        )
    assign(checkpoint, backbone, model, without_head)


def check_values(arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Raises `CheckpointError` for NaN, infinity and non-positive variances."""
    for name, array in arrays.items():
        # `min` and `max` propagate NaN, and comparisons with NaN are false.
        if not (array.min() >= -_LARGEST and array.max() <= _LARGEST):
            raise CheckpointError(f"`{name}` holds NaN or infinity. {where}")
        if name.endswith(".running_var") and not (array > 0).all():
            raise CheckpointError(
                f"`{name}` holds a variance that is not positive. {where}"
            )


def _depth(names: Iterable[str], where: str) -> int:
    blocks = [0, 0, 0, 0]
    for name in names:
        if match := _BLOCK.fullmatch(name):
            stage, block = int(match[1]), int(match[2])
            blocks[stage - 1] = max(blocks[stage - 1], block + 1)
    for depth, published in STACKWISE_NUM_BLOCKS.items():
        if list(published) == blocks:
            return depth
    known = ", ".join(f"{list(b)} ({d})" for d, b in STACKWISE_NUM_BLOCKS.items())
    raise CheckpointError(
        f"The checkpoint is not a published RedNet, whose stages have blocks {known}. "
        f"{where}, blocks={blocks}"
    )


def _stem_kernel_size(arrays: Mapping[str, StoredArray]) -> int:
    """Infers the window of the stem's involution from the length of a bias."""
    bias = arrays.get(_STEM_BIAS)
    return 7 if bias is not None and bias.shape == (2 * 49,) else 3


def _num_classes(arrays: Mapping[str, StoredArray], where: str) -> int:
    weight = arrays.get(_HEAD)
    if weight is None:
        raise CheckpointError(
            "The checkpoint has no head. Pass `num_classes` for a new head, or load it "
            f"with `RedNetBackbone.from_preset`. {where}"
        )
    if len(weight.shape) != 2 or not weight.shape[0] or weight.shape[1] != FEATURES:
        raise CheckpointError(
            f"`{_HEAD}` has shape {weight.shape}; expected (classes, {FEATURES}). "
            f"{where}"
        )
    return weight.shape[0]


def _head_arguments(
    checkpoint: RedNetCheckpoint, num_classes: int | None
) -> dict[str, Any]:
    if num_classes is not None:
        return {"num_classes": num_classes}
    names = checkpoint.class_names
    return {"num_classes": checkpoint.num_classes, "class_names": names}


def _compare(
    arrays: Mapping[str, StoredArray],
    shapes: Mapping[str, tuple[int, ...]],
    where: str,
) -> None:
    faults = {
        "missing": [name for name in shapes if name not in arrays],
        "left over": [name[:200] for name in arrays if name not in shapes],
        "of another shape": [
            f"{name} {arrays[name].shape}, not {shape}"
            for name, shape in shapes.items()
            if name in arrays and arrays[name].shape != shape
        ],
        "of another type than floating point": [
            f"{name} {array.dtype}"
            for name, array in arrays.items()
            if name in shapes and array.dtype.kind not in "fV"
        ],
    }
    lines = [f"  {kind}: {_listed(names)}" for kind, names in faults.items() if names]
    if lines:
        raise CheckpointError(
            "The arrays of the checkpoint do not match this network.\n"
            + "\n".join(lines)
            + f"\n{where}"
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
