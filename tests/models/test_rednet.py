"""The RedNet family: parameter counts, sizes, baselines, configuration, saving."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import keras_involution
from keras_involution import RedNet26, RedNet50, RedNetBackbone, RedNetImageClassifier
from keras_involution._keras_private import flat_layers
from tests.marks import one_backend

# With moving statistics, 3x3 stem, 1000 classes: github.com/d-li14/involution.
PARAMETERS = {
    26: 9_264_318,
    38: 12_430_138,
    50: 15_595_958,
    101: 25_762_502,
    152: 34_142_134,
}


def tiny(**arguments) -> RedNetBackbone:
    # Windows of 7x7 are compared with the published outputs elsewhere.
    arguments = {"data_format": "channels_last", "kernel_size": 3, **arguments}
    return RedNetBackbone(
        stackwise_num_filters=[16, 16, 32],
        stackwise_num_blocks=[1, 2, 1],
        stackwise_strides=[1, 2, 2],
        group_channels=8,
        **arguments,
    )


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize(
    "depth",
    [26, 152, *(pytest.param(depth, marks=one_backend) for depth in (38, 50, 101))],
)
def test_parameters_are_the_published_ones(depth):
    model = getattr(keras_involution, f"RedNet{depth}")()
    assert model.count_params() == PARAMETERS[depth]
    assert model.backbone.depth == depth


def test_nothing_is_left_to_build():
    """Keras on JAX runs a model with an unbuilt layer eagerly before each predict."""
    model = RedNetImageClassifier(tiny(), 3)
    model.preprocessor(noise(1, 20, 20, 3))
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model)
    )
    for each in (RedNet26(num_classes=2), model, loaded):
        inside = flat_layers(each, include_self=True)
        assert [layer.name for layer in inside if not layer.built] == []


def test_parameters_of_the_large_stem():
    # 9,233,886 in the published table, plus the moving statistics.
    model = RedNet26(stem_kernel_size=7)
    statistics = sum(int(np.prod(w.shape)) for w in model.non_trainable_weights)
    assert model.count_params() - statistics == 9_233_886


def test_the_baseline_is_a_resnet_on_the_same_plan():
    baseline = tiny(spatial_operator="convolution")
    names = [layer.name for layer in tiny().layers]
    assert not [layer for layer in baseline.layers if "involution" in layer.name]
    plan = [n for n in names if n.endswith(("_bn", "_add", "_out", "_0_conv"))]
    assert [la.name for la in baseline.layers if la.name in plan] == plan
    shapes = {k: v.shape for k, v in tiny().pyramid_outputs.items()}
    assert {k: v.shape for k, v in baseline.pyramid_outputs.items()} == shapes


@pytest.mark.parametrize("depth, millions", [(26, 13.7), (50, 25.6)])
def test_the_baselines_have_the_parameters_of_resnets(depth, millions):
    # The tables of the paper, with the same rounding.
    backbone = RedNetBackbone.from_depth(depth, spatial_operator="convolution")
    baseline = RedNetImageClassifier(backbone, num_classes=1000)
    assert round(trainable(baseline) / 1e6, 1) == millions


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def test_any_input_size(data_format):
    backbone = tiny(data_format=data_format)
    pyramid = keras.Model(backbone.inputs, backbone.pyramid_outputs)
    axes = (1, 2) if data_format == "channels_last" else (2, 3)
    for sides in ((32, 32), (33, 47), (1, 1), (65, 30)):
        x = noise(1, *sides, 3)
        x = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
        for level, output in pyramid.predict(x, verbose=0).items():
            step = 2 ** int(level[1:])
            assert [output.shape[a] for a in axes] == [-(-s // step) for s in sides]


def test_both_data_formats_compute_the_same():
    last, first = tiny(), tiny(data_format="channels_first")
    first.set_weights(last.get_weights())
    x = noise(2, 33, 40, 3)
    y = last.predict(x, verbose=0)
    other = np.moveaxis(first.predict(np.moveaxis(x, -1, 1), verbose=0), 1, -1)
    assert np.linalg.norm(other - y) < 1e-5 * np.linalg.norm(y)


def test_pyramid_names_lead_to_its_layers():
    backbone = tiny()
    assert list(backbone.pyramid_outputs) == ["P2", "P3", "P4"]
    for level, name in backbone.pyramid_level_inputs.items():
        assert backbone.get_layer(name).output is backbone.pyramid_outputs[level]


def test_residual_branches_start_at_zero():
    for layer in tiny().layers:
        if layer.name.endswith("_3_bn"):
            assert not np.any(layer.get_weights()[0]) or layer.name == "stem_3_bn"


@pytest.mark.parametrize("operator", ("involution", "convolution"))
def test_configuration_round_trip(operator):
    model = RedNetImageClassifier(
        tiny(spatial_operator=operator, image_shape=(32, 32, 3)),
        num_classes=3,
        pooling="max",
        activation="softmax",
        dropout=0.1,
        class_names=["a", "b", "c"],
    )
    config = json.loads(json.dumps(model.get_config()))
    again = RedNetImageClassifier.from_config(config)
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())


def test_keras_file_round_trip(tmp_path):
    model = RedNetImageClassifier(tiny(), num_classes=3, class_names=["a", "b", "c"])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is RedNetImageClassifier
    assert again.class_names == model.class_names
    assert again.preprocessor.image_size == model.preprocessor.image_size
    x = noise(2, 32, 32, 3)
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_fit_with_a_keras_dataset_learns():
    backbone = RedNetBackbone([16], [1], [2], kernel_size=3, group_channels=8)
    model = RedNetImageClassifier(backbone, num_classes=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    x, y = noise(16, 16, 16, 3), np.arange(16) // 2 % 2
    x[y == 1] += 1
    history = model.fit(Batches(x, y), epochs=6, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]


def test_the_first_step_is_traced_once(monkeypatch):
    model = RedNetImageClassifier(tiny(), num_classes=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    traced = []
    step = model.train_step
    monkeypatch.setattr(
        model, "train_step", lambda *data: traced.append(data) or step(*data)
    )
    model.train_on_batch(noise(2, 16, 16, 3), np.array([0, 2]))
    assert len(traced) == 1


class Batches(keras.utils.PyDataset):
    """The same two halves of a dataset, three times per epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(index % 2, None, 2)
        return self.x[part], self.y[part]


