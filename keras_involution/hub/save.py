"""A model to a preset folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution.hub import _format
from keras_involution.hub._folder import complete_folder
from keras_involution.models import RedNetBackbone, RedNetImageConverter


def save_to_preset(model: keras.Model, folder: str | Path) -> None:
    """Writes a classifier or a backbone as a preset folder, complete or not at all.

    Args:
        model: `RedNetImageClassifier` or `RedNetBackbone`.
        folder: Path of the folder.

    Raises:
        ValueError: If `folder` is a file or holds other files than a preset, or the
            preprocessor is not a `RedNetImageConverter`.
    """
    backbone = getattr(model, "backbone", model)
    documents, weights = _contents(model, backbone)
    with complete_folder(folder) as draft:
        for name, data in documents.items():
            (draft / name).write_text(json.dumps(data, indent=4) + "\n", "utf-8")
        backbone.save_weights(draft / _format.BACKBONE_WEIGHTS_FILE)
        if weights:
            keras.saving.save_weights(
                model, draft / _format.TASK_WEIGHTS_FILE, objects_to_skip=[backbone]
            )


def _contents(
    model: keras.Model, backbone: RedNetBackbone
) -> tuple[dict[str, Any], bool]:
    """(file name -> JSON, whether there is a head with weights of its own)."""
    documents = {
        _format.CONFIG_FILE: _format.backbone_json(backbone),
        _format.METADATA_FILE: _format.metadata_json(model, backbone),
    }
    if model is backbone:
        return documents, False
    converter = model.preprocessor
    if not isinstance(converter, RedNetImageConverter):
        raise ValueError(
            "A preset keeps its preprocessing as data, so the preprocessor must be a "
            f"`RedNetImageConverter`. {received(preprocessor=converter)}"
        )
    documents[_format.TASK_FILE] = _format.task_json(model)
    documents[_format.PREPROCESSOR_FILE] = _format.preprocessor_json(converter)
    documents[_format.CONVERTER_FILE] = _format.converter_json(converter)
    return documents, True
