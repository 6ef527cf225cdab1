"""The dataset formats, recognized by the files at a path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_involution._arguments import received
from keras_involution.data import cifar10, image_folder, sheets, tiny_imagenet
from keras_involution.data.collection import ImageCollection

# Each format has a function that returns `None` for any other format. The image folder
# is last, because it accepts any folder that contains folders of images.
FORMATS = (
    cifar10.open_binary,
    cifar10.open_jpegs,
    tiny_imagenet.open_official,
    tiny_imagenet.open_pack,
    sheets.open_sheet_folder,
    sheets.open_pack,
    image_folder.open_folder,
)
EXPECTED = (
    "a folder with one folder of images for each class, which may lie in train/, val/ "
    "and test/ or in 101_ObjectCategories or 256_ObjectCategories; the binary version "
    "of CIFAR-10 (cifar-10-batches-bin); the folder of Tiny-ImageNet (train/, "
    "val/val_annotations.txt, words.txt); a folder of sheets (classes.csv, "
    "train-0.npz ..., val.npz; or sources.csv, train.jpg, test.jpg); or an .npz file "
    "of sheets or of CIFAR-10 as JPEGs"
)


def open_collection(path: str | Path, leave_out: Sequence[str] = ()) -> ImageCollection:
    """Lists the images of a dataset without decoding them.

    Args:
        path: Path of a folder or a file in one of the known formats.
        leave_out: Sequence of strings, names of classes to leave out.

    Returns:
        `ImageCollection`.

    Raises:
        ValueError: If the format or a class in `leave_out` is unknown.
    """
    for opener in FORMATS:
        found = opener(Path(path))
        if found is not None:
            return found.without(leave_out)
    raise ValueError(f"Expected {EXPECTED}. {received(data=str(path))}")
