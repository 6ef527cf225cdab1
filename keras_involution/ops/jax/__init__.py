"""Implementations of the operator for this backend, best first."""

from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.jax.native import NATIVE
from keras_involution.ops.jax.pallas_kernel import PALLAS

IMPLEMENTATIONS = (NATIVE, PALLAS, PORTABLE)
