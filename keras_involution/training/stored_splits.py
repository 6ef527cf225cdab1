"""Splits that are stored as indices, in .npz files or PyTorch checkpoints."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.data.collection import ImageCollection
from keras_involution.data.splits import split_by_fractions
from keras_involution.hub.checkpoints.budget import (
    StoredArray,
    check_budget,
    file_bytes,
)
from keras_involution.hub.checkpoints.named_arrays import open_npz
from keras_involution.hub.checkpoints.stand_ins import UnknownObject
from keras_involution.hub.checkpoints.torch_file import open_torch_objects

MAX_INDICES = 2**24
"""Largest number of rows in a split; ImageNet-21k has 14 million images."""

Indices = tuple[np.ndarray, np.ndarray]
_HELD_OUT = ("val", "valid", "test")
_DEEPEST, _LONGEST = 8, 100
"""Limits of the search for indices: nesting of containers, elements of a list."""


def split_of_indices(
    collection: ImageCollection, path: str | Path, val_fraction: float, seed: int = 0
) -> list[str]:
    """Reads a split that is stored as image indices.

    The file holds two sets of row numbers. The held-out set becomes the test split, and
    validation images are taken from the training set.

    Args:
        collection: `ImageCollection` of all images, in the order of the indices. In
            torchvision, folders and files are sorted by name.
        path: Path of an .npz file with the arrays `train` and `val`, or of a .pth file
            written by `torch.save`. The .pth file holds a dictionary with these two
            keys, the two datasets of `random_split`, or an object with these datasets.
            No code in the file is executed.
        val_fraction: Float, fraction of the stored training set used for validation.
        seed: Integer.

    Returns:
        List of `"train"`, `"val"` or `"test"`, one for each image.

    Raises:
        ValueError: If the file cannot be read, or does not list every image once.

    Reference:
        https://github.com/thatblueboy/involution stores a split of Caltech-256 like
        this.
    """
    train, held_out = read_indices(path)
    count = len(collection.names)
    fits = len(train) + len(held_out) == count
    if not fits or set(train.tolist()) | set(held_out.tolist()) != set(range(count)):
        raise ValueError(
            f"The indices must list each of the {count} images of the dataset once. "
            + received(train=len(train), val=len(held_out))
        )
    official = np.array([""] * count, object)
    official[held_out] = "test"
    stored = dataclasses.replace(collection, official_splits=official.tolist())
    return split_by_fractions(stored, (1 - val_fraction, val_fraction, 0.0), seed)


def read_indices(path: str | Path) -> Indices:
    """Reads the training and the held-out row numbers of a stored split.

    As for checkpoints, the size of the file limits the size of its arrays.

    Raises:
        ValueError: If the file is damaged, does not hold two sets of indices, or
            declares arrays that are too large for its size.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".pth", ".pt"):
        raise ValueError(f"Expected an .npz or .pth file. {received(path=str(path))}")
    with reading(path, "The stored split"):
        return _from_npz(path) if suffix == ".npz" else _from_torch(path)


def _from_npz(path: Path) -> Indices:
    with open_npz(path) as contents:
        arrays = contents.arrays
        if not {"train", "val"} <= set(arrays):
            names = [name[:50] for name in arrays][:10]
            raise ValueError(f"it has the arrays {names} instead of `train` and `val`")
        for name in ("train", "val"):
            if not _is_whole(arrays[name]):
                raise ValueError(f"`{name}` does not hold integers")
        return _numbers(arrays["train"]), _numbers(arrays["val"])


def _from_torch(path: Path) -> Indices:
    with open_torch_objects(path) as (found, described):
        sets = list(_index_sets(found, described))
        held_out = [stored for name, stored in sets if _is_held_out(name)]
        train = [stored for name, stored in sets if "train" in name.lower()]
        if len(sets) == 2 and not (train and held_out):
            # `random_split` returns a list without names, the training set first.
            train, held_out = [sets[0][1]], [sets[1][1]]
        if len(train) != 1 or len(held_out) != 1:
            names = [name for name, _ in sets][:10]
            raise ValueError(
                "it must hold one set of training indices and one of validation "
                f"indices, but it holds {names}"
            )
        arrays = {"train": train[0], "val": held_out[0]}
        # In the file, a list takes less than eight bytes per number.
        check_budget(arrays, 8 * file_bytes(path))
        return _numbers(train[0]), _numbers(held_out[0])


def _index_sets(
    found: Any, described: Callable[[Any], StoredArray | None]
) -> Iterator[tuple[str, StoredArray]]:
    """Yields every set of indices with the shortest path of names to it.

    Each container is searched only once.
    """
    waiting, seen = deque([("", found, 0)]), {id(found)}
    while waiting:
        name, value, depth = waiting.popleft()
        stored = described(value) or _listed(value)
        if stored is not None and _is_whole(stored):
            if _is_index_name(name):
                yield name, stored
            continue
        if depth == _DEEPEST:
            continue
        for key, inner in _inside(value):
            if not isinstance(inner, str | bytes | int | float | None):
                if id(inner) in seen:
                    continue
                seen.add(id(inner))
                waiting.append((f"{name}.{key}", inner, depth + 1))


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, UnknownObject):
        value = value.state
    if isinstance(value, dict):
        yield from ((str(key)[:100], inner) for key, inner in value.items())
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value[:_LONGEST]):
            yield f"[{number}]", inner


def _listed(value: Any) -> StoredArray | None:
    """Wraps a list of integers as a stored array; `None` for anything else."""
    if not isinstance(value, list | tuple) or not value:
        return None
    if not all(type(number) is int for number in value):
        return None
    numbers: Sequence[int] = value
    dtype = np.dtype("int64")
    return StoredArray((len(value),), dtype, lambda: np.array(numbers, dtype))


def _is_whole(stored: StoredArray) -> bool:
    return stored.dtype.kind in "iu" and bool(stored.shape) and stored.nbytes > 0


def _numbers(stored: StoredArray) -> np.ndarray:
    """Reads the row numbers as an array (N,)."""
    count = stored.nbytes // stored.dtype.itemsize
    if count > MAX_INDICES:
        raise ValueError(f"it lists {count} rows; at most {MAX_INDICES} are allowed")
    return stored.read().astype("int64", copy=False).ravel()


def _is_index_name(name: str) -> bool:
    """Whether the path of an array ends in a name for indices.

    Attributes of a dataset do not count, because labels are integers too.
    """
    parts = name.lower().split(".")
    named = parts[-1] == "indices" or parts[-1].startswith("[")
    return ("dataset" not in parts) and (
        named or any(word in parts[-1] for word in ("train", *_HELD_OUT))
    )


def _is_held_out(name: str) -> bool:
    return any(word in name.lower() for word in _HELD_OUT)
