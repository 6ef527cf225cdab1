"""Collections of pictures: what lies at a path decides how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from examples._training.datasets import cifar10, image_folder, sheets, tiny_imagenet
from examples._training.datasets.collection import Collection
from keras_involution._arguments import received

# The folder of pictures last: it takes whatever has folders with pictures in them.
OPENERS = (
    cifar10.open_binary,
    cifar10.open_jpegs,
    tiny_imagenet.open_official,
    tiny_imagenet.open_pack,
    sheets.open_photographs,
    sheets.open_pack,
    image_folder.open_folder,
)
EXPECTED = """\
a folder with a folder of pictures for each class, which may lie in train/, val/ and
test/ or in 101_ObjectCategories or 256_ObjectCategories; CIFAR-10's binary version
(cifar-10-batches-bin); Tiny-ImageNet's folder (train/, val/val_annotations.txt,
words.txt); a folder of sheets (classes.csv, train-0.npz ..., val.npz; or sources.csv,
train.jpg, test.jpg); or a file .npz of sheets or of CIFAR-10's JPEGs"""


def open_collection(path: Path, leave_out: Sequence[str] = ()) -> Collection:
    """The pictures at a path, listed and not decoded yet.

    Args:
        path: Path of a folder or a file.
        leave_out: Names of classes that are not wanted.

    Returns:
        `Collection`.

    Raises:
        ValueError: If nothing known lies there, or a class of `leave_out` is unknown.
    """
    for opener in OPENERS:
        found = opener(path)
        if found is not None:
            return found.without(leave_out)
    expected = " ".join(EXPECTED.split("\n"))
    raise ValueError(f"Expected {expected}. {received(data=str(path))}")
