"""`keras-involution export`: the file, its size, the difference from Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_involution.cli import main
from tests.export.networks import classifier

BACKEND = keras.config.backend()
NAME = {"tensorflow": "a.tflite", "jax": "a.stablehlo", "torch": "a.onnx"}[BACKEND]


def run(*arguments, status=0) -> str:
    result = CliRunner().invoke(main, ["export", *(str(a) for a in arguments)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def preset(tmp_path):
    model = classifier()
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def test_a_preset_is_written_and_compared(preset, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), "uint8")
    (tmp_path / "photos").mkdir()
    for name, image in (("a", pixels), ("b", pixels[::-1])):
        Image.fromarray(image).save(tmp_path / "photos" / f"{name}.png")
    sizes = ("--image-size", "32x40", "--batch-size", 2)
    text = run(preset, tmp_path / NAME, *sizes, "--check", tmp_path / "photos")
    written, difference, same = text.splitlines()[-3:]
    size = (tmp_path / NAME).stat().st_size
    assert written == f"{tmp_path / NAME}: {size / 1e6:.1f} MB"
    assert float(difference.removeprefix("largest difference to Keras: ")) < 1e-4
    assert same == "same class as Keras: 2 of 2 images"


def test_what_cannot_be_done_is_said(preset, tmp_path):
    wrong = {"tensorflow": "a.pt2", "jax": "a.onnx", "torch": "a.stablehlo"}[BACKEND]
    assert "under KERAS_BACKEND=" in run(preset, tmp_path / wrong, status=1)
    assert "end the path with" in run(preset, tmp_path / "a.doc", status=1)
    for size in ("big", "0", "1x2x3", "3x"):
        text = run(preset, tmp_path / NAME, "--image-size", size, status=2)
        assert "--image-size takes numbers or `any`" in text
    assert "'1x2'" in run(preset, tmp_path / NAME, "--batch-size", "1x2", status=2)
    assert [p.name for p in tmp_path.iterdir()] == ["preset"]


def test_kernels_of_8_bits(preset, tmp_path):
    (tmp_path / "none").mkdir()
    arguments = (preset, tmp_path / NAME, "--quantize", "int8", "--image-size", 32)
    if BACKEND == "tensorflow":
        text = run(*arguments, "--check", tmp_path / "none", status=1)
        assert "The folder holds no image." in text
        difference = run(*arguments).splitlines()[-1].rsplit(" ", 1)[-1]
        assert 1e-4 < float(difference) < 0.1
    else:
        assert "written on TensorFlow can be quantized" in run(*arguments, status=1)
