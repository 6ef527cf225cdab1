"""TFRecords in the schema of the Happywhale notebooks, for TPUs and tf.data.

An example holds `image`, the bytes of a JPEG file, and either `target`, the class
number, or `image_name`, for images of unknown animals. The file name ends with the
number of examples: `train00-2071.tfrec`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._files import atomic_write
from keras_involution.data.images import read_image

_COUNT = re.compile(r"-(\d+)\.tfrec$")


def write_tfrecords(
    table: pd.DataFrame,
    folder: str | Path,
    prefix: str,
    *,
    targets: Sequence[int] | None = None,
    image_size: Sequence[int] | None = None,
    box_margin: float = 0.0,
    shards: int = 1,
    quality: int = 95,
    force: bool = False,
) -> list[Path]:
    """Writes the images of a table as TFRecord files.

    An interruption leaves no incomplete files.

    Args:
        table: DataFrame with `image_id` and `path`, and `bbox` where known.
        folder: Path of the folder.
        prefix: String, the beginning of the file names, such as "train".
        targets: Class numbers (N,); `None` writes `image_name` instead.
        image_size: Height and width to stretch to; `None` keeps the size.
        box_margin: Float, widens boxes by this fraction of their sides.
        shards: Integer, number of files.
        quality: Integer, JPEG quality.
        force: Boolean, whether to replace existing files with this prefix. Existing
            files with other names are removed at the end.

    Returns:
        List of the paths of the files.

    Raises:
        ImageError: If an image cannot be used.
        ValueError: If the numbers of targets and images differ, `shards` or `quality`
            is out of range, files with this prefix exist and `force` is false, or
            TensorFlow is not installed.
    """
    tf = _tensorflow()
    shards = _arguments.positive_integer(shards, "shards")
    _arguments.at_most(_arguments.positive_integer(quality, "quality"), 100, "quality")
    if targets is not None and len(targets) != len(table):
        raise ValueError(
            "Every image needs a target. "
            + received(images=len(table), targets=len(targets))
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    older = _shards(folder, prefix)
    if older and not force:
        raise ValueError(
            "Files with this prefix exist already; `force` replaces them. "
            + received(path=str(older[0]), files=len(older))
        )
    written = []
    for number, rows in enumerate(np.array_split(np.arange(len(table)), shards)):
        path = folder / f"{prefix}{number:02}-{len(rows)}.tfrec"
        # The writer must close before the temporary file is moved.
        with (
            atomic_write(path, force=True) as draft,
            tf.io.TFRecordWriter(str(draft)) as writer,
        ):
            for row in rows:
                data = _jpeg(table.iloc[row], image_size, box_margin, quality)
                target = None if targets is None else int(targets[row])
                name = str(table.iloc[row]["image_id"])
                writer.write(_example(tf, data, target, name))
        written.append(path)
    # Readers find files by a pattern, so no files of an earlier run may remain.
    for path in set(older) - set(written):
        path.unlink()
    return written


def _shards(folder: Path, prefix: str) -> list[Path]:
    """The files with a prefix, in order; "train" does not match "train_new"."""
    name = re.compile(re.escape(prefix) + r"(\d\d|[1-9]\d{2,})-\d+\.tfrec")
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name))


def count_tfrecords(paths: Sequence[str | Path]) -> int:
    """The number of examples in the files, read from their names.

    Args:
        paths: Sequence of paths.

    Returns:
        Integer.

    Raises:
        ValueError: If a name does not contain the number.

    Example:

    >>> from keras_involution.data.tfrecords import count_tfrecords
    >>> count_tfrecords(["train00-2071.tfrec", "train01-2071.tfrec"])
    4142
    """
    counts = [_COUNT.search(Path(path).name) for path in paths]
    for path, count in zip(paths, counts):
        if count is None:
            raise ValueError(
                "The name must end with the number of examples, such as `-2071.tfrec`. "
                + received(path=str(path))
            )
    return sum(int(count[1]) for count in counts if count)


def read_tfrecords(
    paths: Sequence[str | Path], image_size: Sequence[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yields the examples of the files in order.

    Args:
        paths: Sequence of paths.
        image_size: Height and width to stretch to; `None` keeps the size.

    Yields:
        Dictionaries: "image", a uint8 array (H, W, 3), and "target" or "image_name".

    Raises:
        ImageError: If an image cannot be used.
        ValueError: If a file is damaged or has another schema, or TensorFlow is not
            installed.
    """
    tf = _tensorflow()
    for path in paths:
        try:
            for record in tf.data.TFRecordDataset(str(path)):
                yield _parsed(tf, record.numpy(), image_size, path)
        except tf.errors.OpError as error:
            raise ValueError(
                f"The file cannot be read: {error.message}. {received(path=str(path))}"
            ) from error


