"""No implementation allocates a tensor of K * K times the size of its inputs."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from keras_involution.ops import available_implementations, involution
from keras_involution.ops._geometry import geometry_of
from keras_involution.ops._implementation import named
from keras_involution.ops.involution import IMPLEMENTATIONS

STATUS = Path("/proc/self/status")
PEAK_RESET = Path("/proc/self/clear_refs")
WINDOW, GROUPS = 7, 4

reads_the_peak = pytest.mark.skipif(
    not PEAK_RESET.exists() or torch.cuda.is_available(),
    reason="The peak of a process's memory is read as Linux tells it, on the CPU.",
)


class LargestTensor(TorchDispatchMode):
    """Records the largest storage of a tensor in any operation, including gradients.

    It does not see allocations inside our own kernels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(results):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return results


def largest_tensor(function, x: torch.Tensor, k: torch.Tensor) -> int:
    with LargestTensor() as watch:
        function(x, k).sum().backward()
    return watch.bytes


def unfold(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The published formulation, which stores all patches."""
    x, k = x.movedim(-1, 1), k.movedim((1, 2), (-2, -1)).flatten(2, 3)
    patches = torch.nn.functional.unfold(x, WINDOW, padding=WINDOW // 2)
    patches = patches.unflatten(1, (GROUPS, -1, WINDOW**2)).unflatten(-1, x.shape[2:])
    return (k.unsqueeze(2) * patches).sum(3).flatten(1, 2).movedim(1, -1)


def peak_of(name: str) -> int:
    """The increase of peak memory by a forward and backward pass in a new process.

    In a process that did other work before, the system reclaims memory meanwhile.
    """
    command = [sys.executable, "-m", "tests.ops.test_memory_torch", name]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    return int(found.stdout)


def extra_bytes(function) -> int:
    x, k = tensors()
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

    assert largest_tensor(call, x, k) < patches_bytes(x) / 2


def largest_in_graph(function, x: torch.Tensor, k: torch.Tensor) -> int:
    """Elements of the largest tensor in the FX graph of values and gradients."""

    def run(x, k):
        y = function(x, k)
        return y, *torch.autograd.grad(y.sum(), (x, k))

    nodes = make_fx(run, tracing_mode="fake")(x, k).graph.nodes
    tensors = tree_leaves([node.meta.get("val") for node in nodes])
    return max(t.numel() for t in tensors if isinstance(t, torch.Tensor))


@pytest.mark.parametrize("name", ("cpp", "native"))
def test_no_patches_in_the_graph(name):
    x, k = tensors()
    geometry = geometry_of(x.shape, k.shape, 1, 1, "channels_last")
    implementation = named(IMPLEMENTATIONS, name)
    reason = implementation.unsupported_reason(x, k, geometry)
    if reason is not None:
        pytest.skip(reason)

    def call(inputs, kernels):
        return implementation.run(inputs, kernels, geometry)

    assert largest_in_graph(call, x, k) <= k.numel()
    assert largest_in_graph(unfold, x, k) >= WINDOW**2 * x.numel()


@reads_the_peak
def test_nor_by_the_kernel_in_cpp():
    x, k = tensors()
    geometry = geometry_of(x.shape, k.shape, 1, 1, "channels_last")
    implementation = named(IMPLEMENTATIONS, "cpp")
    reason = implementation.unsupported_reason(x, k, geometry)
    if reason is not None:
        pytest.skip(reason)

    assert peak_of("cpp") < patches_bytes(x) / 2


def patches_bytes(x: torch.Tensor) -> int:
    return WINDOW**2 * x.numel() * x.element_size()


def test_the_published_formulation_would_be_seen():
    x, k = tensors()
    torch.testing.assert_close(
        unfold(x, k), involution(x, k, data_format="channels_last")
    )
    assert largest_tensor(unfold, x, k) >= patches_bytes(x)


@reads_the_peak
def test_the_published_formulation_would_be_seen_at_the_peak():
    assert peak_of("unfold") > patches_bytes(tensors()[0])


if __name__ == "__main__":
    functions = {
        "unfold": unfold,
        "cpp": partial(involution, data_format="channels_last", implementation="cpp"),
    }
    print(extra_bytes(functions[sys.argv[1]]))
