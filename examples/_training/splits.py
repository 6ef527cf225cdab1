"""Which pictures train, validate and test: as text, and the same on every machine."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from examples._training.datasets.collection import Collection
from examples._training.tables import write_table
from keras_involution._arguments import received

PARTS = ("train", "val", "test")
UNUSED = "unused"
SHARES = (0.7, 0.1, 0.2)


def split_by_shares(
    collection: Collection, shares: Sequence[float] = SHARES, seed: int = 0
) -> list[str]:
    """A random share of every class for each part.

    Parts that the data give stay as they are: with an official test part, validation
    is taken out of the training pictures, in the proportion of the first two shares.
    A class of two pictures or more has one to test, of three or more one to validate.

    Args:
        collection: `Collection`.
        shares: Three floats for training, validation and test, 1 together.
        seed: Integer.

    Returns:
        List of `"train"`, `"val"` or `"test"`, one a picture.

    Raises:
        ValueError: If the shares are none.
    """
    _check_shares(shares)
    wanted = dict(zip(PARTS, shares))
    open_parts = ["train", *(p for p in PARTS[1:] if p not in collection.given)]
    total = sum(wanted[part] for part in open_parts)
    parts = list(collection.given)
    for rows in _drawn(collection, seed):
        left = len(rows)
        for part in ("test", "val"):
            if part in open_parts and wanted[part] and left > 1:
                count = int(len(rows) * wanted[part] / total + 0.5)
                count = min(max(count, 1), left - 1)
                _put(parts, rows[left - count : left], part)
                left -= count
        _put(parts, rows[:left], "train")
    return parts


def split_by_counts(
    collection: Collection, counts: dict[str, int], seed: int = 0
) -> list[str]:
    """A number of pictures of every class for each part; others stay unused.

    Every class has as many training pictures as asked for. Test, and then validation,
    have as many as are left, up to their number. Official test and validation pictures
    stay what they are, up to their number.

    Raises:
        ValueError: If a class has too few pictures to train and test one.
    """
    parts = [UNUSED] * len(collection.names)
    for part in ("test", "val"):
        for rows in _drawn(collection, seed, part):
            _put(parts, rows[: counts.get(part, 0)], part)
    least = counts.get("train", 0) + ("test" not in collection.given)
    for rows in _drawn(collection, seed):
        if len(rows) < least:
            name = collection.class_names[collection.labels[rows[0]]]
            raise ValueError(
                f"The class {name!r} has {len(rows)} pictures of the {least} that it "
                f"needs. {received(per_class=counts)}"
            )
        start = 0
        for part in ("train", "test", "val"):
            if part == "train" or part not in collection.given:
                end = start + counts.get(part, 0)
                _put(parts, rows[start:end], part)
                start = end
    return parts


def split_of_indices(
    collection: Collection, path: Path, val_share: float, seed: int = 0
) -> list[str]:
    """A stored split: its `val` is the test part, validation comes out of its `train`.

    Args:
        collection: `Collection`, all of it, in the order of the indices.
        path: Path of a file .npz with the arrays `train` and `val`.
        val_share: Float, the share of the stored training part that validates.
        seed: Integer.

    Raises:
        ValueError: If the indices are not those of all pictures, each once.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"Expected a file .npz. {received(path=str(path))}")
    with np.load(path, allow_pickle=False) as file:
        if not {"train", "val"} <= set(file.files):
            raise ValueError(
                f"Expected the arrays `train` and `val`. {received(arrays=file.files)}"
            )
        train, val = (file[name].astype(int).ravel() for name in ("train", "val"))
    count = len(collection.names)
    if not np.array_equal(np.sort(np.concatenate([train, val])), np.arange(count)):
        raise ValueError(
            f"The indices must be those of the {count} pictures of the data, each "
            "once. " + received(train=len(train), val=len(val))
        )
    given = np.array([""] * count, object)
    given[val] = "test"
    stored = Collection(**{**vars(collection), "given": given.tolist()})
    return split_by_shares(stored, (1 - val_share, val_share, 0.0), seed)


