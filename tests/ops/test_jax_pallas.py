"""The Pallas kernel lowers for a TPU, which the interpreter cannot show."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from keras_involution.ops._geometry import geometry_of
from keras_involution.ops.jax import pallas_kernel

# (side, channels, strides, window): RedNet's stem, stages, and the start of a stage.
PLACES = ((112, 32, 1, 3), (56, 64, 1, 7), (56, 128, 2, 7), (7, 512, 1, 7))


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize("side, channels, strides, window", PLACES)
def test_lowers_for_a_tpu(side, channels, strides, window, dtype, monkeypatch):
    """Lowers to a Mosaic program, as on a TPU, without a TPU."""
    monkeypatch.setattr(pallas_kernel, "_on_tpu", lambda: True)
    out = side // strides
    groups = channels // 16
    x = jax.ShapeDtypeStruct((2, side, side, channels), dtype)
    k = jax.ShapeDtypeStruct((2, out, out, groups, window, window), dtype)
    geometry = geometry_of(x.shape, k.shape, strides, 1, "channels_last")

    def forward(x, k):
        return pallas_kernel.PALLAS.run(x, k, geometry)

    lowered = jax.jit(forward).trace(x, k).lower(lowering_platforms=("tpu",))
    assert "tpu_custom_call" in lowered.as_text()
