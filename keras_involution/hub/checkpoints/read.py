"""Reads the arrays of a checkpoint file under their published names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.hub._source import PresetError
from keras_involution.hub.checkpoints.budget import Contents, StoredArray
from keras_involution.hub.checkpoints.named_arrays import open_npz, open_safetensors
from keras_involution.hub.checkpoints.paddle_file import open_paddle
from keras_involution.hub.checkpoints.torch_file import open_torch

_READERS: dict[str, Callable[[Path], AbstractContextManager[Contents]]] = {
    ".pth": open_torch,
    ".pt": open_torch,
    ".pdparams": open_paddle,
    ".safetensors": open_safetensors,
    ".npz": open_npz,
}
_PADDLE = {"._mean": ".running_mean", "._variance": ".running_var"}


class CheckpointError(PresetError):
    """A checkpoint cannot be read, or belongs to another network."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a published checkpoint.

    Attributes:
        path: Path of the file.
        arrays: Dictionary of published name, without prefix -> NumPy array in the
            layout of PyTorch, such as (C_out, C_in, Kh, Kw) for a convolution.
        class_names: List of strings, the names of the classes, or `None` if the file
            does not contain them.
    """

    path: Path
    arrays: dict[str, np.ndarray]
    class_names: list[str] | None = None


@dataclass(frozen=True)
class OpenCheckpoint:
    """An open checkpoint whose arrays are read on demand.

    Attributes:
        path: Path of the file.
        arrays: Dictionary of published name, without prefix -> `StoredArray`.
        class_names: List of strings, the names of the classes, or `None` if the file
            does not contain them.
    """

    path: Path
    arrays: dict[str, StoredArray]
    class_names: list[str] | None = None


def is_checkpoint(path: str | Path) -> bool:
    """Whether `path` has the suffix of a checkpoint that `from_preset` can read."""
    return "://" not in str(path) and Path(path).suffix.lower() in _READERS


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads the arrays of a published checkpoint; no code in it is executed.

    Args:
        path: Path of a `.pth` or `.pt` file of PyTorch, a `.pdparams` file of Paddle, a
            `.safetensors` or `.npz` file.

    Returns:
        `Checkpoint`.

    Raises:
        CheckpointError: A `ValueError`, if the file cannot be read, is damaged, does
            not hold named arrays, or claims arrays larger than its size allows.

    Example:

    >>> import tempfile, pathlib, numpy as np
    >>> from keras_involution.hub import read_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "weights.npz"
    ...     np.savez(path, **{"module.backbone.stem.2.weight": np.ones(32, "float32")})
    ...     print(list(read_checkpoint(path).arrays))
    ['stem.2.weight']
    """
    with open_checkpoint(path) as opened:
        arrays = {name: array.read() for name, array in opened.arrays.items()}
        return Checkpoint(opened.path, arrays, opened.class_names)


@contextlib.contextmanager
def open_checkpoint(path: str | Path) -> Iterator[OpenCheckpoint]:
    """Opens a checkpoint like `read_checkpoint`, but reads its arrays on demand.

    Every failure in the block becomes a `CheckpointError`.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        kinds = ", ".join(_READERS)
        raise CheckpointError(
            f"There is no checkpoint with this name ({kinds}). "
            + received(path=str(path))
        )
    with reading(path, "The checkpoint", CheckpointError), reader(path) as contents:
        arrays = _by_published_name(contents.arrays)
        yield OpenCheckpoint(path, arrays, _class_names(contents.meta))


def _by_published_name(state: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    if not state:
        raise ValueError("it holds no arrays by name")
    of_paddle = any(name.endswith("._variance") for name in state)
    arrays: dict[str, StoredArray] = {}
    for given, array in state.items():
        name = _published_name(given)
        if name.endswith(".num_batches_tracked"):
            continue
        if name in arrays:
            raise ValueError(f"it has two arrays for `{name[:200]}`")
        transpose = of_paddle and name == "head.fc.weight"
        arrays[name] = array.transposed() if transpose else array
    return arrays


def _published_name(name: str) -> str:
    for prefix in ("module.", "backbone."):
        name = name.removeprefix(prefix)
    for paddle, torch in _PADDLE.items():
        if name.endswith(paddle):
            name = name.removesuffix(paddle) + torch
    return f"head.{name}" if name.startswith("fc.") else name


def _class_names(meta: Mapping[Any, Any]) -> list[str] | None:
    names = meta.get("CLASSES")
    if not isinstance(names, list | tuple) or not names:
        return None
    return list(names) if all(isinstance(name, str) for name in names) else None
