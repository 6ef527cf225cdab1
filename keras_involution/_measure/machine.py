"""What the machine is, and how fast it copies and multiplies: the floors of a run.

The floor of a piece of work is the larger of two times: moving the bytes that must be
moved at the rate of a plain copy, and doing its operations at the rate of a matrix
product. Both rates are measured beside the work, because a machine's speed drifts.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_involution._measure import timing
from keras_involution._measure.devices import Device
from keras_involution.distribution.local import available_cores
from keras_involution.ops._geometry import Geometry

_COPIED_BYTES = {"cpu": 64 << 20, "gpu": 1 << 30, "tpu": 1 << 30}
_SIDE = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
_PACKAGES = ("keras", "numpy", "tensorflow", "jax", "torch", "triton", "cupy-cuda12x")


@dataclass(frozen=True)
class Rates:
    """Bytes read and written, and floating-point operations, of a millisecond."""

    copied: float
    multiplied: float

    def floor_ms(self, moved: float, operations: float) -> float:
        return max(moved / self.copied, operations / self.multiplied)

    def __str__(self) -> str:
        return (
            f"copy {self.copied / 1e6:.1f} GB/s, "
            f"matrix product {self.multiplied / 1e6:.0f} GFLOP/s"
        )


def involution_work(
    geometry: Geometry, input_shape: tuple[int, ...], dtype: str, training: bool
) -> tuple[float, float]:
    """What an involution cannot do without.

    Args:
        geometry: The operator's.
        input_shape: Tuple of integers.
        dtype: String, that of all tensors.
        training: Boolean, whether both gradients follow.

    Returns:
        Two numbers: bytes that must be moved, operations that must be done.
    """
    shapes: Any = (
        input_shape,
        geometry.kernels_shape(input_shape),
        geometry.output_shape(input_shape),
    )
    x, k, y = map(math.prod, shapes)
    operations = 2 * math.prod(geometry.kernel_size) * y
    if not training:  # reads x and k, writes y
        return _bytes(dtype) * (x + k + y), operations
    # then reads x, k and dy again, writes dx and dk
    return _bytes(dtype) * (3 * x + 3 * k + 2 * y), 3 * operations


def describe(device: Device) -> dict[str, Any]:
    """Versions, device and threads, for the head of a table."""
    return {
        "backend": keras.config.backend(),
        "device": device.kind,
        "device_name": device.name,
        "cores": available_cores(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version for name in _PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def rates(device: Device, dtype: str = "float32", repeats: int = 9) -> Rates:
    copy, wait = _copy(device, dtype), device.wait
    product = _product(device, dtype)
    copied = timing.median_ms(copy, wait, repeats)
    multiplied = timing.median_ms(product, wait, repeats)
    side = _SIDE[device.kind]
    return Rates(2 * _COPIED_BYTES[device.kind] / copied, 2 * side**3 / multiplied)


def _copy(device: Device, dtype: str) -> Callable[[], Any]:
    size = _COPIED_BYTES[device.kind]
    if device.kind == "cpu":
        return _copy_in_threads(size)
    values = device.normal((size // _bytes(dtype),), dtype)
    read_and_write = device.compiled(lambda values: -values)
    return lambda: read_and_write(values)


def _copy_in_threads(size: int) -> Callable[[], Any]:
    """Into memory that is already there: the fastest copy that a CPU knows."""
    threads = available_cores()
    source = np.ones((threads, size // threads), "uint8")
    target = np.zeros_like(source)
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(np.copyto, target, source))


def _product(device: Device, dtype: str) -> Callable[[], Any]:
    side = _SIDE[device.kind]
    if device.kind == "cpu":
        a = np.random.default_rng(0).standard_normal((side, side), dtype="float32")
        out = np.empty_like(a)
        return lambda: np.matmul(a, a, out=out)
    a = device.normal((side, side), dtype)
    multiply = device.compiled(lambda a: a @ a)
    return lambda: multiply(a)


def _bytes(dtype: str) -> int:
    return {"float64": 8, "float32": 4}.get(dtype, 2)
