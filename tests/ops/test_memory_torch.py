"""No implementation makes anything of K * K times the size of its inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from keras_involution.ops import available_implementations, involution
from keras_involution.ops._geometry import geometry_of
from keras_involution.ops._implementation import named
from keras_involution.ops.involution import IMPLEMENTATIONS

STATUS = Path("/proc/self/status")
PEAK_RESET = Path("/proc/self/clear_refs")
WINDOW, GROUPS = 7, 4

pytestmark = pytest.mark.skipif(
    not PEAK_RESET.exists() or torch.cuda.is_available(),
    reason="The peak of a process's memory is read as Linux tells it, on the CPU.",
)


def unfold(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The published formulation, which writes the patches out."""
    x, k = x.movedim(-1, 1), k.movedim((1, 2), (-2, -1)).flatten(2, 3)
    patches = torch.nn.functional.unfold(x, WINDOW, padding=WINDOW // 2)
    patches = patches.unflatten(1, (GROUPS, -1, WINDOW**2)).unflatten(-1, x.shape[2:])
    return (k.unsqueeze(2) * patches).sum(3).flatten(1, 2).movedim(1, -1)


def extra_bytes(function, x: torch.Tensor, k: torch.Tensor) -> int:
    """How far a forward and backward pass raises the process's memory at its peak."""
    function(x[:1], k[:1]).sum().backward()
    PEAK_RESET.write_text("5")
    before = kilobytes("VmHWM")
    function(x, k).sum().backward()
    return 1024 * (kilobytes("VmHWM") - before)


def kilobytes(field: str) -> int:
    line = next(s for s in STATUS.read_text().splitlines() if s.startswith(field))
    return int(line.split()[1])


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(4, 32, 32, 64, requires_grad=True)
    k = torch.randn(4, 32, 32, GROUPS, WINDOW, WINDOW, requires_grad=True)
    return x, k


@pytest.mark.parametrize("name", available_implementations())
def test_no_patches_are_written(name):
    x, k = tensors()
    geometry = geometry_of(x.shape, k.shape, 1, 1, "channels_last")
    reason = named(IMPLEMENTATIONS, name).unsupported_reason(x, k, geometry)
    if reason is not None:
        pytest.skip(reason)

    def call(inputs, kernels):
        return involution(
            inputs, kernels, data_format="channels_last", implementation=name
        )

    patches = WINDOW**2 * x.numel() * x.element_size()
    assert extra_bytes(call, x, k) < patches / 2


def test_the_published_formulation_would_be_seen():
    x, k = tensors()
    torch.testing.assert_close(
        unfold(x, k), involution(x, k, data_format="channels_last")
    )
    assert extra_bytes(unfold, x, k) > WINDOW**2 * x.numel() * x.element_size()
