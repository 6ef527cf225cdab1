"""What Keras offers to every model works here: freezing, LoRA, quantisation."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_involution import RedNet26, RedNetImageClassifier
from tests.hub.networks import tiny_backbone, tiny_classifier
from tests.marks import one_backend


def examples() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((4, 32, 32, 3)).astype("float32")
    return x, np.array([0, 1, 2, 0])


def compiled(model: RedNetImageClassifier) -> RedNetImageClassifier:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
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


def test_lora_on_the_pointwise_convolutions(tmp_path):
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
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_quantisation_of_the_head():
    """Keras has int8 for dense layers; the others keep their weights."""
    model, (x, _) = tiny_classifier(), examples()
    before = model.predict(x, verbose=0)
    model.quantize("int8")
    assert model.get_layer("predictions").dtype_policy.quantization_mode == "int8"
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.02 * np.abs(before).max()


@one_backend  # On JAX, Keras 3.15's own layers fail in the scope.
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
    with pytest.raises(ValueError, match=r"give them to it.*Received: image_shape="):
        RedNet26(backbone=backbone, image_shape=(64, 64, 3))
