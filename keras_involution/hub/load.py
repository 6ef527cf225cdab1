"""Loads a model from a preset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_involution import _strict
from keras_involution._arguments import received
from keras_involution.hub import _format, _quantized, _values
from keras_involution.hub._locate import locate
from keras_involution.hub._registry import (
    backbone_class,
    classifier_class,
)
from keras_involution.hub._source import PresetError, Source
from keras_involution.hub._weights import load_weights as _assign
from keras_involution.hub.checkpoints import is_checkpoint
from keras_involution.hub.published import fetch_url, is_checkpoint_url
from keras_involution.hub.save import save_to_preset


def from_preset(
    cls: Any,
    preset: str | Path,
    *,
    num_classes: int | None = None,
    load_weights: bool = True,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    mirror: str | None = None,
    dtype: Any = None,
    image_shape: Sequence[int | None] | None = None,
    **kwargs: Any,
) -> Any:
    """Loads a classifier or a backbone from a preset.

    No code in a preset is executed. JSON files are read as plain values and weights as
    plain numbers, and both are checked before any weight is set.

    Args:
        cls: The class to load, such as `RedNetImageClassifier`.
        preset: A built-in name, a folder, a handle `"hf://user/name"`, or a published
            checkpoint as a file or an `https://` URL.
        **kwargs: Further arguments, as in `RedNetImageClassifier.from_preset`, and
            arguments of `cls` that override the saved ones.

    Returns:
        The model.

    Raises:
        ValueError: If the preset is unknown, unreachable, damaged, or of another
            architecture.
    """
    _strict.refuse_unknown(
        f"{cls.__name__}.from_preset",
        kwargs,
        (*_strict.arguments_of(cls.from_preset), *_strict.constructor_arguments(cls)),
    )
    if dtype is not None:
        try:
            _quantized.checked_name(getattr(dtype, "name", dtype))
        except ValueError as error:
            raise ValueError(f"`dtype` {error}. {received(dtype=dtype)}") from None
    if is_checkpoint_url(preset):
        preset = fetch_url(str(preset), cache_dir)
    if is_checkpoint(preset) and not Path(preset).is_dir():
        model = cls.from_checkpoint(
            preset,
            num_classes=num_classes,
            load_weights=load_weights,
            dtype=dtype,
            **kwargs,
        )
    else:
        source = locate(
            preset, load_weights, revision, token, cache_dir, mirror, converted
        )
        model = from_source(cls, source, num_classes, load_weights, dtype, **kwargs)
    if image_shape is None:
        return model
    # `image_shape` also sets the size of the preprocessor, unless one is passed.
    prepare = {"prepare": False} if "preprocessor" in kwargs else {}
    return model.with_image_shape(image_shape, **prepare)


def converted(name: str, checkpoint: Path, folder: Path) -> None:
    """Converts the checkpoint of a built-in name to a preset in `folder`."""
    architecture = locate(name, load_weights=False)
    model = from_source(classifier_class(), architecture, load_weights=False)
    model.load_checkpoint(checkpoint)
    save_to_preset(model, folder)


def from_source(
    cls: type,
    source: Source,
    num_classes: int | None = None,
    load_weights: bool = True,
    dtype: Any = None,
    **kwargs: Any,
) -> Any:
    """Loads a classifier or a backbone from the source of a preset."""
    changes = {} if dtype is None else {"dtype": dtype}
    if issubclass(cls, backbone_class()):
        if num_classes is not None:
            raise TypeError(
                f"A backbone has no classes. {received(num_classes=num_classes)}"
            )
        model = backbone = backbone_of(source, load_weights, {**kwargs, **changes}, cls)
    else:
        backbone = backbone_of(source, load_weights, changes)
        model = _classifier(cls, backbone, source, num_classes, dtype, kwargs)
    if load_weights:
        new_head = num_classes is not None or kwargs.get("include_top") is False
        _load_weights(model, backbone, source, new_head)
    return model


def backbone_of(
    source: Source,
    load_weights: bool,
    changes: dict[str, Any],
    cls: Any = None,
) -> Any:
    """Builds the backbone of a preset, a `cls`, without loading its weights."""
    with source.damage_reported(_format.CONFIG_FILE):
        config = source.json(_format.CONFIG_FILE)
    if load_weights:
        _check_sizes(config, source)
    with source.damage_reported(_format.CONFIG_FILE):
        return _format.backbone_from_json(config, changes, cls or backbone_class())


def _check_sizes(config: dict[str, Any], source: Source) -> None:
    """Raises `PresetError` if the weights files are too small for the config."""
    with source.damage_reported(_format.CONFIG_FILE):
        arguments = _format.checked_backbone(config)
    with source.damage_reported(_format.BACKBONE_WEIGHTS_FILE):
        names = source.backbone_weights()
        if missing := [name for name in names if not source.has(name)]:
            raise ValueError(f"{missing[0]} is missing")
        bytes_each = _quantized.bytes_at_least(arguments.get("dtype"))
        least = bytes_each * _values.parameters_at_least(arguments)
        size = sum(source.sizes[name] for name in names)
        if size < least:
            raise ValueError(
                f"it has {size} bytes, but the config needs more than {least}"
            )


def _classifier(
    cls: Any,
    backbone: Any,
    source: Source,
    num_classes: int | None,
    dtype: Any,
    kwargs: dict[str, Any],
) -> Any:
    if hasattr(cls, "check_depth"):
        _check_depth(cls, backbone, source)
    arguments: dict[str, Any] = {}
    if source.has(_format.TASK_FILE):
        arguments = _saved_arguments(backbone, source)
    elif num_classes is None and kwargs.get("include_top") is not False:
        raise PresetError(
            "The preset holds a backbone without a head. Pass `num_classes` for a new "
            f"head. {received(preset=source.preset)}"
        )
    new_head = num_classes is not None or kwargs.get("include_top") is False
    saved = arguments.get("head_dtype")
    arguments["head_dtype"] = _quantized.changed_policy(saved, dtype, new_head)
    if num_classes is not None:
        arguments.update(num_classes=num_classes, class_names=None)
    arguments.update(kwargs)
    if kwargs or num_classes is not None:  # Errors come from the caller's arguments.
        return cls(backbone=backbone, **arguments)
    with source.damage_reported(_format.TASK_FILE):
        return cls(backbone=backbone, **arguments)


def _saved_arguments(backbone: Any, source: Source) -> dict[str, Any]:
    with source.damage_reported(_format.TASK_FILE):
        task = source.json(_format.TASK_FILE)
        arguments = _format.task_from_json(task, backbone.data_format)
        features = 4 * backbone.stackwise_num_filters[-1]
        if arguments.get("num_classes", 1) * features > _values.MAX_PARAMETERS:
            raise ValueError("its head has too many parameters")
    if source.has(_format.METADATA_FILE):
        with source.damage_reported(_format.METADATA_FILE):
            names = source.json(_format.METADATA_FILE).get("class_names")
            arguments["class_names"] = _values.class_names(names)
    return arguments


def _load_weights(model: Any, backbone: Any, source: Source, new_head: bool) -> None:
    with source.damage_reported(_format.BACKBONE_WEIGHTS_FILE):
        _assign(backbone, source.files(source.backbone_weights()))
    if model is backbone or new_head or not source.has(_format.TASK_FILE):
        return
    with source.damage_reported(_format.TASK_WEIGHTS_FILE):
        _assign(model, source.files([_format.TASK_WEIGHTS_FILE]), skip=backbone)


def _check_depth(cls: Any, backbone: Any, source: Source) -> None:
    if backbone.depth != cls.depth:
        raise PresetError(
            f"The preset is a RedNet of depth {backbone.depth}, not {cls.depth}; load "
            f"it with `RedNetImageClassifier.from_preset` or the class for its depth. "
            + received(preset=source.preset)
        )
