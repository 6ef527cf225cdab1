"""Registers the built-in presets with keras-hub."""

from __future__ import annotations

from typing import Any

from keras_hub.layers import ImageConverter
from keras_hub.models import ImageClassifier, ImageClassifierPreprocessor

from keras_involution._builtin import PRESETS, folder_of, has_weights


def register_presets(backbone_cls: type) -> None:
    """Registers the built-in presets, if this version of keras-hub supports it."""
    presets = {name: _entry(name) for name in PRESETS}
    general = (ImageClassifier, ImageClassifierPreprocessor, ImageConverter)
    try:
        # A private function for keras-hub's own presets. Any release may remove it.
        from keras_hub.src.utils.preset_utils import register_presets as register

        for cls in (backbone_cls, *general):
            register(presets, cls)
    except (ImportError, AttributeError, TypeError):
        return


def _entry(name: str) -> dict[str, Any]:
    metadata = PRESETS[name]["metadata"]
    return {
        "metadata": {
            "description": metadata["description"],
            "params": metadata["parameters"],
            "path": "rednet",
        },
        # In spite of its name, any argument of `from_preset`.
        "kaggle_handle": _handle(name),
    }


def _handle(name: str) -> str:
    folder, handle = folder_of(name), PRESETS[name]["handle"]
    if folder is not None and (handle is None or has_weights(folder)):
        return str(folder)
    return str(handle)
