"""Images that a command was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np


def read(path: str) -> np.ndarray:
    """An image file as (H, W, 3) of bytes, upright.

    Raises:
        ValueError: If the file holds no image.
    """
    from keras_involution.data.images import read_image

    return read_image(path)


def print_answers(model: Any, path: str, pixels: np.ndarray, top: int = 5) -> None:
    click.echo(path)
    for name, probability in model.classify([pixels], top=top)[0]:
        click.echo(f"  {probability:6.1%}  {name}")
