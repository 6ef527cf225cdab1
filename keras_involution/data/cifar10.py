"""CIFAR-10: the official binary version, and a copy of JPEGs with a shared header."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.data.collection import ImageCollection, resized
from keras_involution.data.images import ImageError, read_image

FOLDER, NAMES = "cifar-10-batches-bin", "batches.meta.txt"
FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
PICKLES = "cifar-10-batches-py"
SIDE = 32
RECORD = 1 + 3 * SIDE**2


def open_binary(path: Path) -> ImageCollection | None:
    """Opens the folder `cifar-10-batches-bin`, or the folder that contains it.

    Raises:
        ValueError: If the folder holds the Python version, whose pickles can execute
            code, or a file is missing or incomplete.
    """
    if (path / "data_batch_1").is_file() or (path / PICKLES).is_dir():
        raise ValueError(
            "This is the Python version of CIFAR-10. Its pickle files can execute "
            "code, so they are not opened. Expected the binary version, a folder "
            f"{FOLDER}. " + received(data=str(path))
        )
    path = path / FOLDER if (path / FOLDER).is_dir() else path
    if not (path / FILES[0]).is_file():
        return None
    for name in (*FILES, NAMES):
        size = (path / name).stat().st_size if (path / name).is_file() else 0
        if not size or (name != NAMES and size % RECORD):
            raise ValueError(
                f"{name} is missing or damaged: expected records of {RECORD} bytes. "
                + received(data=str(path), bytes=size)
            )
    records = [np.fromfile(path / name, "uint8").reshape(-1, RECORD) for name in FILES]
    counts = [len(part) for part in records]

    def read(side: int, crop: bool) -> Iterator[np.ndarray]:
        for part in records:
            for start in range(0, len(part), 1000):
                planes = part[start : start + 1000, 1:].reshape(-1, 3, SIDE, SIDE)
                yield from resized(planes.transpose(0, 2, 3, 1), side)

    return ImageCollection(
        kind="CIFAR-10",
        class_names=(path / NAMES).read_text("utf-8").split(),
        names=[f"{f}/{i:05d}" for f, count in zip(FILES, counts) for i in range(count)],
        labels=np.concatenate([part[:, 0] for part in records]).astype(int),
        official_splits=["train"] * sum(counts[:-1]) + ["test"] * counts[-1],
        side=SIDE,
        read=read,
    )


def open_jpegs(path: Path) -> ImageCollection | None:
    """Opens an .npz file with one JPEG header and the remaining bytes of each image."""
    if path.suffix != ".npz" or not path.is_file():
        return None
    parts = ("train", "test")
    with (
        reading(path, "The dataset", name="data"),
        np.load(path, allow_pickle=False) as file,
    ):
        if not {"header", "train_scan", "test_scan"} <= set(file.files):
            return None
        classes = [str(name) for name in file["classes"]]
        labels = [file[f"{part}_labels"].astype(int) for part in parts]

    def read(side: int, crop: bool) -> Iterator[np.ndarray | ImageError]:
        with np.load(path, allow_pickle=False) as file:
            header = file["header"].tobytes()
            for part in parts:
                data, starts = file[f"{part}_scan"].tobytes(), file[f"{part}_offsets"]
                for start, end in itertools.pairwise(starts):
                    yield _read(header + data[start:end], side)

    return ImageCollection(
        kind="CIFAR-10, JPEG copy",
        class_names=classes,
        names=[
            f"{p}/{i:05d}" for p, own in zip(parts, labels) for i in range(len(own))
        ],
        labels=np.concatenate(labels),
        official_splits=[part for part, own in zip(parts, labels) for _ in own],
        side=SIDE,
        read=read,
    )


def _read(file: bytes, side: int) -> np.ndarray | ImageError:
    try:
        return resized(read_image(file)[None], side)[0]
    except ImageError as error:
        return error
