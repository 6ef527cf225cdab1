"""TFRecords in the schema of the notebooks: written and read back."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.data.tfrecords import (
    count_tfrecords,
    read_tfrecords,
    tfrecord_dataset,
    write_tfrecords,
)
from tests.whale_id.animals import animals, portrait

tf = pytest.importorskip("tensorflow", reason="TFRecords need TensorFlow")


def test_the_schema_is_the_one_of_the_notebook(tmp_path):
    table = animals(tmp_path)
    targets = table["identity"].astype("category").cat.codes
    paths = write_tfrecords(table, tmp_path, "train", targets=targets, shards=3)
    names = ["train00-6.tfrec", "train01-5.tfrec", "train02-5.tfrec"]
    assert [path.name for path in paths] == names
    assert count_tfrecords(paths) == 16
    [record] = tf.data.TFRecordDataset(str(paths[0])).take(1)
    feature = tf.train.Example.FromString(record.numpy()).features.feature
    assert set(feature) == {"image", "target"}
    assert feature["image"].bytes_list.value[0][:3] == b"\xff\xd8\xff"
    assert feature["target"].int64_list.value[0] == 0


def test_what_was_written_is_read(tmp_path):
    table = animals(tmp_path)
    paths = write_tfrecords(table, tmp_path, "test", shards=2, quality=100)
    found = list(read_tfrecords(paths))
    assert [example["image_name"] for example in found] == list(table["image_id"])
    assert "target" not in found[0]
    assert np.abs(found[5]["image"].astype(int) - portrait(1, 1)).mean() < 12


def test_tensorflow_decodes_them_by_itself(tmp_path):
    table = animals(tmp_path)
    paths = write_tfrecords(table, tmp_path, "train", targets=np.arange(16))
    dataset = tfrecord_dataset(paths, (16, 16))
    assert dataset.cardinality() == 16
    images, targets = next(iter(dataset.batch(16)))
    assert images.shape == (16, 16, 16, 3) and images.dtype == tf.uint8
    assert targets.numpy().tolist() == list(range(16))


def test_boxes_and_sizes_are_honoured(tmp_path):
    table = animals(tmp_path)
    table["bbox"] = [[0, 0, 16, 8]] * 16
    paths = write_tfrecords(table, tmp_path, "train", image_size=(10, 20))
    assert next(read_tfrecords(paths))["image"].shape == (10, 20, 3)


def test_nothing_is_replaced_and_nothing_is_half(tmp_path):
    table = animals(tmp_path)
    [path] = write_tfrecords(table, tmp_path / "out", "train")
    with pytest.raises(ValueError, match="Received: path="):
        write_tfrecords(table, tmp_path / "out", "train")
    before = path.read_bytes()
    (tmp_path / "3_3.png").unlink()
    with pytest.raises(ValueError, match=r"3_3\.png"):
        write_tfrecords(table, tmp_path / "out", "train", force=True)
    assert path.read_bytes() == before
    assert [p.name for p in (tmp_path / "out").iterdir()] == [path.name]


def test_files_of_another_number_are_replaced_as_one_set(tmp_path):
    table, out = animals(tmp_path), tmp_path / "out"
    others = write_tfrecords(table, out, "train0") + write_tfrecords(table, out, "val")
    write_tfrecords(table, out, "train", shards=3)
    with pytest.raises(ValueError, match=r"Received: path=.*files=3"):
        write_tfrecords(table, out, "train", shards=2)
    written = write_tfrecords(table, out, "train", shards=2, force=True)
    assert sorted(out.iterdir()) == sorted([*written, *others])


def test_damaged_files_and_names_without_a_count_are_refused(tmp_path):
    [path] = write_tfrecords(animals(tmp_path), tmp_path, "train")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="Received: path="):
        list(read_tfrecords([path]))
    with pytest.raises(ValueError, match=r"Received: path='train\.tfrec'"):
        count_tfrecords(["train.tfrec"])
