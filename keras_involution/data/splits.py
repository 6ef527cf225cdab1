"""Random splits into training, validation and test images, stored as CSV."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from keras_involution._arguments import received
from keras_involution.data._tables import csv_rows, csv_writer
from keras_involution.data.collection import ImageCollection

SPLITS = ("train", "val", "test")
UNUSED = "unused"
FRACTIONS = (0.7, 0.1, 0.2)


def split_by_fractions(
    collection: ImageCollection,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> list[str]:
    """Assigns a random fraction of every class to each split.

    Official splits of the dataset are kept. If there is an official test split,
    validation images are taken from the training images, in the proportion of the first
    two fractions. A class with two or more images has at least one test image; a class
    with three or more images also has at least one validation image.

    Args:
        collection: `ImageCollection`.
        fractions: Three floats for training, validation and test that sum to 1.
        seed: Integer.

    Returns:
        List of `"train"`, `"val"` or `"test"`, one for each image.

    Raises:
        ValueError: If the fractions are not valid.
    """
    _check_fractions(fractions)
    wanted = dict(zip(SPLITS, fractions))
    official = collection.official_splits
    drawn = ["train", *(split for split in SPLITS[1:] if split not in official)]
    total = sum(wanted[split] for split in drawn)
    splits = list(official)
    for rows in _shuffled_classes(collection, seed):
        left = len(rows)
        for split in ("test", "val"):
            if split in drawn and wanted[split] and left > 1:
                count = int(len(rows) * wanted[split] / total + 0.5)
                count = min(max(count, 1), left - 1)
                _assign(splits, rows[left - count : left], split)
                left -= count
        _assign(splits, rows[:left], "train")
    return splits


def split_by_counts(
    collection: ImageCollection, counts: dict[str, int], seed: int = 0
) -> list[str]:
    """Assigns a number of images of every class to each split; the rest are unused.

    Every class gets exactly the given number of training images. The remaining images
    are assigned first to test and then to validation, up to the given numbers. Official
    test and validation images keep their split, up to these numbers.

    Args:
        collection: `ImageCollection`.
        counts: Dictionary of split -> images of each class.
        seed: Integer.

    Returns:
        List of `"train"`, `"val"`, `"test"` or `"unused"`, one for each image.

    Raises:
        ValueError: If a class has too few images for training and one test image.
    """
    splits = [UNUSED] * len(collection.names)
    for split in ("test", "val"):
        for rows in _shuffled_classes(collection, seed, split):
            _assign(splits, rows[: counts.get(split, 0)], split)
    official = collection.official_splits
    least = counts.get("train", 0) + ("test" not in official)
    for rows in _shuffled_classes(collection, seed):
        if len(rows) < least:
            name = collection.class_names[collection.labels[rows[0]]]
            raise ValueError(
                f"The class {name!r} has {len(rows)} images and needs {least}. "
                + received(per_class=counts)
            )
        start = 0
        for split in ("train", "test", "val"):
            if split == "train" or split not in official:
                end = start + counts.get(split, 0)
                _assign(splits, rows[start:end], split)
                start = end
    return splits


def write_split(path: Path, names: Sequence[str], splits: Sequence[str]) -> None:
    """Writes a CSV table with the columns `name` and `split`.

    Args:
        path: Path of the table; an existing file is replaced.
        names: Sequence of strings, the names of the images.
        splits: Sequence of strings, the split of each image.

    Raises:
        OSError: If the file cannot be written.
    """
    with csv_writer(path, ["name", "split"]) as writer:
        writer.writerows(zip(names, splits))


def read_split(
    path: Path, names: Sequence[str], empty: Sequence[str] = ()
) -> list[str]:
    """Reads the split of every image from a CSV table with `name` and `split`.

    Args:
        path: Path of the table.
        names: Sequence of strings, the images that exist.
        empty: Sequence of strings, classes without images; the error names them if the
            table lists images of these classes.

    Returns:
        List of strings, one for each of `names`.

    Raises:
        ValueError: If the file is damaged or not a split table, an image is missing,
            unknown or listed twice, or a split is unknown.
    """
    columns, most = ("name", "split"), 2 * len(names) + 1000
    rows = csv_rows(path, columns, "The split", "split", most)
    # Rows are pairs here; mypy sees tuples of any length.
    found: dict[str, str] = dict(rows)  # type: ignore[arg-type]
    known = set(names)
    repeated = len(rows) - len(found)
    missing = [name for name in names if name not in found]
    unknown = [name for name in found if name not in known]
    if gone := sorted({PurePosixPath(name).parent.name for name in unknown} & {*empty}):
        raise ValueError(
            "The split lists images of classes whose folders are now empty: "
            f"{', '.join(gone)}. {received(split=str(path))}"
        )
    if repeated or missing or unknown:
        first = (missing + unknown)[:1]
        raise ValueError(
            f"The split must list each of the {len(names)} images once: {repeated} are "
            f"repeated, {len(missing)} are missing, {len(unknown)} are unknown"
            f"{', ' if first else ''}{', '.join(first)}. {received(split=str(path))}"
        )
    if wrong := set(found.values()) - {*SPLITS, UNUSED}:
        raise ValueError(
            f"`split` must be one of {(*SPLITS, UNUSED)}. {received(split=wrong.pop())}"
        )
    return [found[name] for name in names]


def counts_of(text: str) -> dict[str, int]:
    """Parses `"30-train,5-val,50-test"`; splits that are not named have 0 images."""
    found = dict.fromkeys(SPLITS, 0)
    for entry in text.split(","):
        number, _, split = entry.strip().partition("-")
        if split not in SPLITS or not number.isdigit():
            raise ValueError(
                "Expected numbers of images such as 30-train,5-val,50-test. "
                + received(per_class=text)
            )
        found[split] = int(number)
    return found


def fractions_of(text: str) -> list[float]:
    """Parses `"0.7,0.1,0.2"`, the fractions for training, validation and test."""
    try:
        fractions = [float(value) for value in text.split(",")]
    except ValueError:
        fractions = []
    _check_fractions(fractions, text)
    if not fractions[0]:
        raise ValueError(
            "The fraction of training images must be positive. "
            + received(fractions=text)
        )
    return fractions


def _check_fractions(fractions: Sequence[float], text: str | None = None) -> None:
    wrong = len(fractions) != 3 or not abs(sum(fractions) - 1) < 1e-9
    if wrong or min(fractions) < 0:
        raise ValueError(
            "`fractions` must be three numbers, for training, validation and test, "
            f"that sum to 1. {received(fractions=text or tuple(fractions))}"
        )


def _shuffled_classes(
    collection: ImageCollection, seed: int, split: str = ""
) -> list[list[int]]:
    """Rows of every class in random order: of `split`, or those open to training.

    The order is that of a hash of the seed and each name. A random generator could give
    other numbers in another version.
    """
    classes: list[list[int]] = [[] for _ in collection.class_names]
    for row, (label, given) in enumerate(
        zip(collection.labels, collection.official_splits)
    ):
        if given == split or (not split and given == "train"):
            classes[label].append(row)

    def digest(row: int) -> str:
        return hashlib.sha256(f"{seed}:{collection.names[row]}".encode()).hexdigest()

    return [sorted(rows, key=digest) for rows in classes if rows]


def _assign(splits: list[str], rows: Sequence[int], split: str) -> None:
    for row in rows:
        splits[row] = split
