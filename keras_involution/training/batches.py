"""Batches of labeled images that depend only on the seed and the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from keras_involution import _arguments
from keras_involution.data import LabeledImages
from keras_involution.distribution import Hosts
from keras_involution.models import RedNetImageConverter
from keras_involution.training.augmentation import Augmentation

Targets = Callable[[np.ndarray, np.ndarray], np.ndarray]
_ENDLESS = 2**48


class ImageBatches:
    """Training batches of augmented, prepared images and their targets.

    This is the `TrainingData` of classifiers. Every epoch contains every row once,
    except the last rows that do not fill a batch.

    Args:
        data: `LabeledImages`.
        rows: Row numbers of the images to train on (N,).
        batch_size: Integer.
        num_classes: Integer.
        converter: `RedNetImageConverter` of the model, whose scale and offset are used.
        image_size: Integer, or function from the fraction of the run to the side of the
            images.
        augmentation: `Augmentation`.
        seed: Integer.
        targets: Function from row numbers and one-hot labels to the targets; `None`
            uses the labels.
        num_threads: Integer, threads that prepare batches.
        num_workers: Integer, processes that prepare batches; 0 for none.
        hosts: `Hosts`; each process gets its shard of every batch. `None` for a single
            process.

    Raises:
        ValueError: If the images do not fill one batch, or a number is out of range.
    """

    def __init__(
        self,
        data: LabeledImages,
        rows: np.ndarray,
        *,
        batch_size: int,
        num_classes: int,
        converter: RedNetImageConverter,
        image_size: int | Callable[[float], int],
        augmentation: Augmentation,
        seed: int = 0,
        targets: Targets | None = None,
        num_threads: int = 2,
        num_workers: int = 0,
        hosts: Hosts | None = None,
    ) -> None:
        hosts = hosts or Hosts()
        self.rank, self.world_size = hosts.rank, hosts.world_size
        _arguments.divisible(batch_size, self.world_size, "batch_size", "world_size")
        self.data, self.rows = data, rows
        self.batch_size = _arguments.positive_integer(batch_size, "batch_size")
        self.num_classes, self.seed = num_classes, seed
        self.scaling = scaling_of(converter)
        self.image_size = image_size
        self.augmentation, self.targets = augmentation, targets
        self.num_threads = _arguments.positive_integer(num_threads, "num_threads")
        self.num_workers = _arguments.whole_number(num_workers, "num_workers")
        self.steps_per_epoch = len(rows) // self.batch_size
        if not self.steps_per_epoch:
            raise ValueError(
                "The training images must fill at least one batch. "
                + _arguments.received(images=len(rows), batch_size=batch_size)
            )
        self._step, self._side = 0, 0
        self._stream: Any = None

    def seek(self, step: int, state: Any = None) -> None:
        self.close()
        self._step = step

    def next_batch(self, fraction: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        size = self.image_size
        side = size if isinstance(size, int) else size(fraction)
        if self._stream is None or side != self._side:
            self.close()
            self._side = side
            self._stream = self._open(self._step, side)
        self._step += 1
        return next(self._stream)

    def get_state(self) -> None:
        """Returns `None`: the position depends only on the step."""

    def rows_of(self, step: int) -> np.ndarray:
        """Returns the row numbers of the images of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(self.rows)
        return order[place * self.batch_size : (place + 1) * self.batch_size]

    def batch(self, step: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns prepared images (B, side, side, 3) and targets of a step."""
        rows = self.rows_of(step)[self.rank :: self.world_size]
        images = np.stack(
            [self._view(row, step, place, side) for place, row in enumerate(rows)]
        )
        targets = np.zeros((len(rows), self.num_classes), "float32")
        targets[np.arange(len(rows)), self.data.labels[rows]] = 1
        if self.targets is not None:
            targets = self.targets(rows, targets)
        random = np.random.default_rng((self.seed, 2, step, self.rank))
        images, targets = self.augmentation.batch(images, targets, random)
        return scaled(images, self.scaling), targets

    def _view(self, row: int, step: int, place: int, side: int) -> np.ndarray:
        # One generator per image, so that its view does not depend on `world_size`.
        place = place * self.world_size + self.rank
        random = np.random.default_rng((self.seed, 1, step, place))
        return self.augmentation.image(self.data.images[row], random, (side, side))

    def _open(self, step: int, side: int) -> Any:
        import grain

        options = grain.ReadOptions(
            num_threads=self.num_threads, prefetch_buffer_size=self.num_threads + 2
        )
        steps = grain.MapDataset.range(step, _ENDLESS)
        batches = steps.map(lambda number: self.batch(int(number), side))
        stream = batches.to_iter_dataset(options)
        if self.num_workers:
            parse_flags()
            workers = grain.MultiprocessingOptions(num_workers=self.num_workers)
            stream = stream.mp_prefetch(workers)
        return iter(stream)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def __getstate__(self) -> dict[str, Any]:
        """Replaces memory-mapped images by their path, for worker processes."""
        state = {**self.__dict__, "_stream": None}
        images = self.data.images
        if isinstance(images, np.memmap):
            state["data"] = (images.filename, self.data.labels)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not isinstance(self.data, LabeledImages):
            path, labels = self.data
            self.data = LabeledImages(np.load(path, mmap_mode="r"), labels)


def parse_flags() -> None:
    """Marks absl flags as parsed, because worker processes of grain read them."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def whole_batches(
    images: np.ndarray,
    rows: np.ndarray,
    size: int,
    batch_size: int,
    converter: RedNetImageConverter,
) -> Iterator[np.ndarray]:
    """Yields prepared batches of whole images without augmentation, in order of `rows`.

    Args:
        images: uint8 array (N, H, W, 3).
        rows: Row numbers (M,).
        size: Integer, side to which the images are resized.
        batch_size: Integer.
        converter: `RedNetImageConverter` of the model.
    """
    scaling = scaling_of(converter)
    for start in range(0, len(rows), batch_size):
        found = [images[row] for row in rows[start : start + batch_size]]
        yield scaled(np.stack([_resized(image, size) for image in found]), scaling)


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    if image.shape[:2] == (size, size):
        return image
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


Scaling = tuple[np.ndarray, np.ndarray]


def scaling_of(converter: RedNetImageConverter) -> Scaling:
    """Returns the scale and the offset of a converter as arrays."""
    return np.array(converter.scale, "float32"), np.array(converter.offset, "float32")


def scaled(images: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Scales images like the preprocessor of the model, without resizing them."""
    scale, offset = scaling
    return images * scale + offset
