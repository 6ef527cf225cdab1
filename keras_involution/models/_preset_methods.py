"""`from_preset` and `save_to_preset` as methods: the one door from models to `hub`.

`hub` stands above the models. These methods are the only place that reaches up, and
only when they are called, so that `import keras_involution` stays light.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, Self


class PresetMethods:
    """Reads and writes preset folders; mixed into the models."""

    @classmethod
    def from_preset(
        cls,
        preset: str | Path,
        *,
        load_weights: bool = True,
        dtype: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Builds the model that a preset describes.

        Args:
            preset: A built-in name, or a folder written by `save_to_preset` or by
                keras-hub.
            load_weights: Boolean; `False` builds the same architecture with random
                weights.
            dtype: dtype or `keras.DTypePolicy`; `None` takes the saved one.
            **kwargs: Arguments of the class that replace saved ones; for a classifier
                `num_classes`, which puts a new head on the saved backbone.

        Returns:
            The model.

        Raises:
            ValueError: If the preset is unknown, damaged, or of another architecture.
        """
        return _hub().from_preset(
            cls, preset, load_weights=load_weights, dtype=dtype, **kwargs
        )

    def save_to_preset(self, folder: str | Path) -> None:
        """Writes the model as a preset folder in the format of keras-hub.

        The folder appears complete or not at all; an existing preset is replaced,
        files beside it (a model card, say) are kept.

        Args:
            folder: Path of the folder.

        Raises:
            ValueError: If `folder` is a file, or a folder with other contents than a
                preset.
        """
        _hub().save_to_preset(self, folder)


def _hub() -> ModuleType:
    return importlib.import_module("keras_involution.hub")
