"""Every public docstring has its sections, and every example runs."""

from __future__ import annotations

import doctest
import importlib
import inspect

import keras
import pytest

from keras_involution import RedNetBackbone
from tests.marks import one_backend
from tests.test_imports import module_name, modules
from tests.test_public_api import PUBLIC

LAYER_SECTIONS = (
    "Args:",
    "Call arguments:",
    "Input shape:",
    "Output shape:",
    "Returns:",
    "Raises:",
    "Example:",
    "Reference:",
)
# Modules that need an extra; they are imported by their own tests.
OPTIONAL = ("_triton_programs", "integrations")


def module_names() -> list[str]:
    other = [b for b in ("tensorflow", "jax", "torch") if b != backend()]
    folders = tuple(f"keras_involution.ops.{b}" for b in other)
    # Lists files, since `pkgutil.walk_packages` imports packages, and the keras-hub
    # adapter would then be active in all other tests of the process.
    return [
        name
        for name in map(module_name, modules())
        if not name.startswith(folders)
        and not name.endswith("__main__")
        and not any(part in name for part in OPTIONAL)
    ]


def backend() -> str:
    return keras.config.backend()


def public_objects() -> list:
    return [
        getattr(importlib.import_module(module), name)
        for module, names in PUBLIC.items()
        for name in sorted(names)
    ]


# Its example counts the published network.
AS_PUBLISHED = "keras_involution.models.cost"


@pytest.fixture
def small_windows(request, monkeypatch):
    """Builds the published depths with small windows, which compile much faster."""
    if request.getfixturevalue("name") == AS_PUBLISHED:
        return
    from_depth = RedNetBackbone.from_depth

    def of_small_windows(cls, depth: int, **kwargs) -> RedNetBackbone:
        return from_depth(depth, kernel_size=3, **kwargs)

    monkeypatch.setattr(RedNetBackbone, "from_depth", classmethod(of_small_windows))


def examples() -> list:
    """The modules with examples; other tests build the published depths everywhere."""
    depths = "keras_involution.models.rednet_depths"
    return [
        pytest.param(name, marks=one_backend) if name == depths else name
        for name in module_names()
    ]


@pytest.mark.parametrize("name", examples())
def test_examples_run(name, small_windows):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


def test_the_example_check_can_fail():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    runner = doctest.DocTestRunner(verbose=False)
    assert runner.run(wrong, out=lambda text: None).failed == 1


@pytest.mark.parametrize(
    "thing", list(filter(callable, public_objects())), ids=lambda t: t.__name__
)
def test_docstrings_tell_all_in_order(thing):
    doc = inspect.getdoc(thing)
    assert doc
    if inspect.isclass(thing) and issubclass(thing, keras.layers.Layer):
        places = [doc.find(section) for section in LAYER_SECTIONS]
        assert -1 not in places, dict(zip(LAYER_SECTIONS, places))
        assert places == sorted(places)
    elif not inspect.isclass(thing):
        assert "Returns:" in doc or "Raises:" in doc
