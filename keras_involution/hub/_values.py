"""Validates the types and sizes in the JSON of a preset before anything is built.

The limits are far above every published network and far below what would exhaust the
memory. They apply only to presets, not to networks built in Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from keras_involution.hub import _quantized
from keras_involution.hub._documents import short

MAX_STAGES = 8
# RedNet-152 has 50. Keras traverses a network recursively, with ten calls per block.
MAX_BLOCKS = 64
MAX_CHANNELS = 64
MAX_PARAMETERS = 2**28


def backbone_arguments(config: Any) -> dict[str, Any]:
    """The validated arguments of `RedNetBackbone` in a config.

    Raises:
        ValueError: If an argument is unknown, has the wrong type or is out of range.
    """
    arguments = _checked(config, _BACKBONE, strict=True)
    if sum(arguments.get("stackwise_num_blocks", ())) > MAX_BLOCKS:
        raise ValueError(f"`stackwise_num_blocks` sums to more than {MAX_BLOCKS}")
    first = arguments.get("data_format") == "channels_first"
    if _channels(arguments.get("image_shape"), first) > MAX_CHANNELS:
        raise ValueError(f"`image_shape` has more than {MAX_CHANNELS} channels")
    if parameters_at_least(arguments) > MAX_PARAMETERS:
        raise ValueError(f"it describes more than {MAX_PARAMETERS} parameters")
    return arguments


def task_arguments(config: Any) -> dict[str, Any]:
    """The validated arguments of the classifier that are plain values."""
    return _checked(config, _TASK)


def converter_arguments(config: Any) -> dict[str, Any]:
    """The validated arguments of the image converter."""
    return _checked(config, _CONVERTER)


def class_names(value: Any) -> list[str] | None:
    """The names of the classes, or `None`."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError(f"`class_names` must be a list of names, not {short(value)}")
    return value


def parameters_at_least(arguments: dict[str, Any]) -> int:
    """The number of convolution weights of a backbone, computed from its arguments."""
    filters = arguments.get("stackwise_num_filters", ())
    blocks = arguments.get("stackwise_num_blocks", ())
    if not filters:
        return 0
    stem, window = filters[0] // 2, arguments.get("stem_kernel_size", 3)
    total = 9 * stem * filters[0] + _operator(arguments, stem, window)
    channels, window = filters[0], arguments.get("kernel_size", 7)
    for size, count in zip(filters, blocks):
        total += 5 * channels * size + (count - 1) * 4 * size * size
        total += count * (_operator(arguments, size, window) + 4 * size * size)
        channels = 4 * size
    return total


def _channels(image_shape: tuple[int | None, ...] | None, first: bool) -> int:
    return 3 if image_shape is None else image_shape[0 if first else 2] or 1


def _operator(arguments: dict[str, Any], channels: int, window: int) -> int:
    if arguments.get("spatial_operator") == "convolution":
        return 9 * channels * channels
    reduced = channels // arguments.get("reduction_ratio", 4)
    groups = channels // arguments.get("group_channels", 16)
    return reduced * (channels + window**2 * groups)


def _checked(
    config: Any, fields: dict[str, Callable], strict: bool = False
) -> dict[str, Any]:
    if not isinstance(config, dict):
        raise ValueError(f"`config` must be an object, not {short(config)}")
    unknown = sorted(set(config) - set(fields)) if strict else ()
    if unknown:
        raise ValueError(f"it has unknown arguments: {short(unknown)}")
    arguments = {}
    for key in fields.keys() & config.keys():
        try:
            arguments[key] = fields[key](config[key])
        except (TypeError, ValueError) as error:
            raise ValueError(f"`{key}` {error}, not {short(config[key])}") from None
    return arguments


def _integer(most: int, least: int = 1) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"must be an integer from {least} to {most}")
        return value

    return check


def _stages(most: int) -> Callable[[Any], list[int]]:
    def check(value: Any) -> list[int]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_STAGES:
            raise ValueError(f"must be a list of 1 to {MAX_STAGES} integers")
        return [_integer(most)(entry) for entry in value]

    return check


def _one_of(*choices: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not any(value is choice or value == choice for choice in choices):
            raise ValueError(f"must be one of {choices}")
        return value

    return check


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 256 or "/" in value:
        raise ValueError("must be a name")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not math.isfinite(value) or abs(value) > 1e30:
        raise ValueError("must be a number of moderate size")
    return float(value)


def _rate(value: Any) -> float:
    if not 0 <= _number(value) < 1:
        raise ValueError("must be at least 0 and less than 1")
    return float(value)


def _fraction(value: Any) -> float:
    if not 0 < _number(value) <= 1:
        raise ValueError("must be above 0 and at most 1")
    return float(value)


def _numbers(value: Any) -> float | list[float]:
    if isinstance(value, list) and 1 <= len(value) <= 1024:
        return [_number(entry) for entry in value]
    return _number(value)


def _image_shape(value: Any) -> tuple[int | None, ...] | None:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("must be three sizes")
    return tuple(_optional(_integer(2**16))(side) for side in value)


def _image_size(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be two sizes")
    return tuple(_integer(2**14)(side) for side in value)


def _activation(value: Any) -> str:
    known = value if isinstance(value, str) and value.isidentifier() else ""
    if known in ("get", "serialize", "deserialize") or not callable(
        getattr(keras.activations, known, None)
    ):
        raise ValueError("must be the name of an activation of Keras")
    return value


_BACKBONE: dict[str, Callable] = {
    "stackwise_num_filters": _stages(2**16),
    "stackwise_num_blocks": _stages(MAX_BLOCKS),
    "stackwise_strides": _stages(64),
    "stem_kernel_size": _integer(63),
    "kernel_size": _integer(63),
    "group_channels": _integer(2**16),
    "reduction_ratio": _integer(2**16),
    "spatial_operator": _one_of("involution", "convolution"),
    "drop_path_rate": _rate,
    "image_shape": _optional(_image_shape),
    "data_format": _one_of("channels_last", "channels_first"),
    "name": _name,
    "trainable": _flag,
    "dtype": _optional(_quantized.checked_backbone_policy),
}
_TASK: dict[str, Callable] = {
    "num_classes": _integer(2**20),
    "pooling": _one_of("avg", "max"),
    "activation": _optional(_activation),
    "dropout": _rate,
    "head_dtype": _optional(_quantized.checked_policy),
    "name": _name,
}
_CONVERTER: dict[str, Callable] = {
    "image_size": _optional(_image_size),
    "scale": _optional(_numbers),
    "offset": _optional(_numbers),
    "crop_to_aspect_ratio": _flag,
    "pad_to_aspect_ratio": _flag,
    "interpolation": _one_of("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"),
    "antialias": _flag,
    "crop_fraction": _fraction,
}
