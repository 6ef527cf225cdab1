"""The preset folder: its file names, and its JSON to and from our objects.

The format is that of keras-hub: a task is registered as `keras_hub>ImageClassifier`
around our backbone, so keras-hub reads it as it is. Nothing here deserialises a class
that a file names: only the few classes below are ever built, from checked values.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_involution.models import RedNetBackbone, RedNetImageConverter

CONFIG_FILE = "config.json"
TASK_FILE = "task.json"
PREPROCESSOR_FILE = "preprocessor.json"
CONVERTER_FILE = "image_converter.json"
METADATA_FILE = "metadata.json"
BACKBONE_WEIGHTS_FILE = "model.weights.h5"
TASK_WEIGHTS_FILE = "task.weights.h5"
PRESET_FILES = (
    CONFIG_FILE,
    TASK_FILE,
    PREPROCESSOR_FILE,
    CONVERTER_FILE,
    METADATA_FILE,
    BACKBONE_WEIGHTS_FILE,
    TASK_WEIGHTS_FILE,
)

_HUB_MODULES = {
    "ImageClassifier": "keras_hub.src.models.image_classifier",
    "ImageClassifierPreprocessor": "keras_hub.src.models.image_classifier_preprocessor",
    "ImageConverter": "keras_hub.src.layers.preprocessing.image_converter",
}
_BACKBONE_NAME = "keras_involution>RedNetBackbone"
_CONVERTER_ARGUMENTS = (
    "image_size",
    "scale",
    "offset",
    "crop_to_aspect_ratio",
    "pad_to_aspect_ratio",
    "interpolation",
    "antialias",
)
_TASK_ARGUMENTS = ("num_classes", "pooling", "activation", "dropout", "name")


def backbone_json(backbone: RedNetBackbone) -> dict[str, Any]:
    serialized = keras.saving.serialize_keras_object(backbone)
    for key in ("build_config", "compile_config"):
        serialized.pop(key, None)
    return serialized


def converter_json(converter: RedNetImageConverter) -> dict[str, Any]:
    config = converter.get_config()
    return _hub_object(
        "ImageConverter",
        {key: config[key] for key in (*_CONVERTER_ARGUMENTS, "dtype", "name")},
    )


def preprocessor_json(converter: RedNetImageConverter) -> dict[str, Any]:
    config = {
        "name": "image_classifier_preprocessor",
        "image_converter": converter_json(converter),
        "config_file": PREPROCESSOR_FILE,
    }
    return _hub_object("ImageClassifierPreprocessor", config)


def task_json(classifier: Any) -> dict[str, Any]:
    config = classifier.get_config()
    return _hub_object(
        "ImageClassifier",
        {
            "backbone": backbone_json(classifier.backbone),
            "preprocessor": preprocessor_json(classifier.preprocessor),
            **{key: config[key] for key in _TASK_ARGUMENTS},
        },
    )


def metadata_json(model: Any, backbone: RedNetBackbone) -> dict[str, Any]:
    class_names = getattr(model, "class_names", None)
    return {
        "keras_version": keras.version(),
        "parameter_count": backbone.count_params(),
        "tasks": ["ImageClassifier"],
        "class_names": class_names,
    }


def backbone_from_json(data: dict[str, Any], dtype: Any) -> RedNetBackbone:
    if data["registered_name"] != _BACKBONE_NAME:
        raise ValueError(f"it describes a {data['registered_name']!r}, not a RedNet")
    config = dict(data["config"])
    if dtype is not None:
        config["dtype"] = dtype
    return RedNetBackbone.from_config(config)


def converter_from_json(
    data: dict[str, Any] | None, data_format: str
) -> RedNetImageConverter | None:
    """The converter inside a preprocessor, or the converter itself."""
    if data is not None and data["class_name"] == "ImageClassifierPreprocessor":
        data = data["config"].get("image_converter")
    if data is None:
        return None
    config = data["config"]
    arguments = {key: config[key] for key in _CONVERTER_ARGUMENTS if key in config}
    # A converter of keras-hub without scale and offset leaves the values as they are.
    arguments["scale"] = 1.0 if config.get("scale") is None else config["scale"]
    arguments["offset"] = 0.0 if config.get("offset") is None else config["offset"]
    return RedNetImageConverter(data_format=data_format, **arguments)


def task_arguments(data: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the classifier that are plain values."""
    config = data["config"]
    return {key: config[key] for key in _TASK_ARGUMENTS if key in config}


def _hub_object(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": _HUB_MODULES[class_name],
        "class_name": class_name,
        "config": config,
        "registered_name": f"keras_hub>{class_name}",
    }
