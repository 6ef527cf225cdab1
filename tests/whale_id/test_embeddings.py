"""Embeddings are read back as they were written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import Embeddings, read_table
from tests.marks import one_backend
from tests.whale_id.image_files import listed

pytestmark = one_backend


@pytest.fixture
def embeddings():
    random = np.random.default_rng(0)
    boxes = pd.Series([[1.0, 2.0, 3.0, 4.0], None, None], dtype=object)
    table = listed({"007": 2, "NA": 1}, bbox=boxes, date=["2020", None, None])
    features, flipped = random.normal(size=(2, 3, 5))
    logits = random.normal(size=(3, 2))
    return Embeddings(features, table, flipped, logits, ("007", "NA"))


def assert_same(first, second):
    np.testing.assert_array_equal(first.features, second.features)
    columns = list(first.table)
    pd.testing.assert_frame_equal(first.table, second.table[columns], check_dtype=False)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
def test_written_and_read_again(embeddings, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    path = tmp_path / f"e{suffix}"
    embeddings.save(path)
    again = Embeddings.load(path)
    assert_same(embeddings, again)
    assert again.features.dtype == "float32"
    if suffix == ".npz":
        assert again.classes == ("007", "NA")
        np.testing.assert_array_equal(embeddings.flipped, again.flipped)
        np.testing.assert_array_equal(embeddings.logits, again.logits)
        with np.load(path) as file:
            assert file["features"].shape == (3, 5)
    with pytest.raises(ValueError, match="--force"):
        embeddings.save(path)
    embeddings.rows([0, 2]).save(path, force=True)
    assert len(Embeddings.load(path)) == 2


def test_the_files_are_tables_too(embeddings, tmp_path):
    embeddings.save(tmp_path / "e.csv")
    assert read_table(tmp_path / "e.csv")["identity"].to_list() == ["007", "007", "NA"]


def test_an_interrupted_write_leaves_the_old_file(embeddings, tmp_path, monkeypatch):
    path = tmp_path / "e.npz"
    embeddings.save(path)
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("numpy.savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embeddings.rows([0]).save(path, force=True)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["e.npz"]


def test_rows(embeddings):
    part = embeddings.rows([2, 0])
    assert part.table["image_id"].to_list() == ["NA_0", "007_0"]
    np.testing.assert_array_equal(part.flipped, embeddings.flipped[[2, 0]])
    assert len(embeddings.rows(np.array([False, True, True]))) == 2


def test_unusable_rows(embeddings):
    features, flipped = embeddings.features.copy(), embeddings.flipped.copy()
    features[0, 0], flipped[2] = np.nan, 0
    broken = Embeddings(features, embeddings.table, flipped)
    assert broken.unusable_rows().tolist() == [0, 2]
    assert embeddings.unusable_rows().size == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"features": np.zeros((2, 5))},
        {"features": np.zeros(3)},
        {"flipped": np.zeros((3, 4))},
        {"logits": None},
        {"classes": ("A",)},
        {"table": pd.DataFrame({"image_id": ["1", "2", "3"]})},
    ],
)
def test_wrong_shapes(embeddings, changes):
    values = {name: getattr(embeddings, name) for name in embeddings.__match_args__}
    with pytest.raises(ValueError, match="Received: "):
        Embeddings(**values | changes)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
def test_damaged_files(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    path = tmp_path / f"e{suffix}"
    path.write_bytes(b"image_id,identity,path\n1,A,1.jpg\n")
    with pytest.raises(ValueError, match=r"embeddings cannot.*Received: path="):
        Embeddings.load(path)
    with pytest.raises(ValueError, match="no such file"):
        Embeddings.load(tmp_path / "nowhere.npz")
    with pytest.raises(ValueError, match=r"must end in .*e\.pkl'"):
        Embeddings.load(tmp_path / "e.pkl")
