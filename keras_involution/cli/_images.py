"""Helpers for commands that take images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_involution._arguments import received

if TYPE_CHECKING:
    import numpy as np


def image_files(path: Path) -> list[Path]:
    """Returns the image files in a folder, or the file itself.

    Raises:
        ValueError: If the folder holds no image.
    """
    from keras_involution.data.image_folder import files_in

    files = files_in(path) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"The folder holds no image. {received(path=str(path))}")
    return files


def read(path: str | Path) -> np.ndarray:
    """Reads an image file as a uint8 array (H, W, 3), rotated as its EXIF data says.

    Raises:
        ValueError: If the file is not an image.
    """
    from keras_involution.data.images import read_image

    return read_image(path)


def print_answers(model: Any, path: str, pixels: np.ndarray, top: int = 5) -> None:
    click.echo(path)
    for name, probability in model.classify([pixels], top=top)[0]:
        click.echo(f"  {probability:6.1%}  {name}")
