"""Extracts keypoints from photos with XFeat or SIFT."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np
from PIL import Image

from keras_involution._arguments import one_of, positive_integer, received
from keras_involution.whale_id.local.keypoints import Keypoints
from keras_involution.whale_id.local.xfeat import CELL, STRIDE, pretrained_xfeat
from keras_involution.whale_id.unit import unit

MIDDLE = 0.7
"""Without a box or a mask, keypoints are in this middle fraction of each side."""

REGIONS = ("auto", "middle", "whole")
_LEAST_PROBABILITY = 0.05
_LARGEST_ENLARGEMENT = 4.0


class Extractor(Protocol):
    """Finds keypoints; a new method needs only these two members."""

    name: str

    def __call__(
        self,
        image: np.ndarray,
        bbox: Sequence[float] | None = None,
        foreground: np.ndarray | None = None,
    ) -> Keypoints:
        """Keypoints of a photo (H, W, 3) of bytes."""
        ...


class _Detector(abc.ABC):
    """Crops and resizes a photo, and selects keypoints on the animal.

    Args:
        side: Integer, the longest side in pixels of the image that is searched.
        keypoints: Integer, number of keypoints to keep.
        region: String, the region of keypoints in a photo without box or mask: the
            `"middle"` 70 % of each side, or the `"whole"` photo. `"auto"` uses the
            whole box if there is one, and otherwise the middle.
    """

    name = ""

    def __init__(
        self, side: int = 640, keypoints: int = 800, region: str = "auto"
    ) -> None:
        self.side = max(positive_integer(side, "side"), STRIDE)
        self.keypoints = positive_integer(keypoints, "keypoints")
        self.region = one_of(region, REGIONS, "region")

    def __call__(
        self,
        image: np.ndarray,
        bbox: Sequence[float] | None = None,
        foreground: np.ndarray | None = None,
    ) -> Keypoints:
        """Finds the keypoints of a photo.

        Args:
            image: Array (H, W, 3), bytes.
            bbox: [x, y, w, h] of the animal in pixels; `None` for the whole image.
            foreground: Boolean array (H, W), true on the animal; `None` if not known.

        Returns:
            `Keypoints`, in pixels of `image`. There may be none.
        """
        height, width = image.shape[:2]
        left, top, right, bottom = _pixels(bbox, width, height)
        crop = image[top:bottom, left:right]
        sides = _network_sides(crop.shape[1], crop.shape[0], self.side)
        resized = Image.fromarray(crop).resize(sides, Image.Resampling.BILINEAR)
        allowed = self._allowed(sides, bbox, foreground, (left, top, right, bottom))
        points, descriptors = self._find(np.asarray(resized), allowed)
        scale = np.array([crop.shape[1] / sides[0], crop.shape[0] / sides[1]])
        points = (points + 0.5) * scale - 0.5 + [left, top]
        return Keypoints(points.astype("float32"), descriptors, (width, height))

    def _allowed(
        self,
        sides: tuple[int, int],
        bbox: Sequence[float] | None,
        foreground: np.ndarray | None,
        box: tuple[int, int, int, int],
    ) -> np.ndarray:
        """Mask (H, W) of the resized image, true where keypoints are allowed."""
        width, height = sides
        if foreground is not None:
            part = Image.fromarray(np.asarray(foreground, bool)).crop(box)
            return np.asarray(part.resize(sides, Image.Resampling.NEAREST))
        allowed = np.ones((height, width), bool)
        if self.region == "middle" or (self.region == "auto" and bbox is None):
            x, y = (round(side * (1 - MIDDLE) / 2) for side in sides)
            allowed[:] = False
            allowed[y : height - y, x : width - x] = True
        return allowed

    @abc.abstractmethod
    def _find(
        self, image: np.ndarray, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points (M, 2) and descriptors (M, D) of the resized image."""


