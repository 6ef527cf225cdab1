"""Communication between the processes of a PyTorch job that train one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist


def world_size() -> int:
    """Number of processes in the job; 1 without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return 1


def add_over_processes(tensors: Sequence[torch.Tensor]) -> None:
    """Replaces each tensor with its sum over all processes."""
    for dtype in {tensor.dtype for tensor in tensors}:
        some = [tensor for tensor in tensors if tensor.dtype == dtype]
        # One message for all of them, since every message has a latency.
        flat = torch.cat([tensor.reshape(-1) for tensor in some])
        dist.all_reduce(flat)
        sums = flat.split([tensor.numel() for tensor in some])
        for tensor, total in zip(some, sums):
            tensor.copy_(total.view_as(tensor))


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: torch.Tensor) -> torch.Tensor:
        mean = tensor.detach().clone()
        dist.all_reduce(mean)
        return mean / dist.get_world_size()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Mean.forward(None, gradient)


def mean_over_processes(tensor: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes; its gradient is the mean of theirs."""
    mean: torch.Tensor = _Mean.apply(tensor)
    return mean
