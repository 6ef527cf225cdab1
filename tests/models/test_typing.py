"""The package as seen by type checkers, editors and pickle."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import keras_involution
from tests.marks import one_backend
from tests.test_public_api import PUBLIC

pytestmark = one_backend

ROOT = Path(keras_involution.__file__).parent.parent
DEPTHS = (26, 38, 50, 101, 152)
USE = """
import numpy as np
from keras_involution import RedNet26, RedNet50, RedNetBackbone
from keras_involution.layers import Involution2D

model: RedNet26 = RedNet26(num_classes=3, image_shape=(32, 32, 3))
loaded: RedNet50 = RedNet50.from_preset("folder", num_classes=10, dtype="float32")
depth: int = loaded.depth
backbone: RedNetBackbone = RedNetBackbone.from_depth(26, drop_path_rate=0.1)
layer: Involution2D = Involution2D(3, groups=2, strides=(2, 1))
for answers in model.classify([np.zeros((8, 8, 3), "uint8")], top=2):
    for name, probability in answers:
        print(name.upper(), probability + 1.0)
"""
MISUSE = """
import keras_involution

keras_involution.RedNet26(num_classes="ten")
keras_involution.layers.Involution2D(strides="large")
keras_involution.RedNet26.from_preset(3)
"""


def every_name() -> str:
    lines = [f"import {module}" for module in PUBLIC]
    names = [f"{module}.{name}" for module in PUBLIC for name in sorted(PUBLIC[module])]
    return "\n".join([*lines, "names: list[object] = [", *(f"    {n}," for n in names)])


@pytest.fixture(scope="module")
def checked(tmp_path_factory, request) -> str:
    """The output of `mypy --strict` on three user files, with the package installed."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "names.py").write_text(every_name() + "\n]\n", "utf-8")
    (folder / "use.py").write_text(USE, "utf-8")
    (folder / "misuse.py").write_text(MISUSE, "utf-8")
    cache = request.config.cache.mkdir("mypy_of_a_user")
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}"]
    result = subprocess.run(
        [*command, "names.py", "use.py", "misuse.py"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert not result.stderr
    return result.stdout


def test_the_package_is_typed_for_its_users(checked):
    lines = checked.splitlines()
    assert [line for line in lines if line.startswith(("names.py", "use.py"))] == []
    assert lines[-1].startswith("Found 3 errors in 1 file (checked 3 source files)")
    wrong = ("num_classes", "strides", "from_preset")
    for line, (number, name) in zip(lines, enumerate(wrong, 4)):
        assert line.startswith(f"misuse.py:{number}: error: Argument") and name in line


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_depth_is_an_ordinary_class(depth):
    cls = getattr(keras_involution, f"RedNet{depth}")
    source = inspect.getsource(cls)
    assert f"class RedNet{depth}(" in source and f"depth = {depth}" in source
    assert f"RedNet-{depth}" in cls.__doc__ and cls.__doc__ in source
    assert pickle.loads(pickle.dumps(cls)) is cls
