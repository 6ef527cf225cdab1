"""Wraps datasets so that their images are preprocessed batch by batch."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_involution._typing import Tensor

Prepare = Callable[[Any], Any]


class Preparation:
    """Preprocesses images and returns already preprocessed tensors unchanged.

    Images have values from 0 to 255. An integer tensor is always a batch of images. A
    floating-point tensor is a batch of images if it has no negative value and its
    maximum exceeds the largest output of the preprocessor, which is 2.64 for the mean
    and standard deviation of ImageNet.

    Args:
        preprocessor: Layer that converts images to inputs of the network.
    """

    def __init__(self, preprocessor: Any) -> None:
        self.preprocessor = preprocessor
        self.largest = _largest_output(preprocessor)

    def __call__(self, inputs: Any) -> Any:
        """Preprocesses a tensor, or a structure with one tensor."""
        if len(keras.tree.flatten(inputs)) != 1:
            return inputs
        return keras.tree.map_structure(self._one, inputs)

    def holds_images(self, inputs: Any) -> bool:
        """Whether a tensor, or a structure with one tensor, is a batch of images."""
        leaves = keras.tree.flatten(inputs)
        if len(leaves) != 1 or not hasattr(leaves[0], "shape"):
            return False
        return len(leaves[0].shape) == 4 and self._is_image(leaves[0])

    def of_tensorflow(self, inputs: Any) -> Any:
        """Does the same as `__call__` in a `tf.data` pipeline."""
        import tensorflow as tf

        if len(keras.tree.flatten(inputs)) != 1:
            return inputs

        def one(x: Any) -> Any:
            if x.dtype.is_integer:
                return self.preprocessor(x)
            if not x.dtype.is_floating:
                return x
            image = (tf.reduce_max(x) > self.largest) & (tf.reduce_min(x) >= 0)
            dtype = self.preprocessor.compute_dtype
            return tf.cond(
                image, lambda: self.preprocessor(x), lambda: tf.cast(x, dtype)
            )

        return keras.tree.map_structure(one, inputs)

    def _one(self, x: Tensor) -> Tensor:
        if not self._is_image(x):
            return x
        return keras.ops.convert_to_numpy(self.preprocessor(x))

    def _is_image(self, x: Tensor) -> bool:
        dtype = keras.backend.standardize_dtype(x.dtype)
        if "int" in dtype:
            return True
        if "float" not in dtype or 0 in x.shape:
            return False
        low, high = keras.ops.min(x), keras.ops.max(x)
        return float(high) > self.largest and float(low) >= 0


def _largest_output(preprocessor: Any) -> float:
    """Returns the largest output for values from 0 to 255; 1 if it is unknown."""
    scale = np.asarray(getattr(preprocessor, "scale", 1 / 255), "float64")
    offset = np.asarray(getattr(preprocessor, "offset", 0.0), "float64")
    return float(np.maximum(255 * scale + offset, offset).max()) + 1e-3


def prepared_data(
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: int | None,
    shuffle: bool,
    prepare: Preparation,
) -> dict[str, Any]:
    """Returns arguments for Keras with the same data and preprocessed images.

    Args:
        x: Any data that Keras takes: arrays, `tf.data`, `PyDataset`, a `DataLoader` of
            PyTorch, a dataset of grain, a generator.
        y: Targets, if `x` is an array.
        sample_weight: Sample weights, if `x` is an array.
        batch_size: Integer, batch size, if `x` is an array.
        shuffle: Boolean, whether to shuffle arrays and `PyDataset`s.
        prepare: The preparation.

    Returns:
        Dictionary of `x`, `y`, `sample_weight`, `batch_size` and `shuffle`.
    """
    found = {
        "x": x,
        "y": y,
        "sample_weight": sample_weight,
        "batch_size": batch_size,
        "shuffle": shuffle,
    }
    if prepare.holds_images(x):
        arrays = PreparedArrays(x, y, sample_weight, batch_size or 32, shuffle, prepare)
        nothing = {"y": None, "sample_weight": None, "batch_size": None}
        return {"x": arrays, **nothing, "shuffle": False}
    if isinstance(x, PreparedArrays | PreparedPyDataset | PreparedLoader):
        return found
    if isinstance(x, keras.utils.PyDataset):
        return {**found, "x": PreparedPyDataset(x, prepare)}
    if hasattr(x, "for_fit"):  # the shard of one process, which wraps another dataset
        x = copy.copy(x)
        x.data = prepared_data(x.data, None, None, None, False, prepare)["x"]
        return {**found, "x": x}
    if _is_of(x, "tensorflow", "DatasetV2"):
        return {**found, "x": x.map(_on_first(prepare.of_tensorflow), -1)}
    if _is_of(x, "grain", "MapDataset", "IterDataset"):
        return {**found, "x": x.map(_on_first_of_one(prepare))}
    if _is_of(x, "torch", "DataLoader") or _is_of(x, "grain", "DataLoader"):
        if hasattr(x, "__len__") and _has_length(x):
            return {**found, "x": PreparedLoader(x, prepare), "shuffle": False}
        return {**found, "x": _prepared_batches(iter(x), prepare)}
    if isinstance(x, types.GeneratorType):
        return {**found, "x": _prepared_batches(x, prepare)}
    return found


class PreparedArrays(keras.utils.PyDataset):
    """Preprocessed batches of arrays in memory."""

    def __init__(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int,
        shuffle: bool,
        prepare: Prepare,
    ) -> None:
        super().__init__()
        self.data = (x, y, sample_weight)
        self.batch_size, self.shuffle, self.prepare = batch_size, shuffle, prepare
        self.order = np.arange(len(keras.tree.flatten(x)[0]))
        # `keras.utils.set_random_seed` seeds NumPy's global generator.
        self.generator = np.random.default_rng(np.random.randint(2**31))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        first = index * self.batch_size
        rows = self.order[first : first + self.batch_size]
        x, y, sample_weight = (_rows(part, rows) for part in self.data)
        return keras.utils.pack_x_y_sample_weight(self.prepare(x), y, sample_weight)

    def on_epoch_end(self) -> None:
        if self.shuffle:
            self.generator.shuffle(self.order)


class PreparedPyDataset(keras.utils.PyDataset):
    """The preprocessed batches of a `PyDataset`."""

    def __init__(self, dataset: keras.utils.PyDataset, prepare: Prepare) -> None:
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self.dataset, self.prepare = dataset, _on_first_of_one(prepare)
        if hasattr(dataset, "world_size"):  # the shard of one process
            self.world_size = dataset.world_size

    @property
    def num_batches(self) -> int | None:
        return self.dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        return self.prepare(self.dataset[index])

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()


class PreparedLoader(keras.utils.PyDataset):
    """The preprocessed batches of a data loader, in the loader's own order."""

    def __init__(self, loader: Any, prepare: Prepare) -> None:
        super().__init__()
        self.loader, self.prepare = loader, _on_first_of_one(prepare)
        self.batches: Iterator[Any] | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __getitem__(self, index: int) -> Any:
        if index == 0 or self.batches is None:
            self.batches = iter(self.loader)
        return self.prepare(_as_arrays(next(self.batches)))


