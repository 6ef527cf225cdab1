"""A checkpoint file to arrays under their published names."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.hub._source import DAMAGE, PresetError
from keras_involution.hub.convert.array_file import read_npz, read_safetensors
from keras_involution.hub.convert.paddle_file import read_paddle
from keras_involution.hub.convert.torch_file import read_torch

_READERS: dict[str, Callable[[Path], Any]] = {
    ".pth": read_torch,
    ".pt": read_torch,
    ".pdparams": read_paddle,
    ".safetensors": read_safetensors,
    ".npz": read_npz,
}
_DAMAGE = (
    *DAMAGE, EOFError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile
)  # fmt: skip
_PADDLE = {"._mean": ".running_mean", "._variance": ".running_var"}


class CheckpointError(PresetError):
    """A checkpoint that cannot be read, or that is of another network."""


@dataclass(frozen=True)
class Checkpoint:
    """What a published file holds.

    Attributes:
        path: Where it lies.
        arrays: Published name, without prefix -> array, laid out as in PyTorch.
        class_names: Names of its classes, where the file tells them.
    """

    path: Path
    arrays: dict[str, np.ndarray]
    class_names: list[str] | None = None


def is_checkpoint(path: str | Path) -> bool:
    """Whether a name is that of a checkpoint file, of which `from_preset` can read."""
    return "://" not in str(path) and Path(path).suffix.lower() in _READERS


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The arrays of a published checkpoint; nothing in it is executed.

    Args:
        path: Path of a `.pth` or `.pt` file of PyTorch, a `.pdparams` file of Paddle, a
            `.safetensors` or `.npz` file.

    Returns:
        `Checkpoint`.

    Raises:
        ValueError: If the file cannot be read, is damaged, or holds anything else than
            arrays by name.

    Example:

    >>> import tempfile, pathlib, numpy as np
    >>> from keras_involution.hub import read_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "weights.npz"
    ...     np.savez(path, **{"module.backbone.stem.2.weight": np.ones(32, "float32")})
    ...     print(list(read_checkpoint(path).arrays))
    ['stem.2.weight']
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        kinds = ", ".join(_READERS)
        raise CheckpointError(
            f"There is no checkpoint of that name ({kinds}). {received(path=str(path))}"
        )
    try:
        found = reader(path)
        arrays = _by_published_name(_state_of(found))
    except CheckpointError:
        raise
    except _DAMAGE as error:
        what = str(error) or type(error).__name__
        raise CheckpointError(
            f"The checkpoint cannot be used: {what}. {received(path=str(path))}"
        ) from error
    return Checkpoint(path, arrays, _class_names(found))


def _state_of(found: Any) -> Mapping[str, Any]:
    """The arrays by name: the whole file, or its part `state_dict`."""
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise ValueError("it holds no arrays by name")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise ValueError(f"{name!r} is no array but {type(value).__name__}")
    return found


def _by_published_name(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    of_paddle = any(name.endswith("._variance") for name in state)
    arrays: dict[str, np.ndarray] = {}
    for given, array in state.items():
        name = _published_name(given)
        if name.endswith(".num_batches_tracked"):
            continue
        if name in arrays:
            raise ValueError(f"it has two arrays for `{name}`")
        arrays[name] = array.T if of_paddle and name == "head.fc.weight" else array
    return arrays


def _published_name(name: str) -> str:
    for prefix in ("module.", "backbone."):
        name = name.removeprefix(prefix)
    for paddle, torch in _PADDLE.items():
        if name.endswith(paddle):
            name = name.removesuffix(paddle) + torch
    return f"head.{name}" if name.startswith("fc.") else name


def _class_names(found: Any) -> list[str] | None:
    meta = found.get("meta") if isinstance(found, Mapping) else None
    names = meta.get("CLASSES") if isinstance(meta, Mapping) else None
    if not isinstance(names, list | tuple) or not names:
        return None
    return list(names) if all(isinstance(name, str) for name in names) else None
