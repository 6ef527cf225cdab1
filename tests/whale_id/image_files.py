"""Generated photos and tables for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from keras_involution.whale_id import from_wildlife

FINS = Path(__file__).parents[2] / "examples" / "data" / "dolphin_fins"


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = (24, 16)) -> Path:
    """Saves an image of noise; `size` is its width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), "uint8")
    Image.fromarray(noise).save(path)
    return path


def animals(folder: Path, counts: dict[str, int]) -> pd.DataFrame:
    """A table with image files; `counts` is the number of images of each animal."""
    rows = []
    for animal, count in counts.items():
        for n in range(count):
            name = f"{animal}_{n}"
            save_image(folder / f"{name}.png", seed=len(rows))
            rows.append((name, animal, f"{name}.png"))
    frame = pd.DataFrame(rows, columns=["image_id", "identity", "path"])
    return from_wildlife(frame, folder)


def listed(counts: dict[str, int], **columns: list) -> pd.DataFrame:
    """A table without images."""
    names = [(f"{a}_{n}", a) for a, count in counts.items() for n in range(count)]
    frame = pd.DataFrame(names, columns=["image_id", "identity"])
    return from_wildlife(frame.assign(path=frame["image_id"], **columns), "/images")
