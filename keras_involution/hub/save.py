"""Saves a model as a preset folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_involution._arguments import received
from keras_involution.hub import _format
from keras_involution.hub._folder import complete_folder
from keras_involution.hub._registry import converter_class

MAX_SHARD_SIZE = 5.0
"""Size in GB above which the weights of a backbone are split into several files."""


def save_to_preset(
    model: keras.Model,
    folder: str | Path,
    max_shard_size: float | None = MAX_SHARD_SIZE,
) -> None:
    """Saves a classifier or a backbone as a preset folder.

    An interruption leaves no incomplete preset. If the folder already holds a
    classifier with the same backbone, saving the backbone keeps its head, because
    keras-hub saves the two separately. Any other head is removed.

    Args:
        model: `RedNetImageClassifier` or `RedNetBackbone`.
        folder: Path of the folder.
        max_shard_size: Size in GB above which the weights are split into several files;
            `None` for one file of any size.

    Raises:
        ValueError: If `folder` is a file or holds files other than a preset, or a
            preset cannot describe the model, because it has no head, another backbone,
            a custom activation, or a preprocessor other than `RedNetImageConverter`.
    """
    backbone = getattr(model, "backbone", model)
    contents = documents(model)
    replaced = _replaced_files(model, backbone, contents, Path(folder))
    with complete_folder(folder, replaced) as draft:
        for name, data in contents.items():
            (draft / name).write_text(json.dumps(data, indent=4) + "\n", "utf-8")
        file = draft / _format.BACKBONE_WEIGHTS_FILE
        save_weights_file(backbone, file, max_shard_size)
        if model is not backbone:
            file = draft / _format.TASK_WEIGHTS_FILE
            save_weights_file(model, file, None, skip=backbone)


def documents(model: Any) -> dict[str, Any]:
    """The JSON files of the preset of a model, checked to load again.

    Args:
        model: `RedNetImageClassifier` or `RedNetBackbone`.

    Returns:
        Dictionary of file name -> JSON.

    Raises:
        ValueError: If a preset cannot describe the model.
    """
    if not getattr(model, "include_top", True):
        raise ValueError(
            "A model without head cannot be saved as a preset; save `model.backbone`. "
            + received(model=model.name)
        )
    backbone = getattr(model, "backbone", model)
    found = {
        _format.CONFIG_FILE: _format.backbone_json(backbone),
        _format.METADATA_FILE: _format.metadata_json(model, backbone),
    }
    if model is not backbone:
        converter = model.preprocessor
        if converter is not None and not isinstance(converter, converter_class()):
            raise ValueError(
                "A preset stores its preprocessing as data, so the preprocessor must "
                f"be a `RedNetImageConverter`. {received(preprocessor=converter)}"
            )
        found[_format.TASK_FILE] = _format.task_json(model)
        if converter is not None:
            found[_format.PREPROCESSOR_FILE] = _format.preprocessor_json(converter)
            found[_format.CONVERTER_FILE] = _format.converter_json(converter)
    return _read_back(model, found)


def _read_back(model: Any, found: dict[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(json.dumps(found))
        _format.check(found)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"A preset cannot describe this model: {error}. "
            + received(model=model.name)
        ) from error
    return found


def _replaced_files(
    model: Any, backbone: Any, contents: dict[str, Any], folder: Path
) -> frozenset[str]:
    """The files in `folder` that are replaced or removed."""
    task = folder / _format.TASK_FILE
    if model is backbone and task.is_file():
        try:
            saved = json.loads(task.read_text("utf-8"))["config"]["backbone"]["config"]
        except (ValueError, LookupError, TypeError, OSError, RecursionError):
            saved = None
        if saved == contents[_format.CONFIG_FILE]["config"]:
            return _format.BACKBONE_FILES
    return _format.PRESET_FILES


def save_weights_file(
    model: keras.Model, file: Path, max_shard_size: float | None, skip: Any = None
) -> None:
    """Writes the weights of `model` without those of `skip`, in shards if large."""
    # A compiled model would also store its optimizer, which is larger than the network.
    # The file contains the name: keeping it gives the same bytes for the same model.
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    skipped = [] if skip is None else [skip]
    if max_shard_size is None or _bytes(model) <= max_shard_size * 2**30:
        keras.saving.save_weights(bare, file, objects_to_skip=skipped)
        return
    keras.saving.save_weights(
        bare,
        file.with_suffix(".json"),
        max_shard_size=max_shard_size,
        objects_to_skip=skipped,
    )


def _bytes(model: keras.Model) -> int:
    def size(name: str) -> int:
        return 2 if name == "bfloat16" else np.dtype(name).itemsize

    return sum(
        math.prod(weight.shape) * size(keras.backend.standardize_dtype(weight.dtype))
        for weight in model.weights
    )
