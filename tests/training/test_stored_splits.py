"""Splits stored as indices: arrays, and checkpoints without executing code."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from keras_involution.data import open_collection
from keras_involution.training import split_of_indices
from keras_involution.training.stored_splits import read_indices
from tests.data.folders import write_folder
from tests.marks import one_backend

pytestmark = one_backend
ORDER = np.random.default_rng(0).permutation(30)


class Dataset:
    """Like datasets of torchvision, with integer labels and indices."""

    def __init__(self) -> None:
        self.y, self.index = list(range(30)), list(range(30))

    def __len__(self) -> int:
        return 30


class DataModule:
    """Like the data module of thatblueboy/involution, with both datasets."""

    def __init__(self, train, val) -> None:
        self.batch_size = 4
        self.dataset = Dataset()
        self.train_set, self.val_set = train, val


class Danger:
    def __reduce__(self):
        return (print, ("executed",))


def subsets():
    torch = pytest.importorskip("torch")
    dataset = Dataset()
    train = torch.utils.data.Subset(dataset, ORDER[6:].tolist())
    return train, torch.utils.data.Subset(dataset, ORDER[:6].tolist())


def stored_forms():
    torch = pytest.importorskip("torch")
    train, val = torch.tensor(ORDER[6:]), torch.tensor(ORDER[:6])
    return {
        "tensors": {"train": train, "val": val},
        "lists": {"train": train.tolist(), "test": val.tolist()},
        "arrays": {"train_indices": ORDER[6:], "val_indices": ORDER[:6]},
        "pair": [train, val],
        "subsets": list(subsets()),
        "module": DataModule(*subsets()),
        "nested": {"state": {"train": subsets()[0], "val": subsets()[1]}},
    }


@pytest.mark.parametrize("form", stored_forms())
def test_every_form_of_a_checkpoint(tmp_path, form):
    import torch

    path = tmp_path / "split.pth"
    torch.save(stored_forms()[form], path)
    train, held_out = read_indices(path)
    np.testing.assert_array_equal(train, ORDER[6:])
    np.testing.assert_array_equal(held_out, ORDER[:6])


def test_the_stored_held_out_images_are_for_testing(tmp_path):
    torch = pytest.importorskip("torch")
    found = open_collection(write_folder(tmp_path / "data", each=10))
    paths = tmp_path / "split.npz", tmp_path / "split.pth"
    np.savez(paths[0], train=ORDER[6:].astype("uint16"), val=ORDER[:6].astype("uint16"))
    torch.save(DataModule(*subsets()), paths[1])
    for path in paths:
        splits = np.array(split_of_indices(found, path, 0.125))
        np.testing.assert_array_equal(
            np.flatnonzero(splits == "test"), np.sort(ORDER[:6])
        )
        assert (splits == "val").sum() == 3 and (splits == "train").sum() == 21


def test_nothing_in_a_checkpoint_is_executed(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    called = []
    path = tmp_path / "split.pth"
    torch.save({"a": Danger(), "train": ORDER[6:], "val": ORDER[:6]}, path)
    monkeypatch.setattr(builtins, "print", lambda *a: called.append(a))
    np.testing.assert_array_equal(read_indices(path)[1], ORDER[:6])
    assert not called


def test_other_files_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    found = open_collection(write_folder(tmp_path / "data", each=10))
    path, checkpoint = tmp_path / "split.npz", tmp_path / "split.pth"
    np.savez(path, train=ORDER[7:], val=ORDER[:6])
    with pytest.raises(ValueError, match=r"of the 30 images .* train=23, val=6"):
        split_of_indices(found, path, 0.125)
    np.savez(path, train=np.array([{}], object), val=ORDER)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        split_of_indices(found, path, 0.125)
    np.savez(path, x=ORDER)
    with pytest.raises(ValueError, match=r"the arrays \['x'\] instead of `train`"):
        read_indices(path)
    np.savez(path, train=ORDER / 2, val=ORDER)
    with pytest.raises(ValueError, match="`train` does not hold integers"):
        read_indices(path)
    with pytest.raises(ValueError, match=r"\.npz or \.pth.*Received: path="):
        read_indices(tmp_path / "split.txt")
    for content in ({"weights": torch.zeros(3)}, {"train": ORDER}, [ORDER] * 3, 5):
        torch.save(content, checkpoint)
        with pytest.raises(ValueError, match="one set of training indices"):
            read_indices(checkpoint)
    whole = checkpoint.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        checkpoint.write_bytes(damaged)
        with pytest.raises(ValueError, match="The stored split cannot be read"):
            read_indices(checkpoint)
