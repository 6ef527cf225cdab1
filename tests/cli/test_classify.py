"""`keras-involution classify`: answers and heat maps of images."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_involution.cli import main
from tests.hub.networks import CLASS_NAMES, tiny_classifier
from tests.marks import one_backend

pytestmark = one_backend


def run(*arguments, status=0) -> str:
    result = CliRunner().invoke(main, ["classify", *(str(a) for a in arguments)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def preset(tmp_path):
    tiny_classifier().save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_answers(preset, photo):
    text = run(photo, photo, "--preset", preset, "--top", 2)
    best = tiny_classifier().classify([np.asarray(Image.open(photo))], top=2)[0]
    block = [str(photo), *(f"  {fraction:6.1%}  {name}" for name, fraction in best)]
    assert text.splitlines() == 2 * block
    assert {name for name, _ in best} <= set(CLASS_NAMES)


def test_a_turned_image_is_seen_upright(preset, photo, tmp_path):
    pixels = Image.open(photo)
    exif = Image.Exif()
    exif[0x0112] = 6  # Rotated by 90 degrees.
    pixels.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    upright = run(photo, "--preset", preset).splitlines()[1:]
    assert run(tmp_path / "turned.png", "--preset", preset).splitlines()[1:] == upright


def test_a_heat_map_is_drawn(preset, photo, tmp_path):
    text = run(photo, "--preset", preset, "--heatmap", tmp_path / "map.png")
    assert text.splitlines()[-1] == str(tmp_path / "map.png")
    sheet = np.asarray(Image.open(tmp_path / "map.png"))
    # Two stages, each with the image, the mean and two groups of 16 channels.
    assert sheet.shape == (2 * 186 + 14, 4 * 246 + 6, 3)


def test_what_cannot_be_done_is_said(preset, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    text = run(tmp_path / "broken.png", "--preset", preset, status=1)
    assert "not an image of a known kind" in text and "broken.png" in text
    Image.new("RGB", (40, 60)).save(tmp_path / "program.jpg", "EPS")
    text = run(tmp_path / "program.jpg", "--preset", preset, status=1)
    assert "not an image of a known kind" in text, "Pillow would start Ghostscript"
    assert "Received: preset=" in run(photo, "--preset", "nothing", status=1)
    several = [photo, photo, "--preset", preset, "--heatmap", tmp_path / "a.png"]
    assert "takes a single image" in run(*several, status=2)
    odd = [photo, "--preset", preset, "--heatmap", tmp_path / "map.txt"]
    assert ".png or .jpg" in run(*odd, status=2)
