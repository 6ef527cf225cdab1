"""Describes a preset from its small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_involution.hub import _format, _values
from keras_involution.hub._locate import locate
from keras_involution.hub._registry import backbone_class
from keras_involution.hub._source import Source


def describe(
    preset: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> dict[str, str]:
    """Describes a preset without building it or downloading its weights.

    Args:
        preset: A built-in name, a folder, or a handle `"hf://user/name"`.
        revision: Branch, tag or commit of a Hub repository; `None` is `main`.
        token: Hub token; `None` uses `HF_TOKEN` or the saved login.
        cache_dir: Folder for downloads.

    Returns:
        Dictionary of strings, such as `"network"` and `"weights"`.

    Raises:
        ValueError: If the preset is unknown, unreachable or damaged.

    Example:

    >>> from keras_involution.hub import describe
    >>> describe("rednet_26_imagenet")["network"]
    'RedNet-26'
    """
    source = locate(preset, False, revision, token, cache_dir)
    with source.damage_reported(_format.CONFIG_FILE):
        config = source.json(_format.CONFIG_FILE).get("config")
        arguments = _values.backbone_arguments(config)
    facts = {"preset": source.preset, "network": _network(arguments)}
    for key in ("stackwise_num_filters", "stackwise_num_blocks", "kernel_size"):
        facts[key] = str(arguments.get(key, "as published"))
    if source.has(_format.TASK_FILE):
        with source.damage_reported(_format.TASK_FILE):
            task = _format.task_from_json(
                source.json(_format.TASK_FILE), "channels_last"
            )
            facts["classes"] = str(task.get("num_classes"))
            converter = task["preprocessor"]
            facts["image size"] = str(converter and converter.image_size)
    facts["weights"] = _weights(source)
    if source.has(_format.METADATA_FILE):
        with source.damage_reported(_format.METADATA_FILE):
            origin = source.json(_format.METADATA_FILE).get("weights_origin")
            if isinstance(origin, dict):
                facts["weights origin"] = ", ".join(
                    f"{k} {v}" for k, v in origin.items()
                )
    return facts


def _network(arguments: dict[str, Any]) -> str:
    is_resnet = arguments.get("spatial_operator") == "convolution"
    blocks = tuple(arguments.get("stackwise_num_blocks", ()))
    depth = backbone_class().depth_of(blocks)
    name = "ResNet" if is_resnet else "RedNet"
    return name if depth is None else f"{name}-{depth}"


def _weights(source: Source) -> str:
    sizes = [size for name, size in source.sizes.items() if name.endswith(".h5")]
    return f"{sum(sizes):,} bytes in {len(sizes)} files" if sizes else "none"