def tfrecord_dataset(
    paths: Sequence[str | Path], image_size: tuple[int, int], target: bool = True
) -> Any:
    """A `tf.data.Dataset` of the files, decoded by TensorFlow; suitable for TPUs.

    Args:
        paths: Sequence of paths.
        image_size: Height and width to stretch to.
        target: Boolean, whether the examples have targets.

    Returns:
        `tf.data.Dataset` of uint8 images (H, W, 3) with their targets or names.

    Raises:
        ValueError: If TensorFlow is not installed.
    """
    tf = _tensorflow()
    key, kind = ("target", tf.int64) if target else ("image_name", tf.string)
    schema = {
        "image": tf.io.FixedLenFeature([], tf.string),
        key: tf.io.FixedLenFeature([], kind),
    }

    def decode(record: Any) -> Any:
        example = tf.io.parse_single_example(record, schema)
        image = tf.io.decode_jpeg(example["image"], channels=3)
        image = tf.image.resize(image, image_size, antialias=True)
        return tf.cast(tf.clip_by_value(image + 0.5, 0, 255), tf.uint8), example[key]

    files = [str(path) for path in paths]
    count = tf.data.experimental.assert_cardinality(count_tfrecords(files))
    tune = tf.data.AUTOTUNE
    records = tf.data.TFRecordDataset(files, num_parallel_reads=tune)
    return records.map(decode, num_parallel_calls=tune).apply(count)


def _parsed(
    tf: Any, record: bytes, image_size: Sequence[int] | None, path: object
) -> dict[str, Any]:
    feature = tf.train.Example.FromString(record).features.feature
    data = feature["image"].bytes_list.value
    found: dict[str, Any] = {}
    if "target" in feature:
        found["target"] = int(feature["target"].int64_list.value[0])
    if "image_name" in feature:
        found["image_name"] = feature["image_name"].bytes_list.value[0].decode()
    if not data or not found:
        raise ValueError(
            "An example must hold `image`, and `target` or `image_name`. "
            + received(path=str(path), features=sorted(feature))
        )
    return {"image": read_image(data[0], image_size), **found}


def _jpeg(
    row: Any, image_size: Sequence[int] | None, box_margin: float, quality: int
) -> bytes:
    bbox = row.get("bbox")
    bbox = None if bbox is None or np.ndim(bbox) == 0 else bbox
    image = read_image(row["path"], image_size, bbox, box_margin)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=quality)
    return file.getvalue()


def _example(tf: Any, data: bytes, target: int | None, name: str) -> bytes:
    def of_bytes(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {"image": of_bytes(data)}
    if target is None:
        features["image_name"] = of_bytes(name.encode())
    else:
        number = tf.train.Int64List(value=[target])
        features["target"] = tf.train.Feature(int64_list=number)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


def _tensorflow() -> Any:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ValueError(
            "Reading and writing TFRecords needs TensorFlow, which is not installed. "
            f"Run `pip install tensorflow`. {received(error=str(error))}"
        ) from error
    return tf
