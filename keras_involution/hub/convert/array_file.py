"""Files of plain arrays by name: `.safetensors` and `.npz`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

_MOST_BYTES = 2**31


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of `numpy.savez`; pickled ones are refused."""
    with zipfile.ZipFile(path) as archive:
        size = sum(record.file_size for record in archive.infolist())
    if size > _MOST_BYTES:
        raise ValueError(f"it unpacks to {size} bytes, more than any RedNet has")
    with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ValueError(
            'it needs safetensors: pip install "keras-involution[convert]"'
        ) from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
