"""All that a run needs to go on as if nothing had happened, in one file."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_involution._arguments import received
from keras_involution._files import replaced_file

if TYPE_CHECKING:
    from keras_involution.distribution import Distribution


def save_checkpoint(
    path: str | Path,
    model: keras.Model,
    progress: dict[str, Any],
    distribution: Distribution | None = None,
) -> None:
    """Writes weights, random states, the optimizer and the progress of a run.

    The file appears complete or not at all: whatever interrupts the writing leaves
    the last one as it was. It says nothing of devices: the run goes on with any number
    of them.

    Args:
        path: Path of the file, "*.npz".
        model: Compiled model whose optimizer is built.
        progress: Dictionary of JSON values.
        distribution: `Distribution` of the run, whose processes all call this: the
            first one writes, and all go on when the file is complete. `None` for a
            process that runs alone.

    Raises:
        OSError: If the file cannot be written.
    """
    whole = keras.ops.convert_to_numpy if distribution is None else distribution.whole
    arrays = {name: whole(v) for name, v in _variables(model).items()}
    arrays["progress"] = np.frombuffer(json.dumps(progress).encode(), "uint8")
    if distribution is None or distribution.is_writer:
        _write(Path(path), arrays)
    if distribution is not None:
        distribution.barrier()


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with replaced_file(path, force=True) as draft, draft.open("wb") as file:
        plain: Any = {name: _plain(a) for name, a in arrays.items()}
        np.savez(file, **plain)
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: str | Path, model: keras.Model) -> dict[str, Any]:
    """Puts a checkpoint back into a model built and compiled as the saved one was.

    Args:
        path: Path of the file.
        model: Compiled model; its optimizer is built if need be.

    Returns:
        Dictionary, the progress that was saved.

    Raises:
        ValueError: If the file is damaged or belongs to another model.
    """
    try:
        with Path(path).open("rb") as data, np.load(data, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        progress = json.loads(arrays.pop("progress").tobytes())
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(
            f"The checkpoint is damaged: {error}. {received(path=str(path))}"
        ) from error
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


def _variables(model: keras.Model) -> dict[str, Any]:
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    found = {f"model.{i}": v for i, v in enumerate(model.variables)}
    found.update({f"optimizer.{i}": v for i, v in enumerate(optimizer.variables)})
    return found


def _plain(array: np.ndarray) -> np.ndarray:
    """NumPy files know no bfloat16."""
    return array.astype("float32") if array.dtype.name == "bfloat16" else array
