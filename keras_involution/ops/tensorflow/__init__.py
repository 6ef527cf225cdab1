"""Implementations of the operator for this backend, best first."""

from keras_involution.ops._portable import PORTABLE

IMPLEMENTATIONS = (PORTABLE,)
