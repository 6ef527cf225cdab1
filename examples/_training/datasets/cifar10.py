"""CIFAR-10: the official binary version, and its copy as JPEGs with one header."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from examples._training.datasets.collection import Collection, resized
from keras_involution._arguments import received
from keras_involution.whale_id.images import PhotographError, read_photograph

FOLDER, NAMES = "cifar-10-batches-bin", "batches.meta.txt"
FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
PICKLES = "cifar-10-batches-py"
SIDE = 32
RECORD = 1 + 3 * SIDE**2


def open_binary(path: Path) -> Collection | None:
    """The folder `cifar-10-batches-bin`, or the one around it.

    Raises:
        ValueError: If the folder is the Python version, whose pickles are programs, or
            a file is missing or has half a record.
    """
    if (path / "data_batch_1").is_file() or (path / PICKLES).is_dir():
        raise ValueError(
            "This is the version of CIFAR-10 for Python, of pickles, which are never "
            f"opened here. Expected the binary version, a folder {FOLDER}. "
            + received(data=str(path))
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

    return Collection(
        kind="CIFAR-10",
        class_names=(path / NAMES).read_text("utf-8").split(),
        names=[f"{f}/{i:05d}" for f, count in zip(FILES, counts) for i in range(count)],
        labels=np.concatenate([part[:, 0] for part in records]).astype(int),
        given=["train"] * sum(counts[:-1]) + ["test"] * counts[-1],
        tile=SIDE,
        read=read,
    )


def open_jpegs(path: Path) -> Collection | None:
    """A file with the one `header` of all JPEGs, and the rest of each one after it."""
    if path.suffix != ".npz" or not path.is_file():
        return None
    parts = ("train", "test")
    with np.load(path, allow_pickle=False) as file:
        if not {"header", "train_scan", "test_scan"} <= set(file.files):
            return None
        classes = [str(name) for name in file["classes"]]
        labels = [file[f"{part}_labels"].astype(int) for part in parts]

    def read(side: int, crop: bool) -> Iterator[np.ndarray | PhotographError]:
        with np.load(path, allow_pickle=False) as file:
            header = file["header"].tobytes()
            for part in parts:
                data, starts = file[f"{part}_scan"].tobytes(), file[f"{part}_offsets"]
                for start, end in itertools.pairwise(starts):
                    yield _read(header + data[start:end], side)

    return Collection(
        kind="CIFAR-10, JPEG copy",
        class_names=classes,
        names=[
            f"{p}/{i:05d}" for p, own in zip(parts, labels) for i in range(len(own))
        ],
        labels=np.concatenate(labels),
        given=[part for part, own in zip(parts, labels) for _ in own],
        tile=SIDE,
        read=read,
    )


def _read(file: bytes, side: int) -> np.ndarray | PhotographError:
    try:
        return resized(read_photograph(file)[None], side)[0]
    except PhotographError as error:
        return error
