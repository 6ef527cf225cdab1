"""Implementations of the operator for this backend, best first."""

from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.tensorflow.native import NATIVE

IMPLEMENTATIONS = (NATIVE, PORTABLE)
