"""The cases that every implementation of the operator must pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras
import numpy as np

from keras_involution.ops._geometry import Geometry, geometry_of


@dataclass(frozen=True)
class Case:
    """The sizes of an involution; `tensors` draws its values."""

    sizes: tuple[int, ...]
    window: tuple[int, ...]
    groups: int = 2
    channels: int = 8
    batch: int = 2
    strides: int | tuple[int, ...] = 1
    dilation_rate: int | tuple[int, ...] = 1
    data_format: str = "channels_last"

    def __str__(self) -> str:
        x = lambda sizes: "x".join(map(str, sizes))  # noqa: E731
        return (
            f"{x(self.sizes)}-k{x(self.window)}-g{self.groups}of{self.channels}"
            f"-s{self.strides}-d{self.dilation_rate}-{self.data_format[9:]}"
        ).replace(" ", "")

    def tensors(self, dtype: str = "float32", seed: int = 0):
        """(inputs, kernels, upstream, geometry), rounded to `dtype`, stored float32+.

        Values are rounded to the dtype first, so that the reference computes on
        exactly the numbers that the implementation sees.
        """
        rng = np.random.default_rng(seed)
        geometry = self.geometry()
        shapes = (self.input_shape(), self.kernels_shape(), self.output_shape())
        x, k, dy = (_rounded(rng.standard_normal(s), dtype) for s in shapes)
        return x, k, dy, geometry

    def geometry(self) -> Geometry:
        return geometry_of(
            self.input_shape(),
            self.kernels_shape(),
            self.strides,
            self.dilation_rate,
            self.data_format,
        )

    def input_shape(self) -> tuple[int, ...]:
        return self._layout((self.batch,), self.sizes, (self.channels,))

    def output_shape(self) -> tuple[int, ...]:
        return self._layout((self.batch,), self._output_sizes(), (self.channels,))

    def kernels_shape(self) -> tuple[int, ...]:
        weights = (self.groups, *self.window)
        return self._layout((self.batch,), self._output_sizes(), weights)

    def _layout(self, batch, sizes, features) -> tuple[int, ...]:
        first = self.data_format == "channels_first"
        return batch + features + sizes if first else batch + sizes + features

    def _output_sizes(self) -> tuple[int, ...]:
        strides = self.strides
        if isinstance(strides, int):
            strides = (strides,) * len(self.sizes)
        return tuple(-(-size // s) for size, s in zip(self.sizes, strides))


def _rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        import ml_dtypes

        return values.astype(ml_dtypes.bfloat16).astype("float32")
    return values.astype(dtype).astype("float64" if dtype == "float64" else "float32")


def tolerance(dtype: str, terms: int) -> float:
    """Largest relative error (in the norm) that rounding explains.

    Half-precision results are rounded once, to half a unit in the last place; the
    float32 sums behind them add an error that grows with the root of their length.
    """
    unit = {"float64": 2**-53, "float32": 2**-24, "float16": 2**-11, "bfloat16": 2**-8}
    sums = unit["float64" if dtype == "float64" else "float32"]
    return unit[dtype] + 2 * sums * terms**0.5


_LAST = [
    Case((8, 7), (3, 3), strides=2),
    Case((6, 5), (5, 3), dilation_rate=(1, 2)),
    Case((7, 9), (3, 3)),
    Case((8, 8), (7, 7), groups=1, channels=16),
    Case((8, 6), (7, 7), strides=2),
    Case((7, 9), (5, 5), strides=2),
    Case((9, 7), (3, 5), strides=(2, 1)),
    Case((10, 11), (3, 3), strides=3, dilation_rate=2),
    Case((5, 5), (1, 1), groups=8),
    Case((3, 2), (5, 5), groups=4, channels=4),
    Case((1, 1), (3, 3), strides=2, batch=1),
    Case((12, 5), (3, 3), groups=3, channels=48, batch=1),
]

CASES = [
    replace(case, data_format=data_format)
    for case in _LAST
    for data_format in ("channels_last", "channels_first")
]

HALF = ("float16", "bfloat16")


def _cases_of_half_precision():
    """Where a program is compiled for each, after four the windows are three at most.

    And each format has one of the dtypes: they differ in the rounding of the results.
    """
    if keras.config.backend() == "torch":
        return [(case, dtype) for dtype in HALF for case in CASES]
    small = [
        replace(case, window=tuple(min(side, 3) for side in case.window), batch=1)
        for case in CASES[4:]
    ]
    some = [(case, dtype) for dtype in HALF for case in CASES[:4]]
    return some + [(case, HALF[number % 2]) for number, case in enumerate(small)]


CASES_OF_DTYPE = [(case, "float32") for case in CASES] + _cases_of_half_precision()
