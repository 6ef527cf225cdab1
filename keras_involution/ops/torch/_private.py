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
