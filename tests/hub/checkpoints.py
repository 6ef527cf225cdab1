"""Checkpoint files in the published formats, and malicious ones."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np

from tests import published_weights

META = {"epoch": 130, "best": np.float64(78.35), "CLASSES": [str(i) for i in range(7)]}


def small_network(depth: int = 26, stem: int = 3, classes: int = 7) -> dict:
    """Published arrays with a small head."""
    arrays = published_weights.network(depth, stem)
    for name in ("head.fc.weight", "head.fc.bias"):
        arrays[name] = arrays[name][:classes]
    return arrays


def with_prefix(arrays: dict, prefix: str) -> dict:
    return {prefix + name: array for name, array in arrays.items()}


def bare(arrays: dict) -> dict:
    return {name.removeprefix("backbone."): array for name, array in arrays.items()}


def save_torch(path: Path, arrays: dict, meta=None, zipped: bool = True) -> Path:
    """Saves like `tools/publish_model.py` of mmcv, whose files are not zip archives."""
    import torch

    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    found = state if meta is None else {"meta": meta, "state_dict": state}
    torch.save(found, path, _use_new_zipfile_serialization=zipped)
    return path


def save_paddle(path: Path, arrays: dict) -> Path:
    """Saves with the names of Paddle, and its linear layer of inputs x outputs."""
    renamed = {"StructuredToParameterName@@": {"fc.weight": "linear_0.w_0"}}
    for name, array in bare(arrays).items():
        name = name.replace(".running_mean", "._mean")
        name = name.replace(".running_var", "._variance").removeprefix("head.")
        renamed[name] = np.ascontiguousarray(array.T) if name == "fc.weight" else array
    path.write_bytes(pickle.dumps(renamed, protocol=4))
    return path


class RunsCode:
    """Creates a file when an unsafe unpickler loads it."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)
