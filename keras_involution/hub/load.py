"""A preset to a model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution.hub import _format
from keras_involution.models import RedNetBackbone
from keras_involution.models.rednet_presets import PRESETS


def from_preset(
    cls: type,
    preset: str | Path,
    *,
    load_weights: bool = True,
    dtype: Any = None,
    **kwargs: Any,
) -> Any:
    """Builds a `cls`, a classifier or a backbone, as a preset describes it.

    Args:
        cls: The class whose `from_preset` was called.
        preset: A built-in name or a folder.
        load_weights: Boolean; `False` leaves the weights random.
        dtype: dtype or `keras.DTypePolicy`; `None` takes the saved one.
        **kwargs: Arguments of `cls` in place of saved ones.

    Returns:
        The model.

    Raises:
        ValueError: If the preset is unknown, damaged, or of another architecture.
    """
    folder = _resolve(preset)
    with _damage_reported(folder, _format.CONFIG_FILE):
        config = _read_json(folder, _format.CONFIG_FILE)
        backbone = _format.backbone_from_json(config, dtype)
    if hasattr(cls, "check_depth"):
        _check_depth(cls, backbone, folder)
    if issubclass(cls, RedNetBackbone):
        model = backbone
    else:
        model = _classifier(cls, backbone, folder, kwargs)
    if load_weights:
        _load_weights(model, backbone, folder, new_head="num_classes" in kwargs)
    return model


def _resolve(preset: str | Path) -> Path:
    folder = Path(preset)
    if folder.is_dir():
        if not (folder / _format.CONFIG_FILE).is_file():
            raise ValueError(
                f"The folder is no preset: it has no {_format.CONFIG_FILE}. "
                + received(preset=str(preset))
            )
        return folder
    names = ", ".join(sorted(PRESETS)) or "none yet"
    raise ValueError(
        "There is no such preset: neither a folder of that name nor a built-in preset. "
        f"Built-in presets: {names}. {received(preset=str(preset))}"
    )


def _classifier(
    cls: type, backbone: RedNetBackbone, folder: Path, kwargs: dict[str, Any]
) -> Any:
    arguments: dict[str, Any] = {}
    if (folder / _format.TASK_FILE).is_file():
        with _damage_reported(folder, _format.TASK_FILE):
            task = _read_json(folder, _format.TASK_FILE)
            arguments = _format.task_arguments(task)
            arguments["preprocessor"] = _format.converter_from_json(
                task["config"].get("preprocessor"), backbone.data_format
            )
        arguments["class_names"] = _class_names(folder)
    elif "num_classes" not in kwargs:
        raise ValueError(
            "The preset holds a backbone without a head; say how many classes the new "
            f"head has with `num_classes`. {received(preset=str(folder))}"
        )
    if "num_classes" in kwargs:
        arguments["class_names"] = None
    arguments.update(kwargs)
    if kwargs:  # errors in what the caller gave are the caller's
        return cls(backbone=backbone, **arguments)
    with _damage_reported(folder, _format.TASK_FILE):
        return cls(backbone=backbone, **arguments)


def _class_names(folder: Path) -> list[str] | None:
    if not (folder / _format.METADATA_FILE).is_file():
        return None
    with _damage_reported(folder, _format.METADATA_FILE):
        return _read_json(folder, _format.METADATA_FILE).get("class_names")


def _load_weights(
    model: Any, backbone: RedNetBackbone, folder: Path, new_head: bool
) -> None:
    with _damage_reported(folder, _format.BACKBONE_WEIGHTS_FILE):
        backbone.load_weights(_existing(folder, _format.BACKBONE_WEIGHTS_FILE))
    if model is backbone or new_head:
        return
    with _damage_reported(folder, _format.TASK_WEIGHTS_FILE):
        keras.saving.load_weights(
            model,
            _existing(folder, _format.TASK_WEIGHTS_FILE),
            objects_to_skip=[backbone],
        )


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise ValueError("the file is missing")
    return folder / name


def _check_depth(cls: Any, backbone: RedNetBackbone, folder: Path) -> None:
    if backbone.depth != cls.depth:
        raise ValueError(
            f"The preset is a RedNet of depth {backbone.depth}, not {cls.depth}; load "
            f"it with `RedNetImageClassifier.from_preset` or the class of its depth. "
            + received(preset=str(folder))
        )


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    data = json.loads(_existing(folder, name).read_text("utf-8"))
    if not isinstance(data, dict):
        raise ValueError("it does not hold a JSON object")
    return data


@contextlib.contextmanager
def _damage_reported(folder: Path, name: str) -> Iterator[None]:
    """Turns whatever a damaged file causes into one error that names the file."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(
            f"The preset's {name} cannot be used: {error}. "
            + received(preset=str(folder))
        ) from error
