"""Every damaged preset raises one kind of error with the name of the file."""

from __future__ import annotations

import json
import re

import h5py
import pytest

from keras_involution import RedNetBackbone, RedNetImageClassifier
from tests.marks import one_backend


def assert_refused(folder, name: str, match: str = "") -> None:
    pattern = (
        rf"{re.escape(name)}.*{match}.*Received: preset={re.escape(repr(str(folder)))}$"
    )
    with pytest.raises(ValueError, match=re.compile(pattern, re.DOTALL)):
        RedNetImageClassifier.from_preset(folder)


def change_json(path, change) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps(change(data)))


@pytest.mark.parametrize("name", ["model.weights.h5", "task.weights.h5"])
class TestWeightsFiles:
    @pytest.mark.parametrize("kept", [0, 1, 100, 5000, -1])
    def test_truncated(self, preset, name, kept):
        data = (preset / name).read_bytes()
        (preset / name).write_bytes(data[:kept])
        assert_refused(preset, name)

    def test_missing(self, preset, name):
        (preset / name).unlink()
        assert_refused(preset, name, "missing")

    def test_not_hdf5(self, preset, name):
        (preset / name).write_bytes(b"<html>Not found</html>" * 1000)
        assert_refused(preset, name)

    def test_a_weight_is_missing(self, preset, name):
        with h5py.File(preset / name, "a") as file:
            del file[first_dataset(file)]
        assert_refused(preset, name, "weights are missing")

    def test_a_weight_of_another_shape(self, preset, name):
        with h5py.File(preset / name, "a") as file:
            path = first_dataset(file)
            values = file[path][()]
            del file[path]
            file[path] = values[..., :-1]
        assert_refused(preset, name, "has shape")


def first_dataset(file) -> str:
    found = []
    file.visititems(
        lambda path, item: (
            found.append(path) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found[0]


@one_backend
@pytest.mark.parametrize("name", ["config.json", "task.json", "metadata.json"])
class TestJson:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[1, 2]",
            "null",
            '"text"',
            "\x00",
            '{"a": NaN',
            "[" * 10**5,
            "[" * 10**5 + "]" * 10**5,
        ],
    )
    def test_no_json_object(self, preset, name, text):
        (preset / name).write_text(text)
        assert_refused(preset, name)

    def test_not_utf8(self, preset, name):
        (preset / name).write_bytes(b'{"a": "\xff\xfe"}')
        assert_refused(preset, name)


@pytest.mark.parametrize("name", ["config.json", "task.json"])
def test_empty_object(preset, name):
    (preset / name).write_text("{}")
    assert_refused(preset, name)


def test_missing_config(preset):
    (preset / "config.json").unlink()
    with pytest.raises(ValueError, match=r"no config.json.*Received: preset="):
        RedNetBackbone.from_preset(preset)


@one_backend
@pytest.mark.parametrize("value", [None, 7, -1, 1.5, "x", [], {}, [1], [None], True])
@pytest.mark.parametrize(
    "key",
    ["stackwise_num_filters", "stackwise_num_blocks", "kernel_size", "image_shape"],
)
def test_wrong_types_in_the_config(preset, key, value):
    change = lambda data: {**data, "config": {**data["config"], key: value}}  # noqa: E731
    change_json(preset / "config.json", change)
    if key == "image_shape" and value is None:
        assert RedNetBackbone.from_preset(preset).image_shape == (None, None, 3)
    elif key == "kernel_size" and value == 7:
        assert_refused(preset, "model.weights.h5", "shape")
    else:
        assert_refused(preset, "config.json", key)


@one_backend
@pytest.mark.parametrize("blocks", [[512, 1], [1, 512], [40, 40], [10**9, 1]])
def test_more_blocks_than_keras_can_walk_through(preset, blocks):
    """Keras builds recursively, with ten calls per block; rejected before building."""
    change = {"stackwise_num_blocks": blocks}
    change_json(
        preset / "config.json", lambda d: {**d, "config": {**d["config"], **change}}
    )
    assert_refused(preset, "config.json", "stackwise_num_blocks")


def test_another_class(preset):
    change_json(
        preset / "config.json", lambda d: {**d, "registered_name": "keras_hub>X"}
    )
    assert_refused(preset, "config.json", "keras_hub>X")
