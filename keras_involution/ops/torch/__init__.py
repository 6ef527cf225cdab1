"""Implementations of the operator for this backend, best first."""

from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.torch.cpp_kernel import CPP
from keras_involution.ops.torch.native import NATIVE
from keras_involution.ops.torch.triton_kernel import TRITON

# The first runs on CPUs only, the second on CUDA devices only.
IMPLEMENTATIONS = (CPP, TRITON, NATIVE, PORTABLE)