class XFeatExtractor(_Detector):
    """Keypoints and 64-dimensional descriptors of XFeat, without training.

    Args:
        side: Integer, the longest side in pixels of the image that is searched.
        keypoints: Integer, number of keypoints to keep.
        region: String, `"auto"`, `"middle"` or `"whole"`: the region of the keypoints.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import XFeatExtractor
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), "uint8")
    >>> XFeatExtractor(side=96, keypoints=5)(image).descriptors.shape
    (5, 64)
    """

    name = "xfeat"

    def __init__(
        self,
        side: int = 640,
        keypoints: int = 800,
        region: str = "auto",
    ) -> None:
        super().__init__(side, keypoints, region)
        self.network = pretrained_xfeat()

    def _find(
        self, image: np.ndarray, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        outputs = self.network.predict_on_batch(image[None].astype("float32"))
        heat, cells, reliability = _maps(outputs)
        rows, columns = _local_maxima(heat, allowed)
        sure = _sampled(reliability, rows, columns, "linear")[:, 0]
        best = np.argsort(-heat[rows, columns] * sure, kind="stable")
        best = best[: self.keypoints]
        rows, columns = rows[best], columns[best]
        descriptors = unit(_sampled(cells, rows, columns, "cubic"))
        return np.stack([columns, rows], axis=1), descriptors


class SiftExtractor(_Detector):
    """Keypoints and 128-dimensional descriptors of OpenCV's SIFT (RootSIFT).

    Args:
        side: Integer, the longest side in pixels of the image that is searched.
        keypoints: Integer, number of keypoints to keep.
        region: String, `"auto"`, `"middle"` or `"whole"`: the region of the keypoints.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import SiftExtractor
    >>> len(SiftExtractor()(np.zeros((64, 96, 3), "uint8")))
    0
    """

    name = "sift"

    def _find(
        self, image: np.ndarray, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        create = cv2.SIFT_create  # type: ignore[attr-defined]  # Its stubs lack it.
        sift = create(nfeatures=self.keypoints)
        found, descriptors = sift.detectAndCompute(gray, allowed.astype("uint8") * 255)
        if not found:
            return np.zeros((0, 2)), np.zeros((0, 128), "float32")
        order = np.argsort([-point.response for point in found], kind="stable")
        order = order[: self.keypoints]
        points = np.array([found[i].pt for i in order])
        weights = descriptors[order] / np.maximum(
            descriptors[order].sum(axis=1, keepdims=True), 1e-12
        )
        return points, unit(np.sqrt(weights))


EXTRACTORS = {"xfeat": XFeatExtractor, "sift": SiftExtractor}


def build_extractor(name: str, **options: Any) -> Extractor:
    """Builds an extractor by its name.

    Args:
        name: String, `"xfeat"` or `"sift"`.
        **options: Arguments of its class.

    Returns:
        `XFeatExtractor` or `SiftExtractor`.

    Raises:
        ValueError: If the name or an option is unknown.

    Example:

    >>> from keras_involution.whale_id.local import build_extractor
    >>> build_extractor("sift", keypoints=100).keypoints
    100
    """
    return EXTRACTORS[one_of(name, tuple(EXTRACTORS), "name")](**options)


def _pixels(
    bbox: Sequence[float] | None, width: int, height: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in whole pixels inside the photo."""
    if bbox is None:
        return 0, 0, width, height
    x, y, w, h = (float(value) for value in bbox)
    left, top = max(int(np.floor(x)), 0), max(int(np.floor(y)), 0)
    right, bottom = min(int(np.ceil(x + w)), width), min(int(np.ceil(y + h)), height)
    if right <= left or bottom <= top:
        raise ValueError(
            "The box contains no pixel of the photo. "
            + received(bbox=list(bbox), width=width, height=height)
        )
    return left, top, right, bottom


def _network_sides(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height for the network: multiples of 32, at most `side`.

    Small photos are enlarged up to four times.
    """
    longest = min(side, _LARGEST_ENLARGEMENT * max(width, height))
    scale = longest / max(width, height)
    sides = (max(STRIDE, round(s * scale / STRIDE) * STRIDE) for s in (width, height))
    wide, high = sides
    return wide, high


def _maps(outputs: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of a keypoint (H, W), descriptors and reliability per cell."""
    arrays = {k: keras.ops.convert_to_numpy(v)[0] for k, v in outputs.items()}
    logits = arrays["keypoints"].astype("float64")
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    pixels = (powers / powers.sum(axis=-1, keepdims=True))[..., :-1]
    rows, columns = pixels.shape[:2]
    unfolded = pixels.reshape(rows, columns, CELL, CELL).swapaxes(1, 2)
    heat = unfolded.reshape(rows * CELL, columns * CELL)
    return heat, arrays["features"], arrays["reliability"]


def _local_maxima(heat: np.ndarray, allowed: np.ndarray) -> tuple:
    """Rows and columns of probable and allowed local maxima in 5x5 pixels."""
    import cv2

    highest = cv2.dilate(heat, np.ones((5, 5), "uint8"))
    return np.nonzero((heat == highest) & (heat > _LEAST_PROBABILITY) & allowed)


def _sampled(
    maps: np.ndarray, rows: np.ndarray, columns: np.ndarray, method: str
) -> np.ndarray:
    """Values of maps (H / 8, W / 8, C) at pixels: (K, C)."""
    taps = [_taps(p, n, method) for p, n in zip((rows, columns), maps.shape)]
    values = np.zeros((len(rows), maps.shape[-1]), "float32")
    for y, y_weight in zip(*taps[0]):
        for x, x_weight in zip(*taps[1]):
            values += (y_weight * x_weight)[:, None] * maps[y, x]
    return values


def _taps(pixels: np.ndarray, count: int, method: str) -> tuple:
    """Neighbors along one axis, clipped to the map, and their weights."""
    places = (pixels + 0.5) / CELL - 0.5
    first = np.floor(places).astype(int)
    t = (places - first).astype("float32")
    offsets = (0, 1) if method == "linear" else (-1, 0, 1, 2)
    kernel = _linear if method == "linear" else _cubic
    weights = [kernel(np.abs(t - offset)) for offset in offsets]
    return [np.clip(first + o, 0, count - 1) for o in offsets], weights


def _linear(distance: np.ndarray) -> np.ndarray:
    return 1 - distance


def _cubic(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Keys' kernel, with the constant that PyTorch and OpenCV use."""
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
