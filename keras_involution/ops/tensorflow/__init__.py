"""Implementations of the operator for this backend, best first."""

from keras_involution.ops._implementation import Implementation
from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.tensorflow.cpp_kernel import CPP
from keras_involution.ops.tensorflow.native import NATIVE

IMPLEMENTATIONS: tuple[Implementation, ...] = (CPP, NATIVE, PORTABLE)
