"""Fixtures of the integration tests."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import keras
import pytest

from tests.hub.conftest import classifier, environment, hub, preset, published, saved

__all__ = ["classifier", "environment", "hub", "preset", "published", "saved"]
NAME = "keras_involution.integrations.keras_hub"


def forget_adapter() -> None:
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def keras_hub():
    return pytest.importorskip("keras_hub", reason="keras-hub is an extra")


@contextlib.contextmanager
def imported_adapter() -> Iterator[ModuleType]:
    """Imports the adapter temporarily, so that other tests run without it."""
    from keras_hub.src.utils import preset_utils

    places = (
        keras.saving.get_custom_objects(),
        preset_utils.BUILTIN_PRESETS,
        preset_utils.BUILTIN_PRESETS_FOR_BACKBONE,
    )
    before = [
        {
            key: value.copy() if isinstance(value, dict) else value
            for key, value in p.items()
        }
        for p in places
    ]
    forget_adapter()
    try:
        yield importlib.import_module(NAME)
    finally:
        forget_adapter()
        for place, contents in zip(places, before):
            place.clear()
            place.update(contents)


@pytest.fixture(scope="module")
def adapter(keras_hub):
    with imported_adapter() as module:
        yield module
