"""Private interfaces of torch 2.13, and the reason each one is needed.

`tests/ops/test_torch_transforms.py` fails when one of them is removed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.autograd import forward_ad


def is_transformed() -> bool:
    """Whether a transform of `torch.func` or a dual level is active. The registered
    operator loses derivatives there, and no public function reports it."""
    active: Callable[[], bool] = torch._C._are_functorch_transforms_active
    return active() or forward_ad._current_level >= 0


# The operations of oneDNN that compiled programs use. No public function of PyTorch
# computes float32 products with oneDNN, or adds bias, sum and ReLU to a convolution.
_ONEDNN = ("_linear_pointwise", "_convolution_pointwise", "_convolution_pointwise_")


def has_onednn() -> bool:
    """Whether this build of PyTorch has the operations."""
    return all(hasattr(torch.ops.mkldnn, name) for name in _ONEDNN)


if has_onednn():
    linear = torch.ops.mkldnn._linear_pointwise
    convolution = torch.ops.mkldnn._convolution_pointwise
    convolution_into = torch.ops.mkldnn._convolution_pointwise_
