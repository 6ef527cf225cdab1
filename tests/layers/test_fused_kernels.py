"""Layers whose kernels are not stored compute and learn the same values."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_involution.layers import Involution2D, _base
from tests.export.networks import classifier, inputs
from tests.marks import one_backend, torch_first


@pytest.fixture
def calls(monkeypatch):
    """Counts the calls of the fused operator."""
    made, operator = [], _base.ops.fused_involution

    def counted(*args, **kwargs):
        made.append(args)
        return operator(*args, **kwargs)

    monkeypatch.setattr(_base.ops, "fused_involution", counted)
    return made


def trained(steps: int = 3):
    """Losses and outputs of a small network after some steps of `fit`."""
    model = classifier()
    model.compile(keras.optimizers.SGD(0.01), "mse")
    x, y = inputs(4, 32, 32), np.eye(4, 3, dtype="float32")
    history = model.fit(x, y, batch_size=4, epochs=steps, verbose=0, shuffle=False)
    return history.history["loss"], model.predict(x, verbose=0)


@torch_first
def test_training_is_the_same(calls, monkeypatch):
    losses, outputs = trained()
    assert len(calls) >= 2  # Stem and block.
    own = _base.BaseInvolution._is_fused
    monkeypatch.setattr(_base.BaseInvolution, "_is_fused", lambda *_: False)
    calls.clear()
    expected = trained()
    assert not calls and own is not _base.BaseInvolution._is_fused
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(outputs, expected[1], rtol=1e-4, atol=1e-5)


@one_backend
def test_where_kernels_are_stored(calls):
    x = ops.ones((1, 6, 6, 32))
    layer = Involution2D(3, groups=2, data_format="channels_last")
    for training in (True, False):
        layer(x, training=training)
    assert len(calls) == 2
    layer(x, training=True, return_kernels=True)
    layer.generate_kernels(x)
    layer.span.enable_lora(2)
    layer(x, training=True)
    for options in (
        {"data_format": "channels_first"},
        {"data_format": "channels_last", "dtype": "mixed_bfloat16"},
        {"data_format": "channels_last", "implementation": "native"},
    ):
        Involution2D(3, groups=2, **options)(ops.ones((1, 32, 6, 32)), training=True)
    assert len(calls) == 2


@one_backend
def test_exported_programs_store_them(calls):
    import torch

    layer = Involution2D(3, groups=2, data_format="channels_last")
    x = ops.ones((1, 6, 6, 32))
    expected = layer(x)
    calls.clear()
    program = torch.export.export(layer, (x,)).module()
    assert not calls
    torch.testing.assert_close(program(x), expected)
