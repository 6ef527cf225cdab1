"""A preset to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_involution._arguments import received
from keras_involution.hub import _format, _values
from keras_involution.hub._locate import locate
from keras_involution.hub._source import PresetError, Source
from keras_involution.hub._weights import load_weights as _assign
from keras_involution.hub.convert import from_checkpoint, is_checkpoint
from keras_involution.models import RedNetBackbone
from keras_involution.models.input_channels import (
    classifier_with_image_shape,
    with_image_shape,
)


def from_preset(
    cls: type,
    preset: str | Path,
    *,
    num_classes: int | None = None,
    load_weights: bool = True,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    dtype: Any = None,
    **kwargs: Any,
) -> Any:
    """Builds a `cls`, a classifier or a backbone, as a preset describes it.

    Nothing that a preset names is executed: its JSON files are read as plain values,
    its weights as plain numbers, and both are checked before a layer gets a weight.

    Args:
        cls: The class whose `from_preset` was called.
        preset: A built-in name, a folder, a handle `"hf://user/name"`, or the file of a
            published checkpoint.
        num_classes: Integer, puts a new head of so many classes on the backbone.
        load_weights: Boolean; `False` leaves the weights random.
        revision: Branch, tag or commit of a Hub repository; `None` is `main`.
        token: Hub token; `None` takes `HF_TOKEN` or the saved login, `False` none.
        cache_dir: Folder for downloads; `None` takes that of huggingface_hub.
        dtype: dtype or `keras.DTypePolicy`; `None` takes the saved one.
        **kwargs: Further arguments of `cls` in place of saved ones, and `image_shape`;
            the first convolution is adapted where its channels are others.

    Returns:
        The model.

    Raises:
        ValueError: If the preset is unknown, out of reach, damaged, or of another
            architecture.
    """
    shape = kwargs.pop("image_shape", None)
    if is_checkpoint(preset) and not Path(preset).is_dir():
        model = from_checkpoint(
            cls,
            preset,
            num_classes=num_classes,
            load_weights=load_weights,
            dtype=dtype,
            **kwargs,
        )
    else:
        source = locate(preset, load_weights, revision, token, cache_dir)
        model = from_source(cls, source, num_classes, load_weights, dtype, **kwargs)
    if shape is None:
        return model
    if isinstance(model, RedNetBackbone):
        return with_image_shape(model, shape)
    prepare = "preprocessor" not in kwargs
    return classifier_with_image_shape(model, shape, prepare)


def from_source(
    cls: type,
    source: Source,
    num_classes: int | None = None,
    load_weights: bool = True,
    dtype: Any = None,
    **kwargs: Any,
) -> Any:
    """`from_preset` of a preset that was found."""
    changes = {} if dtype is None else {"dtype": dtype}
    if issubclass(cls, RedNetBackbone):
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
    cls: type[RedNetBackbone] = RedNetBackbone,
) -> RedNetBackbone:
    """The backbone of a preset that was found, a `cls`, without its weights yet."""
    with source.damage_reported(_format.CONFIG_FILE):
        config = source.json(_format.CONFIG_FILE)
    if load_weights:
        _check_sizes(config, source)
    with source.damage_reported(_format.CONFIG_FILE):
        return _format.backbone_from_json(config, changes, cls)


def _check_sizes(config: dict[str, Any], source: Source) -> None:
    """Refuses to build a network that the weights files are too small to fill."""
    with source.damage_reported(_format.CONFIG_FILE):
        arguments = _format.checked_backbone(config)
    with source.damage_reported(_format.BACKBONE_WEIGHTS_FILE):
        names = source.backbone_weights()
        if missing := [name for name in names if not source.has(name)]:
            raise ValueError(f"{missing[0]} is missing")
        least = 2 * _values.parameters_at_least(arguments)
        size = sum(source.sizes[name] for name in names)
        if size < least:
            raise ValueError(
                f"it has {size} bytes where the config asks for more than {least}"
            )


def _classifier(
    cls: Any,
    backbone: RedNetBackbone,
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
            "The preset holds a backbone without a head; say how many classes the new "
            f"head has with `num_classes`. {received(preset=source.preset)}"
        )
    if num_classes is not None:
        arguments.update(num_classes=num_classes, class_names=None)
    if dtype is not None:
        arguments["head_dtype"] = None
    arguments.update(kwargs)
    if kwargs or num_classes is not None:  # errors there are the caller's
        return cls(backbone=backbone, **arguments)
    with source.damage_reported(_format.TASK_FILE):
        return cls(backbone=backbone, **arguments)


def _saved_arguments(backbone: RedNetBackbone, source: Source) -> dict[str, Any]:
    with source.damage_reported(_format.TASK_FILE):
        task = source.json(_format.TASK_FILE)
        arguments = _format.task_from_json(task, backbone.data_format)
        features = 4 * backbone.stackwise_num_filters[-1]
        if arguments.get("num_classes", 1) * features > _values.MAX_PARAMETERS:
            raise ValueError("its head is larger than a preset may be")
    if source.has(_format.METADATA_FILE):
        with source.damage_reported(_format.METADATA_FILE):
            names = source.json(_format.METADATA_FILE).get("class_names")
            arguments["class_names"] = _values.class_names(names)
    return arguments


def _load_weights(
    model: Any, backbone: RedNetBackbone, source: Source, new_head: bool
) -> None:
    with source.damage_reported(_format.BACKBONE_WEIGHTS_FILE):
        _assign(backbone, source.files(source.backbone_weights()))
    if model is backbone or new_head or not source.has(_format.TASK_FILE):
        return
    with source.damage_reported(_format.TASK_WEIGHTS_FILE):
        _assign(model, source.files([_format.TASK_WEIGHTS_FILE]), skip=backbone)


def _check_depth(cls: Any, backbone: RedNetBackbone, source: Source) -> None:
    if backbone.depth != cls.depth:
        raise PresetError(
            f"The preset is a RedNet of depth {backbone.depth}, not {cls.depth}; load "
            f"it with `RedNetImageClassifier.from_preset` or the class of its depth. "
            + received(preset=source.preset)
        )
