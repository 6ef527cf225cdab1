"""The embedding network of a preset, or one built on the backbone of a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_involution.hub import _format, load
from keras_involution.hub._locate import locate
from keras_involution.models import RedNetBackbone, RedNetImageConverter
from keras_involution.whale_id.model.embedding_network import EmbeddingNetwork
from keras_involution.whale_id.model.pooled import stretching_converter

_LEAST_SIDE = 96


def network_from_preset(preset: str | Path) -> Any:
    """The embedding network of a preset, or a network that pools its backbone.

    Args:
        preset: Name of a built-in preset, folder, or `"hf://user/name"`.

    Returns:
        `EmbeddingNetwork`. If the preset contains only a backbone, the network pools
        the last two stages, and images have at least 96 pixels: small presets give
        better features at this size than at their training size.

    Raises:
        ValueError: If the preset cannot be reached, is damaged, or has another type.
    """
    source = locate(preset, True, None, None, None)
    if source.has(_format.EMBEDDING_FILE):
        return EmbeddingNetwork.from_preset(preset)
    backbone = load.from_source(RedNetBackbone, source)
    if not source.has(_format.PREPROCESSOR_FILE):
        return EmbeddingNetwork(backbone)
    with source.damage_reported(_format.PREPROCESSOR_FILE):
        saved = source.json(_format.PREPROCESSOR_FILE)
        trained = _format.converter_from_json(saved, backbone.data_format)
    assert trained is not None
    size = trained.image_size or stretching_converter(backbone).image_size
    assert size is not None
    height, width = size
    converter = RedNetImageConverter(
        (max(height, _LEAST_SIDE), max(width, _LEAST_SIDE)),
        scale=trained.scale,
        offset=trained.offset,
        crop_to_aspect_ratio=False,
        antialias=True,
        data_format=backbone.data_format,
    )
    return EmbeddingNetwork(backbone, preprocessor=converter)
