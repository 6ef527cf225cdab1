"""Small image datasets on disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"blue": (40, 60, 200), "green": (60, 200, 40), "red": (200, 60, 40)}


def colored_image(color: tuple[int, ...], number: int, side: int = 16) -> np.ndarray:
    noise = np.random.default_rng(number).normal(0, 25, (side, side, 3))
    return np.clip(np.array(color) + noise, 0, 255).astype("uint8")


def write_folder(folder: Path, each: int = 10, side: int = 16) -> Path:
    """Writes classes that a network can distinguish, and files that are not images."""
    for number, (name, color) in enumerate(COLORS.items()):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            image = Image.fromarray(colored_image(color, 100 * number + i, side))
            image.save(folder / name / f"{i:03d}.png")
    (folder / "red" / "notes.txt").write_text("no image")
    (folder / "red" / ".hidden.png").write_text("no image")
    (folder / "README").write_text("no class")
    return folder


def encoded(image: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()
