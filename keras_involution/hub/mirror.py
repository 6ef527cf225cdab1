"""Publishes built-in presets with their weights as repositories on the Hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._builtin import PRESETS
from keras_involution.hub._builtin import published_weights
from keras_involution.hub._cache import Cache
from keras_involution.hub._format import CARD_FILE, METADATA_FILE
from keras_involution.hub._registry import classifier_class
from keras_involution.hub._source import PresetError
from keras_involution.hub.checkpoints import read_checkpoint
from keras_involution.hub.load import from_preset
from keras_involution.hub.published import PublishedWeights, fetch_published
from keras_involution.hub.published_card import published_card
from keras_involution.hub.pull_folder import pull_folder


def write_mirror(
    name: str,
    repo_id: str,
    folder: str | Path,
    *,
    mirror: str | None = None,
    cache_dir: str | Path | None = None,
) -> None:
    """Writes a built-in preset with its published weights, ready for the Hub.

    The card states the origin, hash and license of the weights, and how and by whom
    their accuracy was measured.

    Args:
        name: String, a built-in name with published weights.
        repo_id: String, "user/name", the repository to publish to.
        folder: Path of the folder to write.
        mirror: String, as in `from_preset`.
        cache_dir: Folder for downloads.

    Raises:
        PresetError: If the weights cannot be fetched, or the folder holds files other
            than a preset.
    """
    checked_name(name)
    from_preset(classifier_class(), name, mirror=mirror, cache_dir=cache_dir)
    pull_folder(name, folder, cache_dir=cache_dir)
    model = from_preset(classifier_class(), folder)
    metadata = json.loads((Path(folder) / METADATA_FILE).read_text("utf-8"))
    facts = {**PRESETS[name]["metadata"], **PRESETS[name]}
    card = published_card(model, name, facts, metadata["weights_origin"], repo_id)
    (Path(folder) / CARD_FILE).write_text(card, "utf-8")


def checked_name(name: str) -> PublishedWeights:
    """The published weights of a built-in name.

    Raises:
        PresetError: If the name is unknown, or its weights come with the package.
    """
    published = published_weights(name) if name in PRESETS else None
    if published is None:
        names = [n for n, entry in PRESETS.items() if entry["published"]]
        raise PresetError(
            f"The presets with published weights are {', '.join(names)}. "
            + received(preset=name)
        )
    return published


def cross_check(
    name: str, *, mirror: str | None = None, cache_dir: str | Path | None = None
) -> dict[str, float]:
    """Compares the two independent conversions of the same weights, array by array.

    Args:
        name: String, a built-in name with published weights.
        mirror: String, as in `from_preset`; it must have both files.
        cache_dir: Folder for downloads.

    Returns:
        Dictionary of array name -> largest absolute difference.

    Raises:
        PresetError: If a file cannot be fetched, or names or shapes of arrays differ.
    """
    first = checked_name(name)
    second = PublishedWeights(
        first.second_url or first.url, first.file_bytes, first.source, first.license
    )
    cache = Cache.of(cache_dir)
    with cache.locked(f"{name}.cross_check"):
        one, other = (
            read_checkpoint(fetch_published(place, weights, cache, mirror).path).arrays
            for place, weights in (
                (f"{name}.first", first),
                (f"{name}.second", second),
            )
        )
    _compare_names(name, one, other)
    return {
        key: float(np.abs(array.astype("float64") - other[key]).max())
        for key, array in one.items()
    }


def _compare_names(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    shapes = [{key: a.shape for key, a in arrays.items()} for arrays in (one, other)]
    different = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))
    if different:
        raise PresetError(
            f"The two sources differ in {len(different)} names or shapes, "
            f"{different[0]} first. {received(preset=name)}"
        )
