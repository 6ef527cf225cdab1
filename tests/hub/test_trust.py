"""Untrusted presets: no code in them runs, and large claims are rejected."""

from __future__ import annotations

import ast
import math
import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

import keras_involution
from keras_involution import RedNetBackbone
from keras_involution.hub import _values
from tests.hub import fuzz, networks
from tests.hub.test_damaged_files import assert_refused, change_json
from tests.marks import one_backend

pytestmark = one_backend
PACKAGE = Path(keras_involution.__file__).parent
CODE = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wAA"}}},
    "registered_name": "keras_hub>ImageConverter",
}


def replace(data, path, value):
    """`data` with the value at `path`, a tuple of keys, replaced."""
    if not path:
        return value
    return {**data, path[0]: replace(data[path[0]], path[1:], value)}


@pytest.mark.parametrize("name", ["config.json", "task.json"])
@pytest.mark.parametrize(
    "change",
    [
        {"module": "os", "class_name": "system"},
        {"module": "evil_package.layers"},
        {"registered_name": "evil>RedNetBackbone"},
        {"module": "keras.src.utils.python_utils", "class_name": "__lambda__"},
        {"class_name": "Lambda"},
        {"class_name": "function", "module": "builtins"},
    ],
)
def test_a_class_from_elsewhere(preset, name, change):
    change_json(preset / name, lambda data: {**data, **change})
    assert_refused(preset, name)


@pytest.mark.parametrize(
    "path",
    [
        ("config", "preprocessor"),
        ("config", "preprocessor", "config", "image_converter"),
        ("config", "backbone"),
        ("config", "activation"),
        ("config", "something_else"),
    ],
)
def test_code_anywhere_in_the_task(preset, path):
    def change(data):
        return replace(data, path, CODE)

    if path[-1] == "something_else":
        change = lambda data: {**data, "extra": [{"x": [CODE]}]}  # noqa: E731
    change_json(preset / "task.json", change)
    assert_refused(preset, "task.json", "Lambda")


@pytest.mark.parametrize(
    "value", ["get", "__lambda__", "os.system", "nothing", 3, ["relu"], {"a": "b"}]
)
def test_an_activation_that_is_none(preset, value):
    change_json(
        preset / "task.json",
        lambda data: replace(data, ("config", "activation"), value),
    )
    assert_refused(preset, "task.json", "activation")


@pytest.mark.parametrize(
    "change",
    [
        {"stackwise_num_blocks": [10**9, 1]},
        {"stackwise_num_filters": [10**9, 32]},
        {"stackwise_num_filters": [2**16, 2**16]},
        {"stackwise_num_filters": [32] * 10**5},
        {"stackwise_num_blocks": [512, 512]},
        {"stackwise_num_blocks": [64, 1]},
        {"kernel_size": 10**9 + 1},
        {"stem_kernel_size": 10**9 + 1},
        {"reduction_ratio": 10**30},
        {
            "stackwise_num_filters": [4096, 32],
            "stem_kernel_size": 63,
            "group_channels": 1,
        },
        {"image_shape": [None, None, 2**16]},
        {"image_shape": [10**9, 10**9, 3]},
        {"image_shape": [None, None, 10**9]},
        {"name": "x" * 10**6},
        {"dtype": {"class_name": "DTypePolicyMap", "config": {}}},
        {"dtype": "string"},
    ],
)
def test_a_network_that_no_machine_holds(preset, change):
    change_json(
        preset / "config.json",
        lambda data: {**data, "config": {**data["config"], **change}},
    )
    tracemalloc.start()
    assert_refused(preset, "")
    (peak, _) = tracemalloc.get_traced_memory()[::-1]
    tracemalloc.stop()
    assert peak < 64 * 2**20
    with pytest.raises(ValueError, match="Received: preset="):
        RedNetBackbone.from_preset(preset, load_weights=False)


