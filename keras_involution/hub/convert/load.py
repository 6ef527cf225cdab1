"""A published checkpoint to a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.hub.convert.names import (
    assign_published,
    published_shape,
    published_weights,
)
from keras_involution.hub.convert.read import (
    Checkpoint,
    CheckpointError,
    read_checkpoint,
)
from keras_involution.models import RedNetBackbone
from keras_involution.models.rednet_presets import STACKWISE_NUM_BLOCKS

_HEAD = "head.fc.weight"
_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.conv1\.weight")
_STEM_BIAS = "stem.1.conv2.conv.bias"


def from_checkpoint(
    cls: Any,
    path: str | Path,
    *,
    num_classes: int | None = None,
    load_weights: bool = True,
    dtype: Any = None,
    **kwargs: Any,
) -> Any:
    """Builds a `cls`, a classifier or a backbone, from a published checkpoint.

    Depth, window of the stem and number of classes are those of its arrays. Every array
    is compared with its weight before the first one is set.

    Args:
        cls: `RedNetBackbone`, `RedNetImageClassifier` or the class of a depth.
        path: Path of the file, as of `read_checkpoint`.
        num_classes: Integer, puts a new head of so many classes on the backbone.
        load_weights: Boolean; `False` leaves the weights random.
        dtype: dtype or `keras.DTypePolicy`.
        **kwargs: Further arguments of `cls`.

    Returns:
        The model.

    Raises:
        ValueError: If the file cannot be read, or is of another network; arrays that
            are missing, left over or of another shape are listed by name.
    """
    checkpoint = read_checkpoint(path)
    backbone_only = issubclass(cls, RedNetBackbone)
    backbone_cls = cls if backbone_only else RedNetBackbone
    backbone = backbone_cls.from_depth(
        _depth(checkpoint), **_backbone_arguments(checkpoint, dtype),
        **(kwargs if backbone_only else {}),
    )  # fmt: skip
    if backbone_only:
        if num_classes is not None:
            raise TypeError(
                f"A backbone has no classes. {received(num_classes=num_classes)}"
            )
        model, head = backbone, None
    else:
        _check_class(cls, backbone, checkpoint)
        headless = kwargs.get("include_top") is False
        arguments = {} if headless else _head_arguments(checkpoint, num_classes)
        model = cls(backbone=backbone, **arguments, **kwargs)
        new_head = headless or num_classes is not None
        head = None if new_head else model.get_layer("predictions")
    if load_weights:
        _assign(checkpoint, published_weights(backbone, head), head is None)
    return model


def _depth(checkpoint: Checkpoint) -> int:
    blocks = [0, 0, 0, 0]
    for name in checkpoint.arrays:
        if match := _BLOCK.fullmatch(name):
            stage, block = int(match[1]), int(match[2])
            blocks[stage - 1] = max(blocks[stage - 1], block + 1)
    for depth, published in STACKWISE_NUM_BLOCKS.items():
        if list(published) == blocks:
            return depth
    known = ", ".join(f"{list(b)} ({d})" for d, b in STACKWISE_NUM_BLOCKS.items())
    raise CheckpointError(
        f"The checkpoint is of no published RedNet; their stages have blocks {known}. "
        + received(path=str(checkpoint.path), blocks=blocks)
    )


def _backbone_arguments(checkpoint: Checkpoint, dtype: Any) -> dict[str, Any]:
    """The window of the stem's involution shows in the length of a bias."""
    bias = checkpoint.arrays.get(_STEM_BIAS, np.zeros(2 * 9))
    return {"stem_kernel_size": 7 if bias.size == 2 * 49 else 3, "dtype": dtype}


def _check_class(cls: Any, backbone: RedNetBackbone, checkpoint: Checkpoint) -> None:
    if hasattr(cls, "check_depth") and backbone.depth != cls.depth:
        raise CheckpointError(
            f"The checkpoint is a RedNet of depth {backbone.depth}, not {cls.depth}; "
            "load it with `RedNetImageClassifier.from_preset` or the class of its "
            f"depth. {received(path=str(checkpoint.path))}"
        )


def _head_arguments(checkpoint: Checkpoint, num_classes: int | None) -> dict[str, Any]:
    if num_classes is not None:
        return {"num_classes": num_classes}
    weight = checkpoint.arrays.get(_HEAD)
    if weight is None or weight.ndim != 2:
        raise CheckpointError(
            "The checkpoint has no head; say how many classes a new one has with "
            "`num_classes`, or load it with `RedNetBackbone.from_preset`. "
            + received(path=str(checkpoint.path))
        )
    names = checkpoint.class_names
    fits = names is not None and len(names) == len(weight)
    return {"num_classes": len(weight), "class_names": names if fits else None}


def _assign(checkpoint: Checkpoint, weights: dict[str, Any], headless: bool) -> None:
    arrays = {
        name: array
        for name, array in checkpoint.arrays.items()
        if not (headless and name.startswith("head."))
    }
    _compare(checkpoint, arrays, weights)
    for name, variable in weights.items():
        assign_published(variable, arrays[name])


def _compare(
    checkpoint: Checkpoint, arrays: Mapping[str, np.ndarray], weights: dict[str, Any]
) -> None:
    shapes = {name: published_shape(variable) for name, variable in weights.items()}
    wrong = [
        f"{name} {tuple(arrays[name].shape)}, not {shape}"
        for name, shape in shapes.items()
        if name in arrays and tuple(arrays[name].shape) != shape
    ]
    strange = [
        f"{name} {array.dtype}"
        for name, array in arrays.items()
        if name in shapes and array.dtype.kind not in "fV"
    ]
    faults = {
        "missing": [name for name in shapes if name not in arrays],
        "left over": [name for name in arrays if name not in shapes],
        "of another shape": wrong,
        "of another type than floating point": strange,
    }
    lines = [f"  {kind}: {', '.join(names)}" for kind, names in faults.items() if names]
    if lines:
        raise CheckpointError(
            "The arrays of the checkpoint are not those of this network.\n"
            + "\n".join(lines)
            + f"\n{received(path=str(checkpoint.path))}"
        )
