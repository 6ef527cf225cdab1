"""Dataset formats, written as they are published, and their splits."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from examples._demo.photos import CLASS_NAMES, DATA, load_photos
from keras_involution.data import decode, open_collection, splits
from keras_involution.data.cifar10 import RECORD
from keras_involution.data.images import ImageError
from tests.data.folders import COLORS, colored_image, encoded, write_folder
from tests.marks import one_backend

pytestmark = one_backend


def images_of(collection, side: int, crop: bool = False) -> np.ndarray:
    return np.stack(list(collection.read(side, crop)))


def test_a_folder_is_read_in_the_order_of_names_less_what_is_left_out(tmp_path):
    write_folder(tmp_path / "256_ObjectCategories", each=3)
    found = open_collection(tmp_path, ["green"])
    assert found.class_names == ["blue", "red"]
    assert found.names == [
        f"{c}/{i:03d}.png" for c in ("blue", "red") for i in range(3)
    ]
    np.testing.assert_array_equal(found.labels, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(
        images_of(found, 16)[4], colored_image(COLORS["red"], 201)
    )
    with pytest.raises(
        ValueError, match=r"classes are blue, green, red. Received: leave_out='x'"
    ):
        open_collection(tmp_path, ["x"])


def test_a_folder_may_hold_its_parts(tmp_path):
    for part, each in (("train", 4), ("test", 2)):
        write_folder(tmp_path / part, each)
    found = open_collection(tmp_path)
    assert found.class_names == sorted(COLORS)
    assert found.official_splits == ["test"] * 6 + ["train"] * 12
    assert found.names[0] == "test/blue/000.png"
    parts = splits.split_by_fractions(found)
    assert parts[:6] == ["test"] * 6 and parts.count("val") == 3


def test_images_are_stretched_or_cropped_and_broken_ones_are_named(tmp_path):
    (tmp_path / "data" / "a").mkdir(parents=True)
    wide = np.zeros((10, 30, 3), "uint8")
    wide[:, 10:20] = 255
    Image.fromarray(wide).save(tmp_path / "data" / "a" / "0.png")
    (tmp_path / "data" / "a" / "1.png").write_bytes(b"broken")
    found = open_collection(tmp_path / "data")
    assert next(found.read(10, True)).min() == 255
    assert next(found.read(10, False)).min() == 0
    with pytest.raises(ImageError, match=r"1\.png: it is not an image"):
        decode(lambda: found, tmp_path / "cache", lambda found: 10)
    for find in (lambda: found, None):  # The second call reads the cache.
        decoded = decode(find, tmp_path / "cache", lambda found: 10, on_error="skip")
        assert list(decoded.skipped) == ["a/1.png"]
        assert decoded.data.images.shape == (2, 10, 10, 3)
        np.testing.assert_array_equal(
            decoded.data.images[0], next(found.read(10, False))
        )


def test_the_binary_version_of_cifar_10(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records = np.random.default_rng(0).integers(0, 256, (12, RECORD), "uint8")
    records[:, 0] = np.arange(12) % 2
    files = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for number, name in enumerate(files):
        records[2 * number : 2 * number + 2].tofile(folder / name)
    (folder / "batches.meta.txt").write_text("airplane\nautomobile\n\n")
    found = open_collection(tmp_path)
    assert found.class_names == ["airplane", "automobile"]
    assert found.official_splits == ["train"] * 10 + ["test"] * 2
    np.testing.assert_array_equal(found.labels, np.arange(12) % 2)
    images = images_of(found, 32)
    # Planes of red, green and blue, row by row.
    assert images[3, 5, 7].tolist() == [
        records[3, 1 + 1024 * channel + 32 * 5 + 7] for channel in range(3)
    ]
    (folder / files[2]).write_bytes(b"half")
    with pytest.raises(ValueError, match=r"data_batch_3\.bin is missing or damaged"):
        open_collection(folder)
    (tmp_path / "py").mkdir()
    (tmp_path / "py" / "data_batch_1").write_bytes(b"")
    with pytest.raises(ValueError, match="they are not opened"):
        open_collection(tmp_path / "py")


def test_jpegs_with_one_header(tmp_path):
    files = [
        encoded(colored_image(color, i, 32)) for i, color in enumerate(COLORS.values())
    ]
    header, rest = files[0][:2], [file[2:] for file in files]
    starts = np.cumsum([0, *map(len, rest)])
    scan = np.frombuffer(b"".join(rest), "uint8")
    arrays = {}
    for part, count in (("train", 3), ("test", 2)):
        arrays[f"{part}_scan"] = scan[: starts[count]]
        arrays[f"{part}_offsets"] = starts[: count + 1]
        arrays[f"{part}_labels"] = np.arange(count)
    np.savez(
        tmp_path / "pack.npz",
        header=np.frombuffer(header, "uint8"),
        classes=sorted(COLORS),
        **arrays,
    )
    found = open_collection(tmp_path / "pack.npz")
    assert found.official_splits == ["train"] * 3 + ["test"] * 2 and found.side == 32
    means = images_of(found, 32).mean((1, 2))
    np.testing.assert_allclose(means[[0, 1, 2, 0, 1]], means, atol=1e-6)
    np.testing.assert_allclose(means[:3], list(COLORS.values()), atol=12)


def test_the_official_folder_of_tiny_imagenet(tmp_path):
    for number, wnid in enumerate(("n2", "n1")):
        images = tmp_path / "train" / wnid / "images"
        images.mkdir(parents=True)
        (images / f"{wnid}_0.JPEG").write_bytes(
            encoded(colored_image((9, 9, 9), number))
        )
    (tmp_path / "train" / ".DS_Store").touch()
    (tmp_path / "val" / "images").mkdir(parents=True)
    (tmp_path / "val" / "images" / "val_0.JPEG").write_bytes(
        encoded(np.full((16, 16, 3), 200, "uint8"))
    )
    (tmp_path / "val" / "val_annotations.txt").write_text(
        "val_0.JPEG\tn2\t0\t0\t1\t1\n"
    )
    (tmp_path / "words.txt").write_text("n1\tcrane\nn2\tcrane, a bird\nn3\tx\n")
    found = open_collection(tmp_path)
    assert found.class_names == ["crane 1", "crane 2"]
    assert found.official_splits == ["train", "train", "test"]
    np.testing.assert_array_equal(found.labels, [0, 1, 1])
    assert images_of(found, 16)[2].min() > 190


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_a_file_of_sheets(tmp_path):
    tiles = np.stack(
        [colored_image(color, i) for i, color in enumerate(COLORS.values())]
    )
    first = np.concatenate([tiles[0], tiles[1]], 1)
    second = np.concatenate([tiles[2], np.full_like(tiles[2], 128)], 1)
    sheets = [
        encoded(sheet, "AVIF", quality=95, subsampling="4:4:4")
        for sheet in (first, second)
    ]
    np.savez(
        tmp_path / "pack.npz",
        sheets=np.frombuffer(b"".join(sheets), "uint8"),
        offsets=np.cumsum([0, *map(len, sheets)]),
        classes=["a", "b"],
        counts=[2, 1],
        split=np.array([1, 2, 1], "uint8"),
        tile=16,
        cols=2,
    )
    found = open_collection(tmp_path / "pack.npz")
    assert found.names == ["a/0000", "a/0001", "b/0000"]
    assert found.official_splits == ["train", "test", "train"]
    np.testing.assert_allclose(
        images_of(found, 16).mean((1, 2)), tiles.mean((1, 2)), atol=4
    )


def test_the_shipped_photos():
    found = open_collection(DATA / "caltech101-mini")
    assert tuple(found.class_names) == CLASS_NAMES
    images = images_of(found, 96)
    start = 0
    for part in ("train", "test"):
        expected, labels = load_photos(part)
        own = slice(start, start + len(labels))
        np.testing.assert_array_equal(images[own], expected)
        np.testing.assert_array_equal(found.labels[own], labels)
        assert set(found.official_splits[own]) == {part}
        start += len(labels)


def test_anything_else_is_refused_with_what_was_expected(tmp_path):
    (tmp_path / "file.txt").write_text("")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("", "file.txt", "other.npz"):
        with pytest.raises(
            ValueError, match=r"Expected a folder with .* Received: data="
        ):
            open_collection(tmp_path / name)


def test_fractions_of_every_class_are_the_same_on_every_machine(tmp_path):
    found = open_collection(write_folder(tmp_path, each=10))
    parts = splits.split_by_fractions(found, (0.6, 0.2, 0.2))
    for label in range(3):
        own = [part for part, of in zip(parts, found.labels) if of == label]
        assert [own.count(part) for part in splits.SPLITS] == [6, 2, 2]
    written = "".join(part[1] for part in parts)
    assert written == WRITTEN
    assert splits.split_by_fractions(found, (0.6, 0.2, 0.2), seed=1) != parts
    with pytest.raises(ValueError, match=r"Received: fractions=\(0.5, 0.1, 0.1\)"):
        splits.split_by_fractions(found, (0.5, 0.1, 0.1))


WRITTEN = "aerrrrrraerrearrrrearaeerarrrr"


def test_a_number_of_every_class(tmp_path):
    for number, (name, count) in enumerate({"a": 9, "b": 5, "c": 4}.items()):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.fromarray(colored_image((0, 0, 0), number)).save(
                tmp_path / name / f"{i}.png"
            )
    found = open_collection(tmp_path)
    parts = splits.split_by_counts(found, splits.counts_of("3-train,1-val,2-test"))
    counts = {
        name: [
            sum(p == part and found.labels[i] == label for i, p in enumerate(parts))
            for part in (*splits.SPLITS, splits.UNUSED)
        ]
        for label, name in enumerate(found.class_names)
    }
    assert counts == {"a": [3, 1, 2, 3], "b": [3, 0, 2, 0], "c": [3, 0, 1, 0]}
    with pytest.raises(ValueError, match="'c' has 4 images and needs 5"):
        splits.split_by_counts(found, {"train": 4, "test": 1})
    with pytest.raises(ValueError, match="per_class='30'"):
        splits.counts_of("30")


def test_a_split_names_every_image_once(tmp_path):
    names, path = ["a/0", "a/1"], tmp_path / "split.csv"
    splits.write_split(path, names, ["train", "unused"])
    assert path.read_bytes() == b"name,split\na/0,train\na/1,unused\n"
    assert splits.read_split(path, names[::-1]) == ["unused", "train"]
    broken = {
        "1 are repeated": [*ROWS, ("a/0", "test")],
        "1 are missing, 0 are unknown, a/1": ROWS[:1],
        "0 are missing, 1 are unknown, b": [*ROWS, ("b", "val")],
        "split='spare'": [ROWS[0], ("a/1", "spare")],
    }
    for message, rows in broken.items():
        write_rows(path, ("name", "split"), rows)
        with pytest.raises(ValueError, match=message):
            splits.read_split(path, names)
    write_rows(path, ("name", "part"), ROWS)
    with pytest.raises(ValueError, match=r"lacks the columns \['split'\], and has"):
        splits.read_split(path, names)
    path.write_bytes(b"name,split\na/0,train\na/1\n")
    with pytest.raises(ValueError, match=r"line 3 is too short.*Received: split="):
        splits.read_split(path, names)


ROWS = [("a/0", "train"), ("a/1", "val")]


def write_rows(path: Path, header: tuple[str, ...], rows: list) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.mark.parametrize(
    "text", ["0.7,0.1,0.9", "nan,0.5,0.5", "0,0,1", "1", "a,b,c", "0,0.5,0.5"]
)
def test_fractions_out_of_range_are_refused(text):
    with pytest.raises(ValueError, match="Received: fractions="):
        splits.fractions_of(text)
