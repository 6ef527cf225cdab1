"""The files of a preset folder, and the conversion between JSON and our objects.

The format is that of keras-hub: a task is registered as `keras_hub>ImageClassifier`
with our backbone, so keras-hub can read it. No class is deserialized by the name in a
file: only the few classes below are built, from validated values.
"""

from __future__ import annotations

import re
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution.hub import _quantized, _registry, _values
from keras_involution.hub._documents import short

CONFIG_FILE = "config.json"
TASK_FILE = "task.json"
PREPROCESSOR_FILE = "preprocessor.json"
CONVERTER_FILE = "image_converter.json"
METADATA_FILE = "metadata.json"
CARD_FILE = "README.md"
BACKBONE_WEIGHTS_FILE = "model.weights.h5"
SHARD_INDEX_FILE = "model.weights.json"
TASK_WEIGHTS_FILE = "task.weights.h5"
EMBEDDING_FILE = "embedding.json"
EMBEDDING_WEIGHTS_FILE = "embedding.weights.h5"
BACKBONE_FILES = frozenset(
    (CONFIG_FILE, METADATA_FILE, BACKBONE_WEIGHTS_FILE, SHARD_INDEX_FILE)
)
PRESET_FILES = BACKBONE_FILES | {
    TASK_FILE,
    PREPROCESSOR_FILE,
    CONVERTER_FILE,
    TASK_WEIGHTS_FILE,
    EMBEDDING_FILE,
    EMBEDDING_WEIGHTS_FILE,
}
_SHARD = re.compile(r"model_[0-9]+\.weights\.h5")

_HUB_MODULES = {
    "ImageClassifier": "keras_hub.src.models.image_classifier",
    "ImageClassifierPreprocessor": "keras_hub.src.models.image_classifier_preprocessor",
    "ImageConverter": "keras_hub.src.layers.preprocessing.image_converter",
}
_CONVERTER_CLASS = "RedNetImageConverter"
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


def is_shard(name: str) -> bool:
    """Whether `name` is that of a shard of the weights of a backbone."""
    return _SHARD.fullmatch(name) is not None


def is_preset_file(name: str) -> bool:
    """Whether `name` is that of a file of a preset, or of its model card."""
    return name in PRESET_FILES or is_shard(name) or name == CARD_FILE


def check(documents: dict[str, Any]) -> None:
    """Raises `ValueError` if the JSON of a preset could not be loaded again."""
    config = documents[CONFIG_FILE]
    checked_backbone(config)
    if TASK_FILE in documents:
        task_from_json(documents[TASK_FILE], "channels_last")
    _values.class_names(documents[METADATA_FILE]["class_names"])


def backbone_json(backbone: Any) -> dict[str, Any]:
    serialized = keras.saving.serialize_keras_object(backbone)
    for key in ("build_config", "compile_config"):
        serialized.pop(key, None)
    return serialized


def converter_json(converter: Any) -> dict[str, Any]:
    """The JSON of keras-hub's converter, which has no crop fraction."""
    config = converter.get_config()
    return _hub_object(
        "ImageConverter",
        {key: config[key] for key in (*_CONVERTER_ARGUMENTS, "dtype", "name")},
    )


def _own_converter_json(converter: Any) -> dict[str, Any]:
    """The JSON of our converter if there is a crop fraction, else of keras-hub's.

    keras-hub finds our class in the registry of Keras, as it finds our backbone.
    """
    found = converter_json(converter)
    if converter.crop_fraction == 1:
        return found
    config = {**found["config"], "crop_fraction": converter.crop_fraction}
    return {
        "module": "keras_involution.models.rednet_image_converter",
        "class_name": _CONVERTER_CLASS,
        "config": config,
        "registered_name": f"keras_involution>{_CONVERTER_CLASS}",
    }


def preprocessor_json(converter: Any) -> dict[str, Any]:
    config = {
        "name": "image_classifier_preprocessor",
        "image_converter": _own_converter_json(converter),
        "config_file": PREPROCESSOR_FILE,
    }
    return _hub_object("ImageClassifierPreprocessor", config)


def task_json(classifier: Any) -> dict[str, Any]:
    return _hub_object(
        "ImageClassifier",
        {
            "backbone": backbone_json(classifier.backbone),
            "preprocessor": classifier.preprocessor
            and preprocessor_json(classifier.preprocessor),
            "num_classes": classifier.num_classes,
            "pooling": classifier.pooling,
            "activation": _activation_name(classifier.activation),
            "dropout": classifier.dropout,
            "head_dtype": keras.dtype_policies.serialize(classifier.head_dtype),
            "name": classifier.name,
        },
    )


def _activation_name(activation: Any) -> str:
    name = getattr(activation, "__name__", "")
    if getattr(keras.activations, name, None) is not activation:
        raise ValueError(
            "A preset stores the name of the activation, so it must be an activation "
            "of Keras. " + received(activation=activation)
        )
    return name


def metadata_json(model: Any, backbone: Any) -> dict[str, Any]:
    class_names = getattr(model, "class_names", None)
    return {
        "keras_version": keras.version(),
        "parameter_count": backbone.count_params(),
        "tasks": ["ImageClassifier"],
        "class_names": class_names,
    }


def backbone_from_json(data: dict[str, Any], changes: dict[str, Any], cls: Any) -> Any:
    """Builds `cls` from a config.json; `changes` override the saved arguments."""
    saved = checked_backbone(data)
    if "dtype" in changes:
        dtype = _quantized.changed_backbone_policy(saved.get("dtype"), changes["dtype"])
        changes = {**changes, "dtype": dtype}
    return cls(**{**saved, **changes})


def checked_backbone(data: dict[str, Any]) -> dict[str, Any]:
    """The validated arguments of a RedNet in a config.json."""
    registered = data.get("registered_name")
    if registered != _BACKBONE_NAME:
        raise ValueError(f"it describes a {short(registered)}, not a RedNet")
    return _values.backbone_arguments(data.get("config"))


def converter_from_json(data: dict[str, Any] | None, data_format: str) -> Any:
    """Builds the converter from its JSON, or from that of a preprocessor."""
    if data is not None and _class_name(data) == "ImageClassifierPreprocessor":
        data = _config(data).get("image_converter")
    if data is None:
        return None
    if _class_name(data) not in ("ImageConverter", _CONVERTER_CLASS):
        raise ValueError(f"it prepares images with a {short(_class_name(data))}")
    arguments = _values.converter_arguments(data.get("config"))
    # A converter of keras-hub without scale and offset does not change the values.
    for key, neutral in (("scale", 1.0), ("offset", 0.0)):
        if arguments.get(key) is None:
            arguments[key] = neutral
    return _registry.converter_class()(data_format=data_format, **arguments)


def task_from_json(data: dict[str, Any], data_format: str) -> dict[str, Any]:
    """The arguments of a classifier in a task.json, without its backbone."""
    if _class_name(data) != "ImageClassifier":
        raise ValueError(f"it describes a {short(_class_name(data))}")
    config = _config(data)
    converter = converter_from_json(config.get("preprocessor"), data_format)
    return {**_values.task_arguments(config), "preprocessor": converter}


def _class_name(data: Any) -> Any:
    return data.get("class_name") if isinstance(data, dict) else data


def _config(data: dict[str, Any]) -> dict[str, Any]:
    config = data.get("config")
    if not isinstance(config, dict):
        raise ValueError(f"`config` must be an object, not {short(config)}")
    return config


def _hub_object(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": _HUB_MODULES[class_name],
        "class_name": class_name,
        "config": config,
        "registered_name": f"keras_hub>{class_name}",
    }
