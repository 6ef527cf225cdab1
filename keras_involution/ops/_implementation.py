"""The description of an implementation, and the choice among several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_involution._arguments import received
from keras_involution._typing import Tensor
from keras_involution.ops._geometry import Geometry

Fused = Callable[[Tensor, Tensor, Tensor, Tensor, Geometry], Tensor]


@dataclass(frozen=True)
class Implementation:
    """One way to compute the operator.

    Args:
        name: Name that selects it: `implementation="portable"`.
        run: `(inputs, kernels, geometry) -> outputs`. The two inputs have one
            floating-point dtype, which is that of the outputs; sums are kept in
            float32 or wider.
        unsupported_reason: `(inputs, kernels, geometry) -> str | None`: a sentence
            that explains why it cannot run on these tensors here, or `None`.
        is_chosen: Whether it may be used if no implementation is named.
        fused: Returns a function, or `None` if the implementation does not have one:
            `(inputs, features, matrix, bias, geometry) -> outputs`, channels last, in
            float32 or float64. It applies the kernels `features @ matrix + bias`
            without storing them.
    """

    name: str
    run: Callable[[Tensor, Tensor, Geometry], Tensor]
    unsupported_reason: Callable[[Tensor, Tensor, Geometry], str | None]
    is_chosen: Callable[[], bool] = lambda: True
    fused: Callable[[], Fused | None] = lambda: None


def select(
    implementations: Sequence[Implementation],
    name: str | None,
    inputs: Tensor,
    kernels: Tensor,
    geometry: Geometry,
) -> Implementation:
    """The named implementation, or without a name the first one that can run."""
    if name is None:
        return next(
            i
            for i in implementations
            if i.is_chosen() and not i.unsupported_reason(inputs, kernels, geometry)
        )
    implementation = named(implementations, name)
    reason = implementation.unsupported_reason(inputs, kernels, geometry)
    if reason is not None:
        raise ValueError(
            f"The implementation {name!r} cannot run here: {reason} "
            f"{received(implementation=name)}"
        )
    return implementation


def named(implementations: Sequence[Implementation], name: str) -> Implementation:
    for implementation in implementations:
        if implementation.name == name:
            return implementation
    names = tuple(i.name for i in implementations)
    raise ValueError(
        f"`implementation` must be `None` or one of {names} on this backend. "
        f"{received(implementation=name)}"
    )
