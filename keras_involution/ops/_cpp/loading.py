"""The compiled kernels and their arguments, as `contract.h` defines them.

One library computes every window, stride, dilation and number of groups. It describes
the fields of its argument block, and Python fills the block by field name.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_involution._arguments import received
from keras_involution.ops._cpp import compiler
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._layout import channels_layout, taps_layout, three

Steps = tuple[int, ...]


class Normalization(ctypes.Structure):
    """The arguments of batch normalization, as `contract.h` defines them."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "channels", "threads", "relu")),
        ("epsilon", ctypes.c_double),
    ]


SOURCE = Path(__file__).with_name("involution.cpp")
# The version in `contract.h`, and the fields that `problem` fills.
_VERSION = 4
_LENGTHS = {
    "double_precision": 1,
    "threads": 1,
    "images": 1,
    "groups": 1,
    "channels": 1,
    "features": 1,
    **dict.fromkeys(("kernel_size", "strides", "dilation_rate"), 3),
    **dict.fromkeys(("input_sizes", "output_sizes"), 3),
    **dict.fromkeys(("x", "k", "y", "dx", "dk"), 6),
}


@dataclass(frozen=True, eq=False)
class Kernels:
    """The loaded library.

    Args:
        path: Library file, by which programs of XLA and TensorFlow find it.
        involution: `(problem, x, k, y) -> int`; the arguments are addresses. The result
            is not zero if memory runs out.
        gradients: `(problem, x, k, dy, dx, dk) -> int`; a gradient whose address is
            `None` is not computed.
        fused: `(problem, x, features, matrix, bias, y) -> int`; the kernels are
            `features @ matrix + bias`, channels last, and these three are contiguous.
        fused_gradients: `(problem, x, features, matrix, bias, dy, dx, dfeatures,
            dmatrix, dbias) -> int`.
        normalized: `(block, x, shortcut, scale, offset, y, mean, variance) -> int`.
        normalized_gradients: `(block, x, y, dy, scale, mean, variance, dx, dshortcut,
            dscale, doffset) -> int`.
        places: Field of the argument block -> index of its first number.
    """

    path: str
    involution: Callable[..., int]
    gradients: Callable[..., int]
    fused: Callable[..., int]
    fused_gradients: Callable[..., int]
    places: Mapping[str, int]
    normalized: Callable[..., int]
    normalized_gradients: Callable[..., int]

    def problem(
        self,
        geometry: Geometry,
        double: bool,
        shape: Sequence[int],
        steps: Sequence[Steps],
        threads: int = 0,
        features: int = 0,
    ) -> list[int]:
        """The argument block of one call.

        Args:
            geometry: Geometry of the operator.
            double: Whether the numbers are float64; otherwise float32.
            shape: Shape of the inputs.
            steps: Memory steps of inputs, kernels, outputs (or upstream), and of both
                gradients.
            threads: Number of threads; zero uses OpenMP's settings.
            features: Number of features from which fused functions compute a kernel.
        """
        sizes = tuple(shape[axis] for axis in geometry.spatial_axes)
        x, k, y, dx, dk = steps
        outputs: Any = geometry.output_sizes(sizes)  # known: these are eager arrays
        values: dict[str, Sequence[int]] = {
            "double_precision": [int(double)],
            "threads": [threads],
            "images": [shape[0]],
            "groups": [geometry.groups],
            "channels": [geometry.group_channels],
            "features": [features],
            "kernel_size": three(geometry.kernel_size, 1),
            "strides": three(geometry.strides, 1),
            "dilation_rate": three(geometry.dilation_rate, 1),
            "input_sizes": three(sizes, 1),
            "output_sizes": three(outputs, 1),
            "x": channels_layout(x, geometry),
            "k": taps_layout(k, geometry),
            "y": channels_layout(y, geometry),
            "dx": channels_layout(dx, geometry),
            "dk": taps_layout(dk, geometry),
        }
        block = [0] * sum(_LENGTHS.values())
        for name, numbers in values.items():
            place = self.places[name]
            block[place : place + len(numbers)] = numbers
        return block


@functools.cache
def kernels() -> Kernels | str:
    """The library, or the reason it is not available here."""
    return compiler.loaded(loaded, SOURCE)


def loaded(path: Path) -> Kernels | str:
    """The library in this file, or the reason it cannot be loaded.

    Raises:
        RuntimeError: If the library does not fit this version of the package.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return f"The compiled library cannot be loaded: {error}."
    library.involution.argtypes = [ctypes.c_void_p] * 4
    library.involution_gradients.argtypes = [ctypes.c_void_p] * 6
    library.involution_fused.argtypes = [ctypes.c_void_p] * 6
    library.involution_fused_gradients.argtypes = [ctypes.c_void_p] * 10
    block = ctypes.POINTER(Normalization)
    library.involution_normalized.argtypes = [block, *[ctypes.c_void_p] * 7]
    library.involution_normalized_gradients.argtypes = [block, *[ctypes.c_void_p] * 10]
    return Kernels(
        path=str(path),
        involution=library.involution,
        gradients=library.involution_gradients,
        fused=library.involution_fused,
        fused_gradients=library.involution_fused_gradients,
        places=_places(library, path),
        normalized=library.involution_normalized,
        normalized_gradients=library.involution_normalized_gradients,
    )


def reason() -> str | None:
    """The reason the library is not available here, or `None`."""
    answer = kernels()
    return answer if isinstance(answer, str) else None


def _places(library: ctypes.CDLL, path: Path) -> dict[str, int]:
    library.involution_contract.restype = ctypes.c_char_p
    lines = library.involution_contract().decode().splitlines()
    described = {name: (int(a), int(b)) for name, a, b in map(str.split, lines)}
    version, _ = described.pop("version", (0, 0))
    lengths = {name: length for name, (_, length) in described.items()}
    if (version, lengths) != (_VERSION, _LENGTHS):
        raise RuntimeError(
            "The compiled kernels and this package use different call arguments: the "
            f"package has version {_VERSION} with the fields {_LENGTHS}. Delete the "
            f"library or reinstall the package. "
            + received(version=version, fields=lengths, library=str(path))
        )
    return {name: place for name, (place, _) in described.items()}
