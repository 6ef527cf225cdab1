"""What torch 2.13 tells only in private: each fact, and why it is needed.

`tests/ops/test_torch_transforms.py` fails when one of them is gone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.autograd import forward_ad


def is_transformed() -> bool:
    """Whether a transformation of `torch.func` or a dual level is at work, in which the
    registered operator loses derivatives: nothing public tells it."""
    active: Callable[[], bool] = torch._C._are_functorch_transforms_active
    return active() or forward_ad._current_level >= 0
