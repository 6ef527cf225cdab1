"""Heat maps at the size of an image: their alignment and their figure."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution import RedNetImageConverter, visualization
from keras_involution.visualization.image_heatmaps import seen_region
from tests.hub.networks import tiny_classifier

MODES = {
    "crop": {},
    "pad": {"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True},
    "stretch": {"crop_to_aspect_ratio": False},
}


def converter(mode: str, size=(24, 36), **kwargs) -> RedNetImageConverter:
    plain = {"scale": 1.0, "offset": 0.0, "data_format": "channels_last"}
    return RedNetImageConverter(size, **plain, **MODES[mode], **kwargs)


@pytest.mark.parametrize("sides", ((48, 50), (30, 91), (24, 36)))
@pytest.mark.parametrize("mode", MODES)
def test_the_region_is_what_the_converter_sees(mode, sides):
    """An image of its own coordinates shows where each pixel moves."""
    grid = np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij"), axis=-1)
    image = np.concatenate([grid, np.ones((*sides, 1))], axis=-1).astype("float32")
    seen = np.asarray(converter(mode)(image[None]))[0]
    top, left, height, width = seen_region(converter(mode), *sides)
    rows = top + (np.arange(24) + 0.5) * height / 24 - 0.5
    columns = left + (np.arange(36) + 0.5) * width / 36 - 0.5
    # The borders are repeated or mixed with padding.
    inner = (rows > 1) & (rows < sides[0] - 2), (columns > 1) & (columns < sides[1] - 2)
    assert inner[0].sum() > 8 and inner[1].sum() > 8
    part = seen[np.ix_(*inner)]
    np.testing.assert_allclose(
        part[..., 0], np.tile(rows[inner[0]][:, None], part.shape[1]), atol=0.02
    )
    np.testing.assert_allclose(
        part[..., 1], np.tile(columns[inner[1]], (part.shape[0], 1)), atol=0.02
    )


def test_maps_have_the_size_of_the_image_and_end_where_it_was_cut():
    model = tiny_classifier(preprocessor=converter("crop", (32, 32)))
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), "uint8")
    maps = visualization.image_heatmaps(model, image)
    mean = visualization.image_heatmaps(model, image, aggregate="mean")
    for name, groups in maps.items():
        assert groups.shape == (2, 40, 60) and mean[name].shape == (40, 60)
        np.testing.assert_allclose(groups.mean(axis=0), mean[name], rtol=1e-5)
        seen = ~np.isnan(mean[name])
        assert seen[:, 10:50].all() and not seen[:, :10].any()
        assert not seen[:, 50:].any()
        mixed = visualization.overlay(image, mean[name])
        np.testing.assert_array_equal(mixed[:, :10], image[:, :10])
        assert (mixed[:, 10:50] != image[:, 10:50]).any()


def test_maps_equal_those_of_the_prepared_image():
    model = tiny_classifier(preprocessor=converter("stretch", (32, 32)))
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), "uint8")
    maps = visualization.image_heatmaps(model, image)
    prepared = np.asarray(model.preprocessor(image[None]))
    for name, expected in visualization.kernel_heatmaps(model, prepared).items():
        np.testing.assert_allclose(maps[name], expected[0], rtol=1e-5, atol=1e-5)


def test_the_figure():
    image = np.full((20, 40, 3), 128, "uint8")
    maps = {"one": np.zeros((5, 20, 40)), "two": np.ones((2, 10, 20))}
    maps["one"][0, :, :20] = 1
    sheet = visualization.heatmap_grid(image, maps, groups=3, tile_width=40)
    assert sheet.shape == (2 * 46 + 14, 5 * 46 + 6, 3) and sheet.dtype == np.uint8
    assert (sheet[30, 20] == 128).all(), "the image as it is"
    first_group = sheet[20:40, 6 + 2 * 46 : 46 + 2 * 46].astype(int)
    assert first_group[:, :18].mean() > first_group[:, 22:].mean() + 30
    single = visualization.heatmap_grid(image, {"one": maps["one"][0]})
    assert single.shape[1] == 2 * 246 + 6


def test_bad_arguments():
    model = tiny_classifier()
    with pytest.raises(ValueError, match=r"\(H, W, 3\).*Received: shape=\(2, 2\)"):
        visualization.image_heatmaps(model, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="must have a `preprocessor`"):
        visualization.image_heatmaps(model.backbone, np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="must not be empty"):
        visualization.heatmap_grid(np.zeros((2, 2, 3)), {})