def test_the_count_of_parameters_is_that_of_the_network(classifier):
    for change in ({}, {"spatial_operator": "convolution"}, {"stem_kernel_size": 5}):
        backbone = RedNetBackbone(**networks.TINY | change)
        kernels = [w for w in backbone.trainable_weights if w.path.endswith("kernel")]
        counted = sum(math.prod(weight.shape) for weight in kernels)
        arguments = backbone.get_config() | {"image_shape": None}
        stem = 9 * 3 * 16  # Depends on the number of channels, usually three.
        assert _values.parameters_at_least(arguments) == counted - stem


def test_a_network_larger_than_its_weights_is_not_built(preset):
    change_json(
        preset / "config.json",
        lambda data: replace(data, ("config", "stackwise_num_filters"), [1024, 1024]),
    )
    assert_refused(preset, "model.weights.h5", "bytes, but the config needs")


@pytest.mark.parametrize("value", [10**9, 10**6])
def test_a_head_that_no_machine_holds(preset, value):
    change_json(
        preset / "task.json",
        lambda data: replace(data, ("config", "num_classes"), value),
    )
    assert_refused(preset, "task")


@pytest.mark.parametrize("name", ["config.json", "task.json", "metadata.json"])
def test_huge_and_deep_json(preset, name):
    original = (preset / name).read_text()
    (preset / name).write_text('{"a": "' + "x" * (17 * 2**20) + '"}')
    assert_refused(preset, name, "larger than")
    (preset / name).write_text(
        original.replace("{", '{"a": ' + "[" * 70 + "]" * 70 + ",", 1)
    )
    assert_refused(preset, name, "deeper than")


class TestWeightsFiles:
    @pytest.fixture
    def file(self, preset):
        with h5py.File(preset / "model.weights.h5", "a") as file:
            yield file

    def target(self, file):
        return "layers/conv2d/vars/0", file["layers/conv2d/vars/0"]

    def change(self, file, preset, make, match):
        path, dataset = self.target(file)
        values = dataset[()]
        del file[path]
        make(file, path, values)
        file.close()
        assert_refused(preset, "model.weights.h5", match)

    def test_external_link(self, file, preset):
        with h5py.File(preset / "other.h5", "w") as other:
            other["0"] = np.zeros(3)
        link = h5py.ExternalLink("other.h5", "0")
        self.change(file, preset, lambda f, p, v: f.__setitem__(p, link), "link")

    def test_soft_link(self, file, preset):
        link = h5py.SoftLink("/layers/conv2d_1/vars/0")
        self.change(file, preset, lambda f, p, v: f.__setitem__(p, link), "link")

    def test_groups_in_a_circle(self, file, preset):
        file["layers/conv2d/again"] = file["layers"]
        file.close()
        assert_refused(preset, "model.weights.h5", "too many groups")

    def test_external_values(self, file, preset):
        (preset / "raw").write_bytes(bytes(10**5))

        def make(f, path, values):
            places = [("raw", 0, h5py.h5f.UNLIMITED)]
            f.create_dataset(path, values.shape, "f4", external=places)

        self.change(file, preset, make, "plain values")

    def test_virtual_values(self, file, preset):
        def make(f, path, values):
            layout = h5py.VirtualLayout(values.shape, "f4")
            f.create_virtual_dataset(path, layout)

        self.change(file, preset, make, "plain values")

    def test_compressed_values(self, file, preset):
        def make(f, path, values):
            f.create_dataset(path, data=values, compression="gzip")

        self.change(file, preset, make, "plain values")

    @pytest.mark.parametrize("values", ["text", 1 + 2j, 3, True])
    def test_values_that_are_no_numbers(self, file, preset, values):
        def make(f, path, old):
            f[path] = np.full(
                old.shape, values, dtype=None if values != "text" else "S4"
            )

        self.change(file, preset, make, "floating-point")

    def test_a_shape_of_terabytes(self, file, preset):
        def make(f, path, values):
            f.create_dataset(path, (10**6, 10**6), "f4", chunks=(1000, 1000))

        self.change(file, preset, make, "shape")

    def test_a_weight_too_many(self, file, preset):
        file["layers/conv2d/vars/1"] = np.zeros(3, "f4")
        file.close()
        assert_refused(preset, "model.weights.h5", "are not in the model")

    @pytest.mark.parametrize("match", ["missing", "has shape"])
    def test_nothing_is_assigned_when_the_last_weight_is_damaged(
        self, file, preset, match
    ):
        from keras_involution.hub._weights import load_weights

        del file["layers/pointwise_conv2d_5/vars/0"]
        if match == "has shape":
            file["layers/pointwise_conv2d_5/vars/0"] = np.zeros((1, 1, 3, 3), "f4")
        file.close()
        model = RedNetBackbone.from_preset(preset, load_weights=False)
        before = model.get_weights()
        with pytest.raises(ValueError, match=match):
            load_weights(model, [preset / "model.weights.h5"])
        for weight, expected in zip(model.get_weights(), before):
            np.testing.assert_array_equal(weight, expected)


