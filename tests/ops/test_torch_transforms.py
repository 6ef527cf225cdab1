"""`torch.func`, forward mode and single gradients never return wrong zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from keras_involution.ops import _reference
from keras_involution.ops._implementation import named
from keras_involution.ops.involution import IMPLEMENTATIONS
from keras_involution.ops.torch._private import is_transformed
from tests.ops.cases import Case

# A warning of torch itself at the first use of forward mode.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
)
CASE = Case((5, 4), (3, 5), channels=4, strides=(2, 1), dilation_rate=(1, 2))
X, K, DY, GEOMETRY = CASE.tensors("float64")
RNG = np.random.default_rng(1)
# A direction for each of the tensors.
U, V, W = (RNG.standard_normal(a.shape) for a in (X, K, DY))


def test_torch_still_tells_in_private_what_is_at_work():
    x = torch.ones(2, dtype=torch.float64)
    seen = [is_transformed()]

    def asked(x):
        seen.append(is_transformed())
        return x.sum()

    torch.func.grad(asked)(x)
    with forward_ad.dual_level():
        asked(x)
    asked(x)
    assert seen == [False, True, True, False]


def outputs(x, k) -> np.ndarray:
    return _reference.involution(x, k, GEOMETRY)


def gradients(x, k, dy) -> tuple[np.ndarray, np.ndarray]:
    return _reference.gradients(x, k, dy, GEOMETRY)


def tensors(*arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor(a, dtype=torch.float64) for a in arrays)


def close(results, *expected: np.ndarray) -> None:
    for result, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(result, torch.from_numpy(wanted), rtol=0, atol=1e-11)


@pytest.fixture(params=("cpp", "native"))
def involution(request):
    implementation = named(IMPLEMENTATIONS, request.param)
    reason = implementation.unsupported_reason(*tensors(X, K), GEOMETRY)
    if reason is not None or torch.get_default_device().type != "cpu":
        pytest.skip(reason or "The tensors here lie on the CPU.")
    return lambda inputs, kernels: implementation.run(inputs, kernels, GEOMETRY)


def weighted(involution, dy: torch.Tensor):
    return lambda x, k: (involution(x, k) * dy).sum()


def test_func_grad(involution):
    x, k, dy = tensors(X, K, DY)
    got = torch.func.grad(weighted(involution, dy), (0, 1))(x, k)
    close(got, *gradients(X, K, DY))


def test_func_vjp_and_jacrev_agree(involution):
    x, k, dy = tensors(X, K, DY)
    value, pull_back = torch.func.vjp(involution, x, k)
    close((value, *pull_back(dy)), outputs(X, K), *gradients(X, K, DY))
    of_x, of_k = torch.func.jacrev(involution, (0, 1))(x, k)
    got = torch.tensordot(dy, of_x, 4), torch.tensordot(dy, of_k, 4)
    close(got, *gradients(X, K, DY))


def test_func_grad_of_grad(involution):
    x, k, dy, u, v = tensors(X, K, DY, U, V)

    def slope(x, k, dy):
        dx, dk = torch.func.grad(weighted(involution, dy), (0, 1))(x, k)
        return (dx * u).sum() + (dk * v).sum()

    got = torch.func.grad(slope, (0, 1, 2))(x, k, dy)
    close(got, *gradients(U, V, DY), outputs(U, K) + outputs(X, V))


def test_func_jvp(involution):
    x, k, u, v = tensors(X, K, U, V)
    got = torch.func.jvp(involution, (x, k), (u, v))
    close(got, outputs(X, K), outputs(U, K) + outputs(X, V))
    got = torch.func.jvp(lambda x: involution(x, k), (x,), (u,))
    close(got, outputs(X, K), outputs(U, K))


def test_dual_numbers(involution):
    x, k, v = tensors(X, K, V)
    with forward_ad.dual_level():
        y = forward_ad.unpack_dual(involution(x, forward_ad.make_dual(k, v)))
    close(y, outputs(X, K), outputs(X, V))


def test_func_jvp_of_grad(involution):
    x, k, dy, u, v, w = tensors(X, K, DY, U, V, W)

    def both(x, k, dy):
        return torch.func.grad(weighted(involution, dy), (0, 1))(x, k)

    _, got = torch.func.jvp(both, (x, k, dy), (u, v, w))
    one, other = gradients(U, V, DY), gradients(X, K, W)
    close(got, one[0] + other[0], one[1] + other[1])


def test_func_hessian(involution):
    """For a sum of products, the two diagonal blocks are zero."""
    x, k, dy, u, v = tensors(X, K, DY, U, V)
    blocks = torch.func.hessian(weighted(involution, dy), (0, 1))(x, k)
    assert not blocks[0][0].any()
    assert not blocks[1][1].any()
    got = torch.tensordot(blocks[0][1], v, 6), torch.tensordot(blocks[1][0], u, 4)
    close(got, *gradients(U, V, DY))


def test_gradients_of_every_example(involution):
    x, k, dy = tensors(X, K, DY)
    more = torch.stack([x, 2 * x]), torch.stack([k, -k])
    got = torch.func.vmap(torch.func.grad(weighted(involution, dy), (0, 1)))(*more)
    first, second = gradients(X, K, DY), gradients(2 * X, -K, DY)
    close(got, *(np.stack(pair) for pair in zip(first, second)))


def test_compiled_transformations(involution):
    torch.compiler.reset()
    x, k, dy, u, v = tensors(X, K, DY, U, V)

    @torch.compile(backend="eager", fullgraph=True)
    def run(x, k, u, v):
        slopes = torch.func.jvp(involution, (x, k), (u, v))[1]
        return slopes, *torch.func.grad(weighted(involution, dy), (0, 1))(x, k)

    got = run(x, k, u, v)
    close(got, outputs(U, K) + outputs(X, V), *gradients(X, K, DY))


class Calls(TorchDispatchMode):
    """Records the results of every call of an operator of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if function.namespace == "keras_involution":
            self.results.append(result)
        return result


@pytest.mark.parametrize("wanted", (0, 1))
def test_only_the_gradient_that_is_wanted(involution, wanted):
    leaves = tensors(X, K)
    leaves[wanted].requires_grad_()
    with Calls() as calls:
        y = involution(*leaves)
        got = torch.autograd.grad(y, leaves[wanted], tensors(DY)[0])
    close(got, gradients(X, K, DY)[wanted])
    assert calls.results[-1][1 - wanted].numel() == 0


@pytest.mark.parametrize("wanted", (0, 1))
def test_derivatives_of_a_single_gradient(involution, wanted):
    x, k, dy, u, v = tensors(X, K, DY, U, V)
    leaves = [t.requires_grad_() for t in (x, k, dy)]
    (slope,) = torch.autograd.grad(
        involution(x, k), leaves[wanted], dy, create_graph=True
    )
    direction = (u, v)[wanted]
    unused = leaves.pop(wanted)
    got = torch.autograd.grad(
        (slope * direction).sum(), (*leaves, unused), allow_unused=True
    )
    upstream = (outputs(U, K), outputs(X, V))[wanted]
    close(got[:2], gradients(U, V, DY)[1 - wanted], upstream)
    assert got[2] is None or not got[2].any()
