"""Embeddings with extras, in one file and in a folder of shards that grows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id.embeddings import Embeddings, RaggedArray, Shards
from tests.marks import one_backend

pytestmark = one_backend
SETTINGS = {"model": "m", "flip": "average"}


def table(names="abcde"):
    rows = {"image_id": list(names), "identity": "A", "path": list(names)}
    boxes = pd.Series([[1.0, 2.0, 3.0, 4.0]] + [None] * (len(names) - 1), dtype=object)
    return pd.DataFrame(rows).assign(bbox=boxes)


def embeddings(rows):
    """Embeddings with values that identify their row; row "c" has no keypoints."""
    codes = np.array([ord(name) for name in rows["image_id"]])
    counts = [0 if name == "c" else ord(name) - 96 for name in rows["image_id"]]
    points = [np.full((n, 2), c, "float16") for n, c in zip(counts, codes)]
    extras = {"keypoints": RaggedArray.of(points), "size": codes.astype("int8")}
    features = np.stack([codes, -codes], 1)
    return Embeddings(features, rows, extras=extras, settings=SETTINGS)


def test_extras_come_back_mapped_with_their_dtype(tmp_path):
    embeddings(table()).save(tmp_path / "e.npz")
    found = Embeddings.load(tmp_path / "e.npz")
    keypoints = found.extras["keypoints"]
    assert isinstance(keypoints.values, np.memmap)
    assert keypoints.values.dtype == "float16"
    assert found.extras["size"].dtype == "int8"
    assert found.settings == SETTINGS
    assert [len(points) for points in keypoints] == [1, 2, 0, 4, 5]
    assert (keypoints[3] == ord("d")).all()
    few = found.rows([4, 2, 0])
    assert [len(points) for points in few.extras["keypoints"]] == [5, 0, 1]
    assert few.extras["size"].tolist() == [101, 99, 97]
    both = Embeddings.concatenate([few, found])
    assert len(both.extras["keypoints"]) == 8 and both.settings == SETTINGS


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 2, 1, 3], [0.0, 3.0], []])
def test_offsets_that_do_not_fit(offsets):
    with pytest.raises(ValueError, match=r"rise from 0.*Received: offsets="):
        RaggedArray(np.zeros((3, 2)), np.array(offsets))


def test_only_missing_rows_are_asked_for(tmp_path):
    shards, rows = Shards(tmp_path / "e"), table()
    shards.open(SETTINGS)
    assert shards.missing(rows).tolist() == [0, 1, 2, 3, 4]
    shards.write(0, rows[1:4], embeddings(rows[1:3]), {2: "broken"})
    shards.open(SETTINGS)
    assert shards.missing(rows).tolist() == [0, 4] and shards.next_number() == 1
    moved = rows.assign(bbox=pd.Series([None, [0.0, 0, 1, 1]] + [None] * 3))
    assert shards.missing(moved).tolist() == [0, 1, 4]
    shards.write(1, rows.iloc[[0, 4]], embeddings(rows.iloc[[0, 4]]), {})
    assert shards.missing(rows).tolist() == []
    assert shards.left_out() == {"d": "broken"}
    whole = shards.load(rows.assign(identity="B"))
    assert list(whole.table["image_id"]) == list("abce")
    assert set(whole.table["identity"]) == {"B"}
    assert whole.features[:, 0].tolist() == [97, 98, 99, 101]
    assert [len(points) for points in whole.extras["keypoints"]] == [1, 2, 0, 5]
    assert list(Embeddings.load(tmp_path / "e").table["image_id"]) == list("bcae")


def test_other_settings_are_refused(tmp_path):
    shards = Shards(tmp_path / "e")
    shards.open(SETTINGS)
    shards.write(0, table(), embeddings(table()), {})
    (tmp_path / "e" / "notes.txt").write_text("kept")
    with pytest.raises(ValueError, match=r"another flip.*Received: folder="):
        shards.open({**SETTINGS, "flip": "none"})
    shards.open({**SETTINGS, "flip": "none"}, force=True)
    assert not shards.paths() and (tmp_path / "e" / "notes.txt").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    shards = Shards(tmp_path / "e")
    shards.open(SETTINGS)
    shards.write(0, table(), embeddings(table()), {})
    [path] = shards.paths()
    if damage == "foreign":
        np.savez(path, other=np.zeros(3))
    else:
        path.write_bytes(path.read_bytes()[: 200 if damage == "cut" else 0])
    with pytest.raises(ValueError, match=r"makes again.*Received: path='.*000000"):
        shards.missing(table())