class TestShards:
    @pytest.fixture
    def shards(self, classifier, tmp_path):
        classifier.save_to_preset(tmp_path / "s", max_shard_size=100_000 / 2**30)
        return tmp_path / "s"

    @pytest.mark.parametrize(
        "name",
        [
            "../secret.weights.h5",
            "/etc/passwd",
            "a/b.weights.h5",
            "..\\secret.weights.h5",
            ".hidden.weights.h5",
            "model_00000.weights.h5\n",
            "model_00000.weights.h5\0",
            "http://other/model.weights.h5",
            "",
            3,
            None,
            {},
        ],
    )
    @pytest.mark.parametrize("as_list", [True, False])
    def test_a_name_that_leads_elsewhere(self, shards, name, as_list):
        def change(data):
            first = next(iter(data["weight_map"]))
            data["weight_map"][first] = [name] if as_list else name
            return data

        change_json(shards / "model.weights.json", change)
        assert_refused(shards, "model.weights.h5", "not the name of a shard")

    def test_a_shard_is_missing(self, shards):
        (shards / "model_00001.weights.h5").unlink()
        assert_refused(shards, "model.weights.h5", "missing")

    @pytest.mark.parametrize(
        "index", ["{}", '{"weight_map": []}', '{"weight_map": {}}']
    )
    def test_an_index_of_another_form(self, shards, index):
        (shards / "model.weights.json").write_text(index)
        assert_refused(shards, "model.weights.h5", "weight_map")


def test_a_pickle_is_not_opened(preset, tmp_path):
    class Touch:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "pwned",))

    for name in ("model.weights.h5", "config.json", "task.json", "metadata.json"):
        original = (preset / name).read_bytes()
        (preset / name).write_bytes(pickle.dumps(Touch()))
        assert_refused(preset, name)
        (preset / name).write_bytes(original)
    assert not (tmp_path / "pwned").exists()


def test_the_reader_has_no_means_to_run_code():
    """The reader of presets uses no pickle, eval or deserialization."""
    forbidden = {"pickle", "marshal", "dill", "joblib", "shelve"}
    calls = {"eval", "exec", "deserialize_keras_object", "load_model", "from_config"}
    for name in ("_documents", "_values", "_format", "_weights", "_source", "load"):
        tree = ast.parse((PACKAGE / "hub" / f"{name}.py").read_text())
        words = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        words |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        words |= {
            a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
        }
        assert not words & (forbidden | calls), name


def test_huggingface_hub_is_imported_inside_functions_only():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = (
                [a.name for a in getattr(node, "names", ())]
                if isinstance(node, ast.Import)
                else [getattr(node, "module", None) or ""]
            )
            assert not any(n.startswith("huggingface_hub") for n in names), path


def test_random_damage(tmp_path):
    saved, sharded, folder = (tmp_path / name for name in ("p", "s", "f"))
    classifier = fuzz.smallest_classifier()
    classifier.save_to_preset(saved)
    classifier.save_to_preset(sharded, max_shard_size=60_000 / 2**30)
    folder.mkdir()
    counts = fuzz.rounds(saved, sharded, folder, range(100_000, 100_250))
    assert counts["loaded"] > 20 and counts["refused"] > 20
