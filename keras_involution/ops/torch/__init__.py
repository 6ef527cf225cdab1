"""Implementations of the operator for this backend, best first."""

import torch

from keras_involution.ops._implementation import Implementation
from keras_involution.ops._portable import PORTABLE
from keras_involution.ops.torch.cpp_kernel import CPP
from keras_involution.ops.torch.native import NATIVE
from keras_involution.ops.torch.triton_kernel import TRITON

# The first runs on CPUs only, the second on CUDA devices only.
IMPLEMENTATIONS: tuple[Implementation, ...] = (CPP, TRITON, NATIVE, PORTABLE)


def exported_form(inputs: torch.Tensor) -> str | None:
    """The implementation of programs that are written down to run elsewhere.

    `torch.export`, and with it ONNX and LiteRT, says that it is at work; the exporters
    that came before it trace modules of TorchScript.
    """
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        return "portable"
    return None
