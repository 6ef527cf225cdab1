"""Formulations of involution: the implementations of this package and baselines.

A formulation takes inputs (B, H, W, C) and kernels (B, H, W, G, K, K), with strides 1.
Formulations with `data_format="channels_first"` take (B, C, H, W) and
(B, G, K, K, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_involution import ops as involution_ops


@dataclass(frozen=True)
class Formulation:
    """A formulation of involution.

    Attributes:
        name: Name in the table.
        run: Function of inputs and kernels that returns the outputs.
        compiled: Whether `run` is compiled by the backend.
        data_format: `"channels_last"` or `"channels_first"`.
        ours: Whether it is an implementation of this package.
    """

    name: str
    run: Callable[[Any, Any], Any]
    compiled: bool
    data_format: str = "channels_last"
    ours: bool = False


def all_formulations(device_kind: str) -> list[Formulation]:
    """Returns all formulations that exist on this backend, ours first."""
    listed = [
        *_ours(),
        Formulation("unfold, as published", unfold, _compiles(), "channels_first"),
        Formulation("extract_patches", extract_patches, _compiles()),
    ]
    if keras.config.backend() == "torch":
        listed.append(Formulation("shifted slices, compiled", shifted_slices, True))
    if device_kind == "gpu" and keras.config.backend() == "torch":
        from benchmarks._measure import cuda_baseline

        if cuda_baseline.unavailable_reason() is None:
            name = "CUDA, a thread an element"
            listed.append(Formulation(name, cuda_baseline.run, False, "channels_first"))
    return listed


def _compiles() -> bool:
    """Whether Keras compiles functions on this backend; it runs PyTorch eagerly."""
    return keras.config.backend() != "torch"


def _ours() -> list[Formulation]:
    return [
        Formulation(
            f"{name}, {data_format}",
            _named(name, data_format),
            _compiles(),
            data_format,
            ours=True,
        )
        for name in involution_ops.available_implementations()
        for data_format in ("channels_last", "channels_first")
    ]


def _named(name: str, data_format: str) -> Callable[[Any, Any], Any]:
    def run(x: Any, k: Any) -> Any:
        return involution_ops.involution(
            x, k, data_format=data_format, implementation=name
        )

    return run


def unfold(x: Any, k: Any) -> Any:
    """Extracts all patches, multiplies by the kernels and sums over the window.

    On PyTorch, this is exactly the published formulation. On other backends, the
    patches are stacked from shifted slices. On JAX, a barrier makes XLA write them to
    memory, as `unfold` does.
    """
    b, c, h, w = x.shape
    g, window = k.shape[1], k.shape[2]
    patches = _patches(x, window)
    patches = ops.reshape(patches, (b, g, c // g, window**2, h, w))
    k = ops.reshape(k, (b, g, 1, window**2, h, w))
    return ops.reshape(ops.sum(patches * k, axis=3), (b, c, h, w))


def _patches(x: Any, window: int) -> Any:
    """Extracts patches: (B, C, H, W) to (B, C, K * K, H, W)."""
    if keras.config.backend() == "torch":
        import torch

        return torch.nn.functional.unfold(x, window, padding=window // 2)
    h, w = x.shape[2:]
    p = window // 2
    padded = ops.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    slices = [
        padded[:, :, i : i + h, j : j + w] for i in range(window) for j in range(window)
    ]
    patches = ops.stack(slices, axis=2)
    if keras.config.backend() == "jax":
        import jax

        return jax.lax.optimization_barrier(patches)
    return patches


def extract_patches(x: Any, k: Any) -> Any:
    """The formulation of the keras.io example, with the group order of this package."""
    b, h, w, c = x.shape
    g, window = k.shape[3], k.shape[4]
    p = window // 2
    padded = ops.pad(x, [(0, 0), (p, p), (p, p), (0, 0)])
    patches = ops.image.extract_patches(
        padded, (window, window), 1, padding="valid", data_format="channels_last"
    )
    patches = ops.reshape(patches, (b, h, w, window**2, g, c // g))
    k = ops.reshape(ops.transpose(k, (0, 1, 2, 4, 5, 3)), (b, h, w, window**2, g, 1))
    return ops.reshape(ops.sum(patches * k, axis=3), x.shape)


def shifted_slices(x: Any, k: Any) -> Any:
    return involution_ops.involution(
        x, k, data_format="channels_last", implementation="portable"
    )