def write_split(path: Path, names: Sequence[str], parts: Sequence[str]) -> None:
    with write_table(path, ["name", "split"]) as writer:
        writer.writerows(zip(names, parts))


def read_split(
    path: Path, names: Sequence[str], empty: Sequence[str] = ()
) -> list[str]:
    """The part of every picture of `names`, from a table with `name` and `split`.

    Args:
        path: Path of the table.
        names: Sequence of strings, the pictures that there are.
        empty: Sequence of strings, the classes without a picture, to be named where
            the table has some of them.

    Returns:
        List of strings, one for each of `names`.

    Raises:
        ValueError: If a picture is missing, unknown or there twice, or a part unknown.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if not {"name", "split"} <= set(reader.fieldnames or ()):
            raise ValueError(
                "Expected a table with the columns `name` and `split`. "
                + received(columns=reader.fieldnames)
            )
        rows = [(row["name"], row["split"]) for row in reader]
    found, known = dict(rows), set(names)
    twice = len(rows) - len(found)
    missing = [name for name in names if name not in found]
    strange = [name for name in found if name not in known]
    if gone := sorted({PurePosixPath(name).parent.name for name in strange} & {*empty}):
        raise ValueError(
            "The split has pictures of classes whose folders have none now: "
            f"{', '.join(gone)}. {received(split=str(path))}"
        )
    if twice or missing or strange:
        first = (missing + strange)[:1]
        raise ValueError(
            f"The split must name each of the {len(names)} pictures once: {twice} are "
            f"named again, {len(missing)} are missing, {len(strange)} are unknown"
            f"{', ' if first else ''}{', '.join(first)}. {received(split=str(path))}"
        )
    if unknown := set(found.values()) - {*PARTS, UNUSED}:
        raise ValueError(
            f"A part must be one of {(*PARTS, UNUSED)}. {received(split=unknown.pop())}"
        )
    return [found[name] for name in names]


def _drawn(collection: Collection, seed: int, part: str = "") -> list[list[int]]:
    """Rows of every class in a random order: of `part`, or of what may train.

    The order follows from a digest of the seed and each name, with no generator of
    random numbers whose next version could draw others.
    """
    classes: list[list[int]] = [[] for _ in collection.class_names]
    for row, (label, given) in enumerate(zip(collection.labels, collection.given)):
        if given == part or (not part and given == "train"):
            classes[label].append(row)

    def digest(row: int) -> str:
        return hashlib.sha256(f"{seed}:{collection.names[row]}".encode()).hexdigest()

    return [sorted(rows, key=digest) for rows in classes if rows]


def _put(parts: list[str], rows: Sequence[int], part: str) -> None:
    for row in rows:
        parts[row] = part


def counts_of(text: str) -> dict[str, int]:
    """`"30-train,5-val,50-test"` as numbers of parts; those left out are 0."""
    found = dict.fromkeys(PARTS, 0)
    for entry in text.split(","):
        number, _, part = entry.strip().partition("-")
        if part not in PARTS or not number.isdigit():
            raise ValueError(
                "Expected numbers of the parts, as 30-train,5-val,50-test. "
                + received(per_class=text)
            )
        found[part] = int(number)
    return found


def shares_of(text: str) -> list[float]:
    """`"0.7,0.1,0.2"` as the shares of training, validation and test."""
    try:
        shares = [float(share) for share in text.split(",")]
    except ValueError:
        shares = []
    _check_shares(shares, text)
    if not shares[0]:
        raise ValueError(f"There must be pictures to train on. {received(shares=text)}")
    return shares


def _check_shares(shares: Sequence[float], text: str | None = None) -> None:
    if len(shares) != 3 or not abs(sum(shares) - 1) < 1e-9 or min(shares) < 0:
        raise ValueError(
            "`shares` must be three shares, of training, validation and test, that "
            f"make 1. {received(shares=text or tuple(shares))}"
        )
