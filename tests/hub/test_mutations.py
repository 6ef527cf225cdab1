"""Damaged and generated checkpoint files are read, or raise the documented error.

`python -m benchmarks.fuzz` makes 10,000 of each kind.
"""

from __future__ import annotations

import warnings

import h5py
import pytest

from keras_involution.hub import CheckpointError
from tests import mutations
from tests.hub import generated
from tests.hub.readers import readers
from tests.marks import one_backend, slow

pytestmark = [one_backend, slow]
COUNT, EXAMPLES = 200, 150


@pytest.fixture(scope="module")
def all_readers(tmp_path_factory):
    found = readers(tmp_path_factory.mktemp("good"))
    return {reader.name: reader for reader in found}


@pytest.mark.parametrize("name", ["torch", "paddle", "safetensors", "npz", "h5"])
def test_damaged_files(all_readers, tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reports = list(mutations.run(all_readers[name], COUNT, 1, tmp_path))
    assert reports == [], reports[0][1]


def test_the_good_files_are_read(all_readers):
    for reader in all_readers.values():
        for sample in reader.samples:
            reader.read(sample)


@pytest.mark.parametrize(
    "error, words",
    [(KeyError("x"), "KeyError"), (CheckpointError(""), "without a message")],
)
def test_the_harness_can_fail(tmp_path, error, words):
    def read(path):
        raise error

    reader = mutations.Reader("x", read, (CheckpointError,), ())
    assert words in mutations.survives(reader, tmp_path)


def test_the_harness_ends_what_hangs(tmp_path):
    def read(path):
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass

    reader = mutations.Reader("x", read, (CheckpointError,), ())
    assert "still at work" in mutations.survives(reader, tmp_path, 0.2)


@pytest.mark.parametrize("name", generated.generators(1, True))
def test_generated_files(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generated.generators(EXAMPLES, True)[name]()


def test_a_generator_can_fail(monkeypatch):
    """A reader that raises another error is detected."""

    def read(path):
        raise KeyError(path)

    monkeypatch.setattr(generated, "read_checkpoint", read)
    with pytest.raises(KeyError):
        generated.generators(10, True)["safetensors headers"]()


def test_the_right_file_is_among_those_that_are_made(tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        for number, shape in enumerate([(3, 4), (4,)]):
            place = f"{generated.WEIGHTS}/{number}"
            generated.write_item(file, place, "dataset", "f4", shape, {}, None)
    assert generated.Network().outcome(path) == 9
