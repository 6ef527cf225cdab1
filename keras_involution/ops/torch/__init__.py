"""Implementations of the operator for this backend, best first."""

from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.torch.cpp_kernel import CPP
from keras_involution.ops.torch.native import NATIVE

IMPLEMENTATIONS = (CPP, NATIVE, PORTABLE)