def test_classify_orders_names_by_probability():
    model = RedNetImageClassifier(tiny(), num_classes=3, class_names=["a", "b", "c"])
    head = model.get_layer("predictions")
    kernel, _ = head.get_weights()
    head.set_weights([0 * kernel, np.log(np.array([0.2, 0.7, 0.1], "float32"))])
    images = [np.zeros((20, 30, 3), "uint8"), np.zeros((40, 10, 3), "uint8")]
    for best in model.classify(images, top=2):
        assert [name for name, _ in best] == ["b", "a"]
        assert np.allclose([p for _, p in best], [0.7, 0.2], atol=1e-6)


def test_mixed_precision_reaches_every_layer():
    backbone = tiny(dtype="mixed_bfloat16")
    layers = [
        la for la in backbone.layers if not isinstance(la, keras.layers.InputLayer)
    ]
    assert {layer.dtype_policy.name for layer in layers} == {"mixed_bfloat16"}
    model = RedNetImageClassifier(backbone, num_classes=2)
    assert model.output.dtype == "bfloat16"


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"num_classes": 0}, r"positive integer.*Received: num_classes=0"),
        ({"class_names": ["a"]}, r"1000 names.*Received: class_names=\['a'\]"),
        ({"pooling": "mean"}, r"one of.*Received: pooling='mean'"),
        ({"spatial_operator": "conv"}, r"one of.*Received: spatial_operator='conv'"),
        ({"stem_kernel_size": 4}, r"odd.*Received: stem_kernel_size=4"),
        ({"data_format": "NHWC"}, r"one of.*Received: data_format='NHWC'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        RedNet26(**arguments)


def test_bad_backbones():
    with pytest.raises(ValueError, match=r"depth.*Received: depth=49"):
        RedNetBackbone.from_depth(49)
    with pytest.raises(ValueError, match=r"needs a backbone of depth 50.*depth=26"):
        RedNet50(backbone=RedNetBackbone.from_depth(26))
    with pytest.raises(ValueError, match=r"same length.*Received: stackwise_num_f"):
        RedNetBackbone(stackwise_num_blocks=[1, 2])
    with pytest.raises(ValueError, match=r"divisible.*Received: filters=8"):
        RedNetBackbone([16, 32], [1, 1], [1, 2])
