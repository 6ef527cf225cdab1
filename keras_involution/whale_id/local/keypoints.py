"""Keypoints of photos, and arrays for the keypoints of a whole collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.whale_id.embeddings.ragged import RaggedArray

SCALE = 127.0
"""Descriptors have length one; in int8 a value of 1 is stored as 127."""

FIELDS = ("points", "descriptors", "sizes")


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of one photo, best first.

    Args:
        points: Array (K, 2), x and y in pixels of the upright photo.
        descriptors: Array (K, D), each of length one.
        size: Width and height of the photo.
    """

    points: np.ndarray
    descriptors: np.ndarray
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class LocalFeatures:
    """Keypoints of N photos in arrays that can be stored with embeddings.

    With 800 keypoints of 64 values, a photo needs 58 kB, and 1,000 photos 58 MB.

    Args:
        points: `RaggedArray` of N arrays (K, 2), float32.
        descriptors: `RaggedArray` of N arrays (K, D), int8.
        sizes: Array (N, 2), width and height of each photo.

    Raises:
        ValueError: If the shapes do not match.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.local import Keypoints, LocalFeatures
    >>> one = Keypoints(np.ones((1, 2)), np.eye(1, 64), (640, 480))
    >>> features = LocalFeatures.pack([one, one])
    >>> len(features), len(features[1])
    (2, 1)
    """

    points: RaggedArray
    descriptors: RaggedArray
    sizes: np.ndarray

    def __post_init__(self) -> None:
        ragged = (self.points, self.descriptors)
        fit = all(isinstance(array, RaggedArray) for array in ragged)
        fit = fit and self.points.values.shape[1:] == (2,)
        fit = fit and self.descriptors.values.ndim == 2
        fit = fit and np.shape(self.sizes) == (len(self.points), 2)
        if not fit or not np.array_equal(self.points.offsets, self.descriptors.offsets):
            shapes = {name: _shape(getattr(self, name)) for name in FIELDS}
            raise ValueError(
                "Local features need points (K, 2) and descriptors (K, D) of N "
                f"photos, and sizes (N, 2). {received(**shapes)}"
            )

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, row: int) -> Keypoints:
        descriptors = self.descriptors[row].astype("float32") / SCALE
        width, height = (int(side) for side in self.sizes[row])
        return Keypoints(np.asarray(self.points[row]), descriptors, (width, height))

    def __iter__(self) -> Iterator[Keypoints]:
        return (self[row] for row in range(len(self)))

    def arrays(self) -> dict[str, np.ndarray | RaggedArray]:
        """The arrays by name, each with one row per photo."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def pack(cls, photos: Sequence[Keypoints]) -> LocalFeatures:
        """Packs the keypoints of N photos.

        Args:
            photos: Sequence of at least one `Keypoints`.

        Returns:
            `LocalFeatures`.

        Raises:
            ValueError: If there are none, or the descriptors have different sizes.
        """
        photos = list(photos)
        widths = sorted({p.descriptors.shape[-1] for p in photos})
        if len(widths) != 1:
            raise ValueError(
                "All photos need descriptors of the same extractor. "
                f"{received(photos=len(photos), widths=widths)}"
            )
        rounded = [np.rint(p.descriptors * SCALE).astype("int8") for p in photos]
        points = [np.asarray(p.points, "float32").reshape(-1, 2) for p in photos]
        sizes = np.array([p.size for p in photos], "int32").reshape(-1, 2)
        return cls(RaggedArray.of(points), RaggedArray.of(rounded), sizes)


def _shape(array: Any) -> Any:
    return array.values.shape if isinstance(array, RaggedArray) else np.shape(array)
