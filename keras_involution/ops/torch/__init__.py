"""Implementations of the operator for this backend, best first."""

from typing import Any

import torch

from keras_involution.ops import _geometry
from keras_involution.ops._geometry import Geometry, cached_geometry
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


def geometry_of(*arguments: Any) -> Geometry:
    """The geometry of two shapes, whose sizes may be symbolic in `torch.compile`."""
    make = _geometry.geometry_of if torch.compiler.is_compiling() else cached_geometry
    return make(*arguments)
