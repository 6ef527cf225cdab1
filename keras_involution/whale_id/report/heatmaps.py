"""Heat maps of photos, from arrays, an npz file or a folder of PNG files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._files import atomic_write, npz_arrays, reading
from keras_involution.visualization.overlay import overlay

SUFFIXES = (".npz",)


class Heatmaps:
    """Heat maps that are drawn over photos, by `image_id`.

    Args:
        source: Dictionary from `image_id` to an array: a map (h, w), which is drawn in
            color over the photo, or a finished image (h, w, 3) of bytes. Or an
            `.npz` file with these arrays, or a folder of files `<image_id>.png`.

    Raises:
        ValueError: If the file or folder does not exist, or the file is damaged.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id import Heatmaps
    >>> maps = Heatmaps({"1": np.eye(2)})
    >>> maps.image("1", np.zeros((4, 6, 3), "uint8")).shape
    (4, 6, 3)
    """

    def __init__(self, source: Mapping[str, np.ndarray] | str | Path) -> None:
        self._arrays: Mapping[str, np.ndarray] = {}
        self._folder: Path | None = None
        if isinstance(source, Mapping):
            self._arrays = source
        elif Path(source).is_dir():
            self._folder = Path(source)
        else:
            self._arrays = _read_npz(Path(source))

    def image(self, image_id: str, photo: np.ndarray) -> np.ndarray | None:
        """The heat map as an image of bytes, `None` if there is none.

        Args:
            image_id: String.
            photo: Array of bytes (h, w, 3).

        Returns:
            Array of bytes (h, w, 3).
        """
        if self._folder is not None:
            return _read_png(self._folder, image_id)
        if image_id not in self._arrays:
            return None
        values = np.asarray(self._arrays[image_id])
        if values.ndim == 2 and values.size:
            return overlay(photo, values)
        if values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8:
            return values
        raise ValueError(
            "A heat map must be (h, w), or an image (h, w, 3) of bytes. "
            f"{received(image_id=image_id, shape=values.shape)}"
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes the arrays to an `.npz` file.

        Args:
            path: File.
            force: Boolean, whether to replace an existing file.

        Raises:
            ValueError: If the file exists and `force` is false, or the name does not
                end in `.npz`.
        """
        # Not `np.savez`: there an image_id would be the name of an argument.
        with (
            atomic_write(path, force, SUFFIXES) as draft,
            zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, values in self._arrays.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.save(file, values, allow_pickle=False)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with (
        reading(path, "The heat maps", name="heatmaps"),
        np.load(path, allow_pickle=False) as file,
    ):
        return npz_arrays(file)


def _read_png(folder: Path, image_id: str) -> Any:
    from PIL import Image

    path = folder / f"{image_id}.png"
    # An id may be any text; its path must stay inside the folder.
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    with reading(path, "The heat map"), Image.open(path, formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))
