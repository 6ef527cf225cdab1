"""Photographs that a command was given."""

from __future__ import annotations

from typing import Any

import click
import numpy as np


def read(path: str) -> np.ndarray:
    """A photograph as people see it: (H, W, 3) of bytes, upright.

    Raises:
        ValueError: If the file holds no picture.
    """
    from PIL import Image, ImageOps

    from keras_involution._arguments import received

    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"The photograph cannot be read: {error}. {received(path=path)}"
        ) from error


def print_answers(model: Any, path: str, pixels: np.ndarray, top: int = 5) -> None:
    click.echo(path)
    for name, probability in model.classify([pixels], top=top)[0]:
        click.echo(f"  {probability:6.1%}  {name}")
