"""The built-in presets: names to the folders that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_involution
from keras_involution._arguments import received
from keras_involution.hub import _format
from keras_involution.hub._source import PresetError, Source, local_source
from keras_involution.models.rednet_presets import PRESETS

_PACKAGE = Path(keras_involution.__file__).parent
PLACES = (_PACKAGE / "_presets", _PACKAGE.parent / "presets")
"""Where the folders are: in an installed package, in a checkout."""


def folder_of(name: str) -> Path | None:
    """The folder of a built-in preset, or `None` where it did not come along."""
    for place in PLACES:
        if (place / name / _format.CONFIG_FILE).is_file():
            return place / name
    return None


def has_weights(folder: Path) -> bool:
    """Whether a preset folder holds weights, whole or in shards."""
    names = (_format.BACKBONE_WEIGHTS_FILE, _format.SHARD_INDEX_FILE)
    return any((folder / name).is_file() for name in names)


def builtin_source(name: str, load_weights: bool) -> Source | str:
    """The local source of a built-in preset, or else its handle on the Hub.

    Raises:
        ValueError: If weights are asked for that are published nowhere.
    """
    folder = folder_of(name)
    if folder is not None and (has_weights(folder) or not load_weights):
        return local_source(folder, name)
    handle: Any = PRESETS[name]["handle"]
    if handle is not None:
        return str(handle)
    raise PresetError(
        f"The weights of {name} are published nowhere at present: the links of the "
        "paper's authors are dead. If you have one of their checkpoint files, convert "
        "it with `keras-involution convert`; for the architecture with random weights "
        f"pass `load_weights=False`. {received(preset=name)}"
    )
