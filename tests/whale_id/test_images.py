"""Images: every format is read, damaged files are named, streams are repeatable."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from keras_involution.data.images import ImageError, read_image
from keras_involution.whale_id import check_table
from keras_involution.whale_id.pages import load_thumbnail
from keras_involution.whale_id.pipeline import (
    Photos,
    ordered_batches,
    training_batches,
)
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.image_files import listed

pytestmark = one_backend


def file_of(image: Image.Image, kind: str = "png", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient() -> np.ndarray:
    values = np.arange(40 * 60, dtype="float32").reshape(40, 60) / 2400 * 255
    return np.repeat(values[..., None], 3, axis=-1).astype("uint8")


@pytest.mark.parametrize("mode", ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"))
def test_every_mode_becomes_colour(mode):
    if mode == "I;16":
        image = Image.fromarray(gradient()[..., 0].astype("uint16") * 257)
    else:
        image = Image.fromarray(gradient()).convert(mode)
    kind = "tiff" if mode == "CMYK" else "png"
    x = read_image(file_of(image, kind))
    assert x.shape == (40, 60, 3) and x.dtype == "uint8"
    if mode in ("L", "RGB", "I;16", "CMYK"):
        np.testing.assert_allclose(x, gradient(), atol=1)


def halves(dtype: str, dark: float, light: float) -> Image.Image:
    """An image with one value in the left half and another in the right half."""
    values = np.full((8, 16), dark, dtype)
    values[:, 8:] = light
    return Image.fromarray(values)


def signed_16_bits() -> bytes:
    """A TIFF of int16, which Pillow reads but does not write."""
    values = np.asarray(halves("uint16", 0, 16384)).astype("<i2").tobytes()
    begin = 8 + 2 + 10 * 12 + 4
    tags = {256: 16, 257: 8, 258: 16, 259: 1, 262: 1, 273: begin, 277: 1, 278: 8}
    tags |= {279: len(values), 339: 2}
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, v) for tag, v in tags.items())
    return struct.pack("<2sHLH", b"II", 42, 8, 10) + directory + bytes(4) + values


@pytest.mark.parametrize(
    "data, expected",
    (
        (file_of(halves("float32", 0, 0.5), "tiff"), 128),
        (file_of(halves("float32", 0, 1), "tiff"), 255),
        (file_of(halves("uint16", 0, 32896), "tiff"), 128),
        (file_of(halves("uint16", 0, 200), "tiff"), 1),  # A dark image stays dark.
        (file_of(halves("uint16", 0, 200)), 1),
        (file_of(halves("int32", 0, 32896), "ppm"), 128),
        (signed_16_bits(), 128),
    ),
    ids=("half", "white", "16 bits", "dark", "dark PNG", "PGM", "signed"),
)
def test_many_bits_are_scaled_by_their_range(tmp_path, data, expected):
    x = read_image(data)
    assert (x[:, :8] == 0).all() and (x[:, 8:] == expected).all()
    (tmp_path / "a.tif").write_bytes(data)
    assert (load_thumbnail(str(tmp_path / "a.tif"), [0, 0, 16, 8]) == x).all()


@pytest.mark.parametrize(
    "image, reason",
    (
        (halves("float32", 0, 255), "from 0 to 255, which should be 0 to 1"),
        (halves("float32", -1, 1), "from -1 to 1, which"),
        (halves("float32", 0, np.nan), "nan, which"),
        (halves("int32", 0, 255), "32-bit integers"),
    ),
)
def test_numbers_without_a_meaning_are_named(tmp_path, image, reason):
    image.save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=rf"a\.tif: .*{reason}"):
        read_image(tmp_path / "a.tif")
    row = {"image_id": ["1"], "identity": ["A"], "path": [str(tmp_path / "a.tif")]}
    [problem] = check_table(pd.DataFrame(row))
    assert problem.kind == "undecodable" and re.search(reason, problem.what)


def test_what_is_transparent_is_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (read_image(file_of(image)) == 255).all()


def test_photos_stand_upright():
    image, exif = Image.fromarray(gradient()), Image.Exif()
    exif[0x0112] = 6  # The camera was rotated to the right.
    x = read_image(file_of(image, "jpeg", exif=exif, quality=98))
    assert x.shape == (60, 40, 3)
    np.testing.assert_allclose(x, np.rot90(gradient(), -1), atol=6)


def test_boxes_are_cut_out_with_their_margin():
    data = file_of(Image.fromarray(gradient()))
    part = read_image(data, bbox=[10, 5, 20, 10])
    np.testing.assert_array_equal(part, gradient()[5:15, 10:30])
    wider = read_image(data, bbox=[10, 5, 20, 10], box_margin=0.1)
    np.testing.assert_array_equal(wider, gradient()[4:16, 8:32])
    # A box that begins outside the image is clipped.
    part = read_image(data, bbox=[-10, 0, 20, 10])
    np.testing.assert_array_equal(part, gradient()[:10, :10])


def test_resizing_a_box_is_resizing_its_part():
    data = file_of(Image.fromarray(gradient()))
    part = Image.fromarray(gradient()[5:25, 10:50]).resize((16, 16), 2)
    x = read_image(data, (16, 16), bbox=[10, 5, 40, 20])
    np.testing.assert_allclose(x[2:-2, 2:-2], np.asarray(part)[2:-2, 2:-2], atol=2)


@pytest.mark.parametrize(
    "data, reason",
    (
        (b"", "it is not an image"),
        (b"no image", "it is not an image"),
        (file_of(Image.fromarray(gradient()), "jpeg")[:-400], "cannot be decoded"),
        (file_of(Image.new("1", (5000, 5000))), "25000000|pixels allowed"),
    ),
    ids=("empty", "text", "cut off", "too large"),
)
def test_what_cannot_be_read_is_refused(data, reason):
    with pytest.raises(ImageError, match=reason):
        read_image(data, (16, 16), max_pixels=1_000_000)


def test_a_decompression_bomb_is_never_unpacked():
    # Only the header of an image of a billion pixels: decoding would fail without data.
    bomb = file_of(Image.new("1", (8, 8)))
    bomb = bomb[:16] + (40000).to_bytes(4, "big") * 2 + bomb[24:]
    with pytest.raises(ImageError):
        read_image(bomb)


def test_nothing_goes_to_other_programs(tmp_path):
    data = file_of(Image.fromarray(gradient()), "eps")
    with pytest.raises(ImageError, match="not an image of a known kind"):
        read_image(data)
    for kind in ("jpeg", "mpo", "tiff", "webp", "bmp", "gif", "jpeg2000", "ppm"):
        assert read_image(file_of(Image.fromarray(gradient()), kind)).any()


def test_previews_of_raw_files_are_no_photos(tmp_path):
    path = tmp_path / "DSC_0001.NEF"
    path.write_bytes(file_of(Image.fromarray(gradient()), "tiff"))
    with pytest.raises(ImageError, match=r"DSC_0001\.NEF: the raw data of a cam"):
        read_image(path)
    table = listed({"A": 1}).assign(path=[str(path)])
    assert [p.what.endswith("JPEG or TIFF") for p in check_table(table)] == [True]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_in_pages_are_those_of_the_network(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(gradient()).save(tmp_path / "a.jpg", exif=exif, quality=98)
    path, box = tmp_path / "a.jpg", [3, 12, 30, 20]
    shown = load_thumbnail(str(path), box, 100)
    np.testing.assert_allclose(shown, read_image(path, bbox=box, box_margin=0.05))


def test_missing_files_and_boxes_outside_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        read_image(tmp_path / "gone.png")
    data = file_of(Image.fromarray(gradient()))
    with pytest.raises(ImageError, match=r"Received: bbox=\[70, 0, 5, 5\]"):
        read_image(data, bbox=[70, 0, 5, 5])


def rows_of(stream, batches: int) -> list[int]:
    return [int(row) for _ in range(batches) for row in next(stream)["row"]]


def stream_of(table, **arguments):
    identities = table["identity"].astype("category").cat.codes.to_numpy()
    photos = Photos(table, (16, 16), on_error="skip")
    return training_batches(photos, identities, 4, **arguments)


def test_an_epoch_has_every_picture_once(tmp_path):
    table = animals(tmp_path)
    rows = rows_of(stream_of(table, seed=3), 8)
    assert sorted(rows[:16]) == sorted(rows[16:]) == list(range(16))
    assert rows[:16] != rows[16:]
    assert rows == rows_of(stream_of(table, seed=3), 8)
    assert rows != rows_of(stream_of(table, seed=4), 8)


def test_balanced_epochs_show_every_animal_equally_often(tmp_path):
    table = animals(tmp_path, identities=3, each=6)
    rare = table[~table["path"].str.contains(r"0_[1-5]\.png")].reset_index(drop=True)
    rows = rows_of(stream_of(rare, sampling="balanced"), 3)
    shown = rare["identity"].iloc[rows].value_counts()
    assert shown.min() == shown.max() == 4


# A worker must import the backend, although its results are NumPy arrays.
@pytest.mark.parametrize("workers", (0, pytest.param(1, marks=one_backend)))
def test_a_stream_goes_on_in_the_middle_of_an_epoch(tmp_path, workers):
    table = animals(tmp_path)
    first = stream_of(table, augmentation="strong", seed=1, num_workers=workers)
    next(first)
    state = first.get_state()
    expected = [next(first) for _ in range(4)]
    second = stream_of(table, augmentation="strong", seed=1, num_workers=workers)
    second.set_state(state)
    for batch in expected:
        again = next(second)
        for name in batch:
            np.testing.assert_array_equal(again[name], batch[name])


def test_bad_pictures_are_left_out_by_name(tmp_path, caplog):
    table = animals(tmp_path)
    (tmp_path / "1_2.png").write_bytes(b"broken")
    photos = Photos(table, (16, 16), on_error="skip")
    seen = [row for rows, _ in ordered_batches(photos, 5) for row in rows]
    assert seen == [row for row in range(16) if row != 6]
    assert list(photos.skipped) == [6]
    assert "1_2.png" in caplog.text
    assert 6 not in rows_of(stream_of(table), 12)


def test_bad_pictures_stop_the_run_where_they_should(tmp_path):
    table = animals(tmp_path)
    (tmp_path / "1_2.png").unlink()
    with pytest.raises(ImageError, match=r"1_2\.png"):
        list(ordered_batches(Photos(table, (16, 16)), 5))


def test_a_table_without_a_single_picture_ends(tmp_path):
    table = animals(tmp_path, 1, 2).assign(path="nowhere")
    with pytest.raises(ImageError, match="No image"):
        next(stream_of(table))
