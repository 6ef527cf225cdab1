"""The list of public names: a name that comes or goes must come or go here too."""

from __future__ import annotations

import types

import keras_involution

PUBLIC = {
    "keras_involution": {
        "RedNet26",
        "RedNet38",
        "RedNet50",
        "RedNet101",
        "RedNet152",
        "RedNetBackbone",
        "RedNetImageClassifier",
        "RedNetImageConverter",
    },
    "keras_involution.layers": {"Involution1D", "Involution2D", "Involution3D"},
    "keras_involution.ops": {"available_implementations", "involution"},
    "keras_involution.visualization": {"kernel_heatmaps", "overlay"},
    "keras_involution.hub": {
        "CardFacts",
        "Metric",
        "PresetError",
        "describe",
        "from_preset",
        "model_card",
        "pull_folder",
        "push_folder",
        "push_to_hub",
        "save_to_preset",
    },
    "keras_involution.models": {
        "RedNet26",
        "RedNet38",
        "RedNet50",
        "RedNet101",
        "RedNet152",
        "RedNetBackbone",
        "RedNetImageClassifier",
        "RedNetImageConverter",
    },
}


def public_names(module: types.ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


def test_public_names():
    for name, expected in PUBLIC.items():
        module = __import__(name, fromlist=["_"])
        assert public_names(module) == expected, name


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert keras_involution.__version__ == version("keras-involution")
