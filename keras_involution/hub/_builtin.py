"""Finds the files of the built-in presets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_involution._arguments import received
from keras_involution._builtin import PRESETS, folder_of, has_weights
from keras_involution.hub import _format
from keras_involution.hub._cache import Cache
from keras_involution.hub._source import PresetError, Source, local_source
from keras_involution.hub.published import PublishedWeights
from keras_involution.hub.published_preset import Convert, published_source


def builtin_source(
    name: str,
    load_weights: bool,
    convert: Convert | None = None,
    mirror: str | None = None,
    cache_dir: str | Path | None = None,
) -> Source | str:
    """The local source of a built-in preset, or its handle on the Hub.

    The first that exists is used: weights that come with the package, a converted
    preset in the cache, the repository on the Hub, the published checkpoint.

    Raises:
        PresetError: If the checkpoint cannot be fetched or is not the expected file.
    """
    folder = folder_of(name)
    if folder is not None and has_weights(folder):
        return local_source(folder, name)
    cached = Cache.of(cache_dir).preset(name)
    if (cached / _format.CONFIG_FILE).is_file():
        return local_source(cached, name)
    if folder is not None and not load_weights:
        return local_source(folder, name)
    handle: Any = PRESETS[name]["handle"]
    if handle is not None:
        return str(handle)
    published = published_weights(name)
    if published is None or convert is None:
        raise PresetError(
            "The package does not contain the weights of the preset. "
            + received(preset=name)
        )
    return published_source(name, published, convert, mirror, cache_dir)


def published_weights(name: str) -> PublishedWeights | None:
    """The published checkpoint of a built-in preset, or `None`."""
    entry: Any = PRESETS[name]["published"]
    return None if entry is None else PublishedWeights(**entry)
