"""General features of Keras models: freezing, LoRA, quantization."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import RedNet26, RedNetBackbone, RedNetImageClassifier
from keras_involution._keras_private import flat_layers
from tests.hub.networks import assert_same_weights, tiny_backbone, tiny_classifier
from tests.marks import one_backend


def examples() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((4, 32, 32, 3)).astype("float32")
    return x, np.array([0, 1, 2, 0])


def compiled(model: RedNetImageClassifier) -> RedNetImageClassifier:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit_compile = keras.config.backend() == "jax"  # XLA on TensorFlow takes long.
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=jit_compile)
    return model


def trained(model: RedNetImageClassifier) -> list[float]:
    x, y = examples()
    fitted = compiled(model).fit(x, y, epochs=2, shuffle=False, verbose=0)
    return fitted.history["loss"]


@pytest.mark.parametrize("count", (0, 1, 2))
@one_backend
def test_frozen_stages_stay_as_they_are(count):
    model = tiny_classifier()
    model.backbone.freeze_stages(count)
    before = {la.name: la.get_weights() for la in model.backbone.layers}
    trained(model)
    for layer in model.backbone.layers:
        if layer.weights:
            same = all(map(np.array_equal, layer.get_weights(), before[layer.name]))
            first = layer.name.startswith(("stem_", "stack0_", "stack1_")[: count + 1])
            assert same == first, layer.name


@one_backend
def test_stages_that_are_not_there():
    for count in (-1, 3, 1.0):
        with pytest.raises(ValueError, match=r"from 0 to 2.*Received: count="):
            tiny_backbone().freeze_stages(count)


def test_lora_on_the_pointwise_convolutions(tmp_path, monkeypatch):
    # With LoRA, kernels are always stored. The fused operator rounds differently; it is
    # compared with stored kernels in `tests/layers/test_fused_kernels.py`.
    monkeypatch.setattr("keras_involution.layers._base.is_faster", lambda *_: False)
    model, (x, _) = tiny_classifier(), examples()
    before = model.predict(x, verbose=0)
    kernels = []
    for layer in model.backbone.layers:
        for part in (
            layer,
            getattr(layer, "reduce", None),
            getattr(layer, "span", None),
        ):
            if getattr(part, "kernel_size", None) == (1, 1) and hasattr(
                part, "filters"
            ):
                part.enable_lora(2)
                kernels.append((part._kernel, keras.ops.convert_to_numpy(part._kernel)))
    assert len(kernels) > 8
    np.testing.assert_allclose(model.predict(x, verbose=0), before, atol=1e-6)
    trained(model)
    after = model.predict(x, verbose=0)
    assert np.abs(after - before).max() > 1e-4
    for kernel, value in kernels:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(kernel), value)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), after, atol=1e-6)


@one_backend
def test_enable_lora_adapts_the_pointwise_convolutions():
    model, (x, _) = tiny_classifier(), examples()
    before = model.predict(x, verbose=0)
    backbone = model.backbone
    with pytest.raises(ValueError, match=r"nothing would be trained.*\['query'\]"):
        backbone.enable_lora(2, ["query"])
    assert backbone.trainable_variables
    backbone.enable_lora(2)
    assert {"reduce", "span"} < set(backbone.default_lora_layer_names())
    names = {v.name for v in backbone.trainable_variables}
    assert names == {"bias", "lora_kernel_a", "lora_kernel_b"}
    assert len(backbone.trainable_variables) > 16
    np.testing.assert_allclose(model.predict(x, verbose=0), before, atol=1e-5)
    frozen = [
        (v, keras.ops.convert_to_numpy(v)) for v in backbone.non_trainable_variables
    ]
    trained(model)
    assert np.abs(model.predict(x, verbose=0) - before).max() > 1e-4
    for variable, value in frozen:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


@one_backend
def test_lora_in_another_shape_and_in_published_names():
    model, (x, _) = tiny_classifier(), examples()
    to_numpy = keras.ops.convert_to_numpy
    names = {n: to_numpy(a) for n, a in model.published_state_dict().items()}
    model.backbone.enable_lora(2)
    trained(model)
    expected = model.predict(x, verbose=0)
    again = model.with_image_shape((32, 32, 3))
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, atol=1e-5)
    found = {n: to_numpy(a) for n, a in model.published_state_dict().items()}
    assert found.keys() == names.keys()
    for name, array in again.published_state_dict().items():
        np.testing.assert_allclose(to_numpy(array), found[name], atol=1e-6)
    changed = [n for n, a in found.items() if np.abs(a - names[n]).max() > 1e-4]
    assert "backbone.layer1.0.conv1.weight" in changed


@one_backend
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_quantization():
    """Quantizes the dense layer and the 1x1 convolutions, and no other layer."""
    model, (x, _) = tiny_classifier(), examples()
    before = model.predict(x, verbose=0)
    model.quantize("int8")
    assert model.get_layer("predictions").dtype_policy.quantization_mode == "int8"
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.02 * np.abs(before).max()
    integers = [w for w in model.weights if w.dtype == "int8"]
    names = model.backbone.default_lora_layer_names()
    pointwise = [la for la in flat_layers(model.backbone) if la.name in names]
    assert len(integers) == 1 + len(pointwise) > 10


@one_backend  # On JAX, layers of Keras 3.15 fail in the scope.
def test_training_in_a_remat_scope_is_the_same():
    expected = trained(tiny_classifier())
    with keras.RematScope(mode="full"):
        model = tiny_classifier()
    assert trained(model) == pytest.approx(expected, rel=1e-6)


@one_backend
def test_weights_files(tmp_path):
    model, (x, _) = tiny_classifier(), examples()
    model.save_weights(tmp_path / "a.weights.h5")
    other = RedNetImageClassifier(
        model.backbone.from_config(model.backbone.get_config()), 3
    )
    other.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(
        other.predict(x, verbose=0), model.predict(x, verbose=0)
    )


@one_backend
def test_settings_of_a_backbone_that_is_there_are_refused():
    backbone = RedNet26(num_classes=2).backbone
    assert RedNet26(num_classes=3, backbone=backbone).num_classes == 3
    with pytest.raises(ValueError, match=r"pass them to it.*Received: image_shape="):
        RedNet26(backbone=backbone, image_shape=(64, 64, 3))


@pytest.mark.parametrize("pooling", ("avg", "max", None))
@one_backend
def test_features_without_the_head(pooling, tmp_path):
    whole, (x, _) = tiny_classifier(), examples()
    whole.save_to_preset(tmp_path / "p")
    model = RedNetImageClassifier.from_preset(
        tmp_path / "p", include_top=False, pooling=pooling
    )
    maps = whole.backbone.predict(x, verbose=0)
    expected = {"avg": maps.mean((1, 2)), "max": maps.max((1, 2)), None: maps}[pooling]
    features = model.predict(x, verbose=0)
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    again = RedNetImageClassifier.from_config(model.get_config())
    assert again.output_shape == model.output_shape
    with pytest.raises(ValueError, match=r"cannot classify.*Received"):
        model.classify(x[0])
    with pytest.raises(ValueError, match=r"save `model.backbone`.*Received"):
        model.save_to_preset(tmp_path / "q")
    model.backbone.save_to_preset(tmp_path / "b")
    model = RedNetImageClassifier.from_preset(
        tmp_path / "b", include_top=False, pooling=pooling, image_shape=(32, 32, 3)
    )
    np.testing.assert_array_equal(model.predict(x, verbose=0), features)


@one_backend
def test_a_head_needs_pooling_and_classes():
    assert RedNet26(include_top=False).output_shape == (None, 2048)
    for arguments in ({"pooling": None}, {"num_classes": None}):
        with pytest.raises(ValueError, match="Received: "):
            RedNet26(**arguments)


def branches(model, x: np.ndarray, training: bool) -> dict[str, np.ndarray]:
    """The outputs of the residual branches and their sums, by layer name."""
    names = [la.name for la in model.layers if la.name.endswith(("_3_bn", "_0_bn"))]
    adds = [la.name for la in model.layers if la.name.endswith("_add")]
    outputs = {n: model.get_layer(n).output for n in (*names, *adds)}
    found = keras.Model(model.input, outputs)(x, training=training)
    return {n: keras.ops.convert_to_numpy(v) for n, v in found.items()}


def test_drop_path_leaves_out_whole_branches(tmp_path):
    model = tiny_backbone(drop_path_rate=0.5)
    x = np.repeat(examples()[0], 16, axis=0)
    fractions = []
    for block in ("stack0_block0", "stack1_block0"):
        found = branches(model, x, training=True)
        added = found[f"{block}_add"] - found[f"{block}_0_bn"]
        kept = np.abs(added).max((1, 2, 3)) > 1e-3
        fractions.append(kept.mean())
        scale = 1 if block == "stack0_block0" else 2
        np.testing.assert_allclose(
            added[kept], scale * found[f"{block}_3_bn"][kept], atol=2e-3
        )
    assert fractions[0] == 1 and 0.25 < fractions[1] < 0.75
    found = branches(model, x, training=False)
    for block in ("stack0_block0", "stack1_block0"):
        expected = found[f"{block}_0_bn"] + found[f"{block}_3_bn"]
        np.testing.assert_allclose(found[f"{block}_add"], expected, atol=1e-4)


@one_backend
def test_drop_path_in_presets_and_its_rates(tmp_path):
    model = tiny_backbone(drop_path_rate=0.3, stackwise_num_blocks=[3, 2])
    adds = [la for la in model.layers if la.name.endswith("_add")]
    rates = [getattr(la, "rate", 0) for la in adds]
    np.testing.assert_allclose(rates, [0, 0.075, 0.15, 0.225, 0.3])
    model.save_to_preset(tmp_path / "p")
    again = RedNetBackbone.from_preset(tmp_path / "p")
    assert again.drop_path_rate == 0.3
    plain = RedNetBackbone.from_preset(tmp_path / "p", drop_path_rate=0.0)
    assert_same_weights(plain, model)
    plain.save_to_preset(tmp_path / "q")
    again = RedNetBackbone.from_preset(tmp_path / "q", drop_path_rate=0.3)
    assert_same_weights(again, model)
    for source, target in ((plain, model), (model, plain)):
        source.save_weights(tmp_path / "a.weights.h5")
        target.set_weights([0 * w for w in target.get_weights()])
        target.load_weights(tmp_path / "a.weights.h5")
        assert_same_weights(target, again)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same_weights(loaded, again)
    assert loaded.get_layer("stack1_block1_add").rate == 0.3
    for rate in (1.0, -0.1, "half", True):
        with pytest.raises(ValueError, match=r"less than 1.*Received: drop_path_rate="):
            tiny_backbone(drop_path_rate=rate)
