"""Implementations of the operator for this backend, best first."""

from keras_involution.ops._implementation import Implementation
from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.jax.cpp_kernel import CPP
from keras_involution.ops.jax.native import NATIVE
from keras_involution.ops.jax.pallas_kernel import PALLAS

IMPLEMENTATIONS: tuple[Implementation, ...] = (CPP, NATIVE, PALLAS, PORTABLE)
