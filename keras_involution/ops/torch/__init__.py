"""Implementations of the operator for this backend, best first."""

import torch

from keras_involution._typing import Shape
from keras_involution.ops import _geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.torch.cpp_kernel import CPP
from keras_involution.ops.torch.native import NATIVE
from keras_involution.ops.torch.triton_kernel import TRITON

# The first runs on CPUs only, the second on CUDA devices only.
IMPLEMENTATIONS: tuple[Implementation, ...] = (CPP, TRITON, NATIVE, PORTABLE)


def exported_form(inputs: torch.Tensor) -> str | None:
    """The implementation to use in programs that are exported to run elsewhere.

    `torch.export`, which the ONNX and LiteRT exporters use, reports that it is running.
    Older exporters trace TorchScript modules.
    """
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        return "portable"
    return None


def geometry_of(
    input_shape: Shape,
    kernels_shape: Shape,
    strides: int | tuple[int, ...],
    dilation_rate: int | tuple[int, ...],
    data_format: str | None,
) -> _geometry.Geometry:
    """The geometry of two shapes, whose sizes may be symbolic in `torch.compile`."""
    compiling = torch.compiler.is_compiling()
    make = _geometry.geometry_of if compiling else _geometry.cached_geometry
    return make(input_shape, kernels_shape, strides, dilation_rate, data_format)
