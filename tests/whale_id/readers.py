"""Every reader of untrusted files, with valid files to damage."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from keras_involution.data import read_split, write_split
from keras_involution.data.images import ImageError, read_image
from keras_involution.training import load_checkpoint, save_checkpoint
from keras_involution.training.stored_splits import read_indices
from keras_involution.whale_id import (
    Embeddings,
    Heatmaps,
    check_table,
    load_config,
    read_coco,
    read_decisions,
    read_table,
    write_table,
)
from keras_involution.whale_id.catalog import read_history
from keras_involution.whale_id.fusion import FusionCalibration
from keras_involution.whale_id.heads import load_centers
from tests.mutations import Reader
from tests.whale_id.calibrations import calibration_by_hand
from tests.whale_id.image_files import listed, save_image

TABLE = {"A": 2, "B": 1}


def readers(folder: Path) -> list[Reader]:
    """The readers. Their valid files are written to `folder`."""
    write = {
        "table": _tables,
        "coco": _coco,
        "boxes": _boxes,
        "embeddings": _embeddings,
        "calibration": _calibration,
        "head": _head,
        "heat maps": _heat_maps,
        "decisions": _decisions,
        "history": _history,
        "settings": _settings,
        "image": _images,
        "training checkpoint": _checkpoint,
        "stored split": _stored_split,
        "split": _split,
    }
    found = []
    for name, make in write.items():
        place = folder / name.replace(" ", "_")
        place.mkdir()
        read, samples = make(place)
        errors = (ImageError,) if name == "image" else (ValueError,)
        found.append(Reader(name, read, errors, tuple(samples)))
    return found


def _tables(folder: Path):
    table = listed(
        TABLE, bbox=[[0, 0, 5, 5], None, [1, 2, 3, 4]], species=["beluga"] * 3
    )
    paths = [folder / "t.csv", folder / "t.parquet"]
    for path in paths:
        write_table(table, path)
    return read_table, paths


def _coco(folder: Path):
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": 3, "name": "beluga"}],
        "annotations": [
            {
                "id": 7,
                "image_id": 1,
                "name": "A",
                "bbox": [1, 2, 3, 4],
                "category_id": 3,
            }
        ],
    }
    (folder / "c.json").write_text(json.dumps(content))
    return read_coco, [folder / "c.json"]


def _boxes(folder: Path):
    """Checks that any value in the column of boxes is reported without an error."""
    image = save_image(folder / "1.png")
    frame = {"image_id": ["1"], "identity": ["A"], "path": [str(image)]}
    pd.DataFrame(frame | {"bbox": ["[1, 2, 10, 11]"]}).to_csv(folder / "b.csv")
    return lambda path: check_table(read_table(path), workers=1), [folder / "b.csv"]


def _embeddings(folder: Path):
    embeddings = Embeddings(np.eye(3, 4), listed(TABLE))
    paths = [folder / f"e{suffix}" for suffix in (".npz", ".parquet", ".csv")]
    for path in paths:
        embeddings.save(path)
    return lambda path: Embeddings.load(path).rows([0]), paths


def _calibration(folder: Path):
    calibration_by_hand().save(folder / "c.json")

    def read(path: Path) -> None:
        found = FusionCalibration.load(path)
        found.answers(found.fused({"features": np.array([[0.9, 0.5]])}))

    return read, [folder / "c.json"]


def _head(folder: Path):
    centers = np.zeros((8, 2, 3), "float32")
    np.savez(folder / "h.npz", centers=centers, identities=np.array(["A", "B", "C"]))
    return lambda path: load_centers(path, 8), [folder / "h.npz"]


def _heat_maps(folder: Path):
    Heatmaps({"1": np.eye(4, dtype="float32")}).save(folder / "m.npz")
    return Heatmaps, [folder / "m.npz"]


def _decisions(folder: Path):
    text = "image_id,decision,identity,into,who,when\n1,accept,A,,Ann,2026\n"
    (folder / "d.csv").write_text(text + ",merge,A,B,,\n")
    return read_decisions, [folder / "d.csv"]


def _history(folder: Path):
    text = "step,when,who,decision,image_id,before,after\n1,2026,Ann,accept,1,A,B\n"
    (folder / "h.csv").write_text(text)
    return read_history, [folder / "h.csv"]


def _settings(folder: Path):
    (folder / "s.yaml").write_text("epochs: 3\nimage_size: 64\noptimizer: adamw\n")
    return load_config, [folder / "s.yaml"]


def _images(folder: Path):
    paths = [
        save_image(folder / f"1.{s}") for s in ("jpg", "png", "webp", "tif", "bmp")
    ]
    return lambda path: read_image(path, (8, 8)), paths


def _checkpoint(folder: Path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(), "mse")
    save_checkpoint(folder / "c.npz", model, {"step": 1})
    return lambda path: load_checkpoint(path, model), [folder / "c.npz"]


def _stored_split(folder: Path):
    import torch

    rows = {"train": np.arange(6), "val": np.arange(6, 9)}
    np.savez(folder / "s.npz", **rows)
    torch.save({n: torch.from_numpy(r) for n, r in rows.items()}, folder / "t.pth")
    subsets = [torch.utils.data.Subset("data", r.tolist()) for r in rows.values()]
    torch.save(subsets, folder / "o.pth")
    return read_indices, [folder / name for name in ("s.npz", "t.pth", "o.pth")]


def _split(folder: Path):
    names = ["a/0.jpg", "a/1.jpg", "b/0.jpg"]
    write_split(folder / "s.csv", names, ["train", "val", "test"])
    return lambda path: read_split(path, names), [folder / "s.csv"]
