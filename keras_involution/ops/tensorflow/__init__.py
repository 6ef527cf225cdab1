"""Implementations of the operator for this backend, best first."""

import tensorflow as tf

from keras_involution.ops import _callers
from keras_involution.ops._geometry import cached_geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.tensorflow.cpp_kernel import CPP
from keras_involution.ops.tensorflow.native import NATIVE

IMPLEMENTATIONS: tuple[Implementation, ...] = (CPP, NATIVE, PORTABLE)
geometry_of = cached_geometry


def exported_form(inputs: tf.Tensor) -> str | None:
    """The implementation to use in programs that are exported to run elsewhere.

    ONNX, LiteRT and OpenVINO do not support functions that XLA compiles.
    """
    if tf.executing_eagerly() or _callers.keras_exporter() is None:
        return None
    return "portable"
