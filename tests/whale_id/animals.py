"""Generated photos of animals, each with a color and a few marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def animals(
    folder: Path, identities: int = 4, each: int = 4, side: int = 32
) -> pd.DataFrame:
    """Writes `each` PNG files of `identities` animals; the last is for "val"."""
    rows = []
    for identity in range(identities):
        for number in range(each):
            path = folder / f"{identity}_{number}.png"
            Image.fromarray(portrait(identity, number, side)).save(path)
            rows.append(
                {
                    "image_id": path.stem,
                    "identity": f"animal_{identity}",
                    "path": str(path),
                    "bbox": None,
                    "split": "val" if number == each - 1 > 0 else "train",
                }
            )
    return pd.DataFrame(rows)


def portrait(identity: int, number: int, side: int = 32) -> np.ndarray:
    """uint8 image (side, side, 3): the marks of an animal, and random noise."""
    marks = np.random.default_rng(identity).integers(0, 256, (4, 4, 3))
    cells = np.kron(marks, np.ones((side // 4, side // 4, 1)))
    noise = np.random.default_rng([identity, number]).normal(0, 12, cells.shape)
    return np.clip(cells + noise, 0, 255).astype("uint8")
