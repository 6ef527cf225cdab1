"""Preset folders of embedding networks, local and on the Hub.

The folder is a preset of the backbone, with its preprocessing, that
`RedNetBackbone.from_preset` can load. Two files are added: `embedding.json` contains
the arguments of the network, and `embedding.weights.h5` the weights after the backbone.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution.hub import _format, _quantized, load, save
from keras_involution.hub._folder import complete_folder
from keras_involution.hub._locate import locate
from keras_involution.hub._source import PresetError, Source
from keras_involution.hub._weights import load_weights as assign
from keras_involution.hub.card import model_card
from keras_involution.models import RedNetBackbone, RedNetImageConverter

_KEYS = ("levels", "p", "cells", "embedding_size", "dropout", "name")
_POLICY = "dense_dtype"
_LARGEST_SIDE, _LARGEST_EMBEDDING = 64, 2**16

_CARD_SECTION = """
## Which animal is this?

The repository contains an embedding network with the backbone above. It maps images to
vectors; the nearest vectors of known animals identify the animal.

```python
from keras_involution.whale_id import EmbeddingNetwork

network = EmbeddingNetwork.from_preset("hf://{repo_id}")
vectors = network.embed(images)  # (B, {size}), of length one
```
"""


def save_to_preset(network: Any, folder: str | Path, max_shard_size: Any) -> None:
    """`EmbeddingNetwork.save_to_preset`."""
    backbone, converter = network.backbone, network.preprocessor
    if not isinstance(backbone, RedNetBackbone):
        raise ValueError(
            "A preset stores the backbone as data, so it must be a `RedNetBackbone`. "
            + received(backbone=backbone.name)
        )
    if not isinstance(converter, RedNetImageConverter):
        raise ValueError(
            "A preset stores preprocessing as data, so the preprocessor must be a "
            f"`RedNetImageConverter`. {received(preprocessor=converter)}"
        )
    contents = save.documents(backbone)
    contents[_format.PREPROCESSOR_FILE] = _format.preprocessor_json(converter)
    contents[_format.CONVERTER_FILE] = _format.converter_json(converter)
    policy = keras.dtype_policies.serialize(network.dense_dtype)
    values = {key: getattr(network, key) for key in _KEYS}
    contents[_format.EMBEDDING_FILE] = {**values, _POLICY: policy}
    with complete_folder(folder, _format.PRESET_FILES) as draft:
        for name, data in contents.items():
            (draft / name).write_text(json.dumps(data, indent=4) + "\n", "utf-8")
        weights = draft / _format.BACKBONE_WEIGHTS_FILE
        save.save_weights_file(backbone, weights, max_shard_size)
        weights = draft / _format.EMBEDDING_WEIGHTS_FILE
        save.save_weights_file(network, weights, None, skip=backbone)


def from_preset(
    cls: Any,
    preset: str | Path,
    load_weights: bool,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | Path | None,
) -> Any:
    """`EmbeddingNetwork.from_preset`."""
    source = locate(preset, load_weights, revision, token, cache_dir)
    if not source.has(_format.EMBEDDING_FILE):
        raise PresetError(
            "The preset contains no embedding network; use "
            "`RedNetBackbone.from_preset` to load a backbone. "
            + received(preset=source.preset)
        )
    backbone = load.backbone_of(source, load_weights, {})
    with source.damage_reported(_format.PREPROCESSOR_FILE):
        saved = source.json(_format.PREPROCESSOR_FILE)
        converter = _format.converter_from_json(saved, backbone.data_format)
    with source.damage_reported(_format.EMBEDDING_FILE):
        arguments = _checked(source.json(_format.EMBEDDING_FILE))
        network = cls(backbone, preprocessor=converter, **arguments)
    if load_weights:
        _load_weights(network, source)
    return network


def card_of(
    network: Any, repo_id: str, facts: Any = None, tags: Any = (), license: Any = None
) -> str:
    """The card of the backbone, and how to load the embedding network."""
    text = model_card(network.backbone, repo_id, facts, tags, license)
    size = network.output_shape[-1]
    return text.rstrip() + "\n" + _CARD_SECTION.format(repo_id=repo_id, size=size)


def _load_weights(network: Any, source: Source) -> None:
    with source.damage_reported(_format.BACKBONE_WEIGHTS_FILE):
        assign(network.backbone, source.files(source.backbone_weights()))
    with source.damage_reported(_format.EMBEDDING_WEIGHTS_FILE):
        files = source.files([_format.EMBEDDING_WEIGHTS_FILE])
        assign(network, files, skip=network.backbone)


def _checked(data: Any) -> dict[str, Any]:
    """The arguments in an untrusted file, each checked against its limits."""
    if not isinstance(data, dict) or set(data) - {_POLICY} != set(_KEYS):
        raise ValueError(f"it must contain {_KEYS}")
    cells = data["cells"]
    if not (isinstance(cells, list) and len(cells) == 2):
        raise ValueError("`cells` must be two integers")
    for side in cells:
        _integer("cells", side, _LARGEST_SIDE)
    _integer("levels", data["levels"], _LARGEST_SIDE)
    if data["embedding_size"] is not None:
        _integer("embedding_size", data["embedding_size"], _LARGEST_EMBEDDING)
    for key, least, most in (("p", 0.0, 100.0), ("dropout", 0.0, 0.99)):
        number = data[key]
        plain = isinstance(number, int | float) and not isinstance(number, bool)
        if not (plain and math.isfinite(number) and least <= number <= most):
            raise ValueError(f"`{key}` must be a number from {least} to {most}")
    name = data["name"]
    if not (isinstance(name, str) and 0 < len(name) <= 100 and "/" not in name):
        raise ValueError("`name` must be a short string without a slash")
    found = {**data, "cells": tuple(cells)}
    if _POLICY in data:
        try:
            found[_POLICY] = _quantized.checked_policy(data[_POLICY], "neck_dense")
        except ValueError as error:
            raise ValueError(f"`{_POLICY}` {error}") from None
    return found


def _integer(key: str, value: Any, most: int) -> None:
    plain = isinstance(value, int) and not isinstance(value, bool)
    if not (plain and 1 <= value <= most):
        raise ValueError(f"`{key}` must contain integers from 1 to {most}")
