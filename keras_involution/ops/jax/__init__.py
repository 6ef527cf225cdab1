"""Implementations of the operator for this backend, best first."""

import jax

from keras_involution.ops import _callers
from keras_involution.ops._geometry import cached_geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.jax.cpp_kernel import CPP
from keras_involution.ops.jax.native import NATIVE
from keras_involution.ops.jax.pallas_kernel import PALLAS

IMPLEMENTATIONS: tuple[Implementation, ...] = (CPP, NATIVE, PALLAS, PORTABLE)
geometry_of = cached_geometry


def exported_form(inputs: jax.Array) -> str | None:
    """The implementation to use in programs that a Keras exporter traces.

    `jax.export` writes StableHLO only (`_primitives.py`). The other exporters read the
    program before it is lowered, and support only JAX's own operations.
    """
    if not isinstance(inputs, jax.core.Tracer):
        return None
    return "portable" if _callers.keras_exporter() in ("onnx", "openvino") else None
