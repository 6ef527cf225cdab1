"""Reads weights files completely and compares them with the model before assigning.

The reader of Keras assigns while it reads, and only warns about some missing groups.
Here the model does not change unless the file matches it exactly. Only plain,
contiguous HDF5 datasets are read: no links, no virtual or external data, no filters.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import ml_dtypes
import numpy as np

from keras_involution._keras_private import flat_layers
from keras_involution.hub._documents import read_json, short

MAX_SHARDS = 4096
_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}\.weights\.h5")
_MAX_DEPTH = 12
_MAX_LINKS = 2**17


def load_weights(model: Any, files: Sequence[Path], skip: Any = None) -> None:
    """Loads the weights in `files` into `model`, either all or none.

    Args:
        model: Built model.
        files: Sequence of paths: one weights file, or all its shards.
        skip: Layer whose weights are in other files: the backbone of a classifier.

    Raises:
        ValueError: If names or shapes in the files do not match the model.
        OSError: If a file is truncated or not an HDF5 file.
    """
    layers = dict(saved_layers(model, skip))
    arrays = _read(
        files, {path: _own_variables(layer) for path, layer in layers.items()}
    )
    for path, layer in layers.items():
        if arrays[path]:
            layer.load_own_variables(arrays[path])


def saved_layers(model: Any, skip: Any = None) -> Iterator[tuple[str, Any]]:
    """Yields (path in a Keras weights file, layer) of a functional model's layers."""
    used: dict[str, int] = {}
    for layer in model.layers:
        base = _snake_case(type(layer).__name__)
        used[base] = used.get(base, -1) + 1
        name = f"{base}_{used[base]}" if used[base] else base
        if layer is not skip:
            yield from _with_sublayers(f"layers/{name}", layer)


def shard_names(index: Path) -> list[str]:
    """The names of the shards in a `model.weights.json`.

    Raises:
        ValueError: If the index is invalid, or a name is not a plain file name.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError("it has no `weight_map`")
    names: set[str] = set()
    for value in weight_map.values():
        for name in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not _SHARD_NAME.fullmatch(name):
                raise ValueError(f"{short(name)} is not the name of a shard")
            names.add(name)
    if len(names) > MAX_SHARDS:
        raise ValueError(f"it has more than {MAX_SHARDS} shards")
    return sorted(names)


def _with_sublayers(path: str, layer: Any) -> Iterator[tuple[str, Any]]:
    yield path, layer
    sublayers = flat_layers(layer, recursive=False)
    for name in sorted(dir(layer)) if sublayers else ():
        for sublayer in sublayers:
            if not name.startswith("_") and getattr(layer, name, None) is sublayer:
                yield from _with_sublayers(f"{path}/{name}", sublayer)


def _own_variables(layer: Any) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    layer.save_own_variables(variables)
    return variables


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _read(
    files: Sequence[Path], expected: dict[str, dict[str, Any]]
) -> dict[str, dict[str, np.ndarray]]:
    with contextlib.ExitStack() as stack:
        datasets: dict[str, h5py.Dataset] = {}
        for file in files:
            opened = stack.enter_context(h5py.File(file, "r"))
            for path, dataset in _datasets(opened):
                if path in datasets:
                    raise ValueError(f"it holds {short(path)} twice")
                datasets[path] = dataset
        _compare(datasets, expected)
        return {
            path: {key: _array(datasets[f"{path}/vars/{key}"]) for key in variables}
            for path, variables in expected.items()
        }


def _datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yields every dataset under `layers`. Optimizer state in the file is ignored."""
    groups = [("layers", file["layers"])] if _child(file, "layers") else []
    links = 0
    while groups:
        path, group = groups.pop()
        if not isinstance(group, h5py.Group):
            raise ValueError(f"{short(path)} is not a group")
        for name in group:
            links += 1
            inner = f"{path}/{name}"
            if links > _MAX_LINKS or inner.count("/") > _MAX_DEPTH:
                raise ValueError("it holds too many groups")
            _child(group, name)
            item = group[name]
            if isinstance(item, h5py.Dataset):
                yield inner, item
            else:
                groups.append((inner, item))


def _child(group: h5py.Group, name: str) -> bool:
    """Whether `group` has `name`. Raises `ValueError` unless it is a hard link."""
    link = group.get(name, getclass=True, getlink=True)
    if link not in (None, h5py.HardLink):
        raise ValueError(f"{short(name)} is a link to another place")
    return link is not None


def _compare(
    datasets: dict[str, h5py.Dataset], expected: dict[str, dict[str, Any]]
) -> None:
    wanted = {
        f"{path}/vars/{key}": (
            tuple(variable.shape),
            keras.backend.standardize_dtype(variable.dtype),
        )
        for path, variables in expected.items()
        for key, variable in variables.items()
    }
    found = {path for path in datasets if "/seed_generator/" not in path}
    if missing := sorted(wanted.keys() - found):
        raise ValueError(f"{len(missing)} weights are missing, {missing[0]} first")
    if others := sorted(found - wanted.keys()):
        raise ValueError(
            f"{len(others)} weights are not in the model, {short(others[0])} first"
        )
    for path, (shape, dtype) in wanted.items():
        if datasets[path].shape != shape:
            raise ValueError(
                f"{path} has shape {datasets[path].shape}; the config asks for {shape}"
            )
        _check_plain(path, datasets[path], dtype)


def _check_plain(path: str, dataset: h5py.Dataset, dtype: str) -> None:
    if dataset.is_virtual or dataset.external or dataset.chunks:
        raise ValueError(f"{path} is not stored as plain values")
    if dtype in ("int8", "uint8"):
        if dataset.dtype != dtype:
            raise ValueError(f"{path} does not hold {dtype} values")
    elif dataset.dtype.kind != "f" and not _is_bfloat16(dataset):
        raise ValueError(f"{path} does not hold floating-point values")


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    return dataset.dtype.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16"


def _array(dataset: h5py.Dataset) -> np.ndarray:
    if _is_bfloat16(dataset):
        return np.array(dataset, dtype=ml_dtypes.bfloat16)
    return np.asarray(dataset[()])
