"""Training checkpoints, from which a run resumes exactly, in one or several files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_involution._arguments import positive_integer, received
from keras_involution._files import atomic_write, npz_arrays, reading
from keras_involution.training.shards import (
    INDEX,
    joined_shards,
    remove_shards,
    write_shards,
)

if TYPE_CHECKING:
    from keras_involution.distribution import Distribution


def save_checkpoint(
    path: str | Path,
    model: keras.Model,
    progress: dict[str, Any],
    distribution: Distribution | None = None,
    *,
    shard_bytes: int | None = None,
) -> None:
    """Saves the weights, the optimizer, the random states and the progress of a run.

    If writing is interrupted, the previous checkpoint does not change. A run can be
    resumed on any number of devices.

    Args:
        path: Path of the file, `"*.npz"`.
        model: Compiled model whose optimizer is built.
        progress: Dictionary of JSON values.
        distribution: `Distribution` of the run. All processes must call this function;
            the first one writes, and all wait until the file is complete. `None` for a
            single process.
        shard_bytes: Integer, the largest size of a file; `None` for one file of any
            size. Larger checkpoints are written as shards `<path>.<8 digits>.001` and
            so on, and `path` becomes their index. The shards, concatenated, are the
            file that `None` writes.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If `shard_bytes` is so small that the index is larger than a shard.

    Example:

    >>> import keras, pathlib, tempfile
    >>> from keras_involution.training import load_checkpoint, save_checkpoint
    >>> model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "checkpoint.npz")
    ...     save_checkpoint(path, model, {"step": 3}, shard_bytes=2**15)
    ...     sorted(file.suffix for file in path.parent.iterdir())
    ...     load_checkpoint(path, model)
    ['.001', '.002', '.npz']
    {'step': 3}
    """
    if shard_bytes is not None:
        positive_integer(shard_bytes, "shard_bytes")
    whole = keras.ops.convert_to_numpy if distribution is None else distribution.whole
    arrays = {name: whole(v) for name, v in _variables(model).items()}
    arrays["progress"] = np.frombuffer(json.dumps(progress).encode(), "uint8")
    if distribution is None or distribution.is_main_process:
        _write(Path(path), arrays, shard_bytes)
    if distribution is not None:
        distribution.barrier()


def _write(path: Path, arrays: dict[str, np.ndarray], shard_bytes: int | None) -> None:
    plain: Any = {name: _plain(a) for name, a in arrays.items()}

    def write(file: Any) -> None:
        np.savez(file, **plain)

    if shard_bytes is not None:
        write_shards(path, shard_bytes, write)
        return
    with atomic_write(path, force=True) as draft, draft.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    remove_shards(path)


def load_checkpoint(path: str | Path, model: keras.Model) -> dict[str, Any]:
    """Loads a checkpoint into a model that is built and compiled like the saved one.

    Args:
        path: Path of the file. Shards must be in the same folder.
        model: Compiled model; its optimizer is built if necessary.

    Returns:
        Dictionary, the saved progress.

    Raises:
        ValueError: If the file or a shard is damaged, a shard is missing or belongs to
            another checkpoint, or the checkpoint belongs to another model.
    """
    with reading(path, "The checkpoint"):
        arrays = _read(Path(path))
        progress = json.loads(arrays.pop("progress").tobytes())
    variables = _variables(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise ValueError(
            "The checkpoint belongs to another model or optimizer. "
            + received(path=str(path))
        )
    for name, variable in variables.items():
        dtype = keras.backend.standardize_dtype(variable.dtype)
        variable.assign(keras.ops.convert_to_tensor(arrays[name], dtype=dtype))
    return progress


def _read(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
        arrays = npz_arrays(file)
    if set(arrays) != {INDEX}:
        return arrays
    with np.load(joined_shards(path, arrays[INDEX]), allow_pickle=False) as file:
        return npz_arrays(file)


def _variables(model: keras.Model) -> dict[str, Any]:
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    found = {f"model.{i}": v for i, v in enumerate(model.variables)}
    found.update({f"optimizer.{i}": v for i, v in enumerate(optimizer.variables)})
    return found


def _plain(array: np.ndarray) -> np.ndarray:
    """Converts bfloat16 to float32, because NumPy files do not support bfloat16."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