def _prepared_batches(batches: Iterator[Any], prepare: Prepare) -> Iterator[Any]:
    first = _on_first_of_one(prepare)
    for batch in batches:
        yield first(batch)


def _on_first(prepare: Prepare) -> Callable[..., Any]:
    """Applies `prepare` to x of (x), (x, y) or (x, y, weight) in `tf.data`."""

    def prepared(x: Any, *others: Any) -> Any:
        return (prepare(x), *others) if others else prepare(x)

    return prepared


def _on_first_of_one(prepare: Prepare) -> Prepare:
    """Applies `prepare` to x of a batch that is x or a tuple (x, y, weight)."""

    def prepared(batch: Any) -> Any:
        if isinstance(batch, tuple | list):
            return (prepare(batch[0]), *batch[1:])
        return prepare(batch)

    return prepared


def _as_arrays(batch: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_numpy, batch)


def _rows(part: Any, rows: np.ndarray) -> Any:
    if part is None:
        return None
    return keras.tree.map_structure(lambda array: _take(array, rows), part)


def _take(array: Any, rows: np.ndarray) -> Any:
    if hasattr(array, "iloc"):
        return array.iloc[rows].to_numpy()
    if isinstance(array, np.ndarray):
        return array[rows]
    return keras.ops.convert_to_numpy(keras.ops.take(array, rows, axis=0))


def _has_length(loader: Any) -> bool:
    try:
        len(loader)
    except TypeError:  # a DataLoader of a stream
        return False
    return True


def _is_of(x: Any, package: str, *names: str) -> bool:
    """Whether `x` is an instance of a class of `package`, without importing it."""
    return any(
        base.__name__ in names and base.__module__.split(".")[0] == package
        for base in type(x).__mro__
    )
