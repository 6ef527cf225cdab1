"""The operator in `keras.ops`: any backend, any size, gradients by the framework."""

from __future__ import annotations

import keras
from keras import ops

from keras_involution._typing import Tensor
from keras_involution.ops._arrays import wide
from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation
from keras_involution.ops._sums import outputs


def involution(inputs: Tensor, kernels: Tensor, geometry: Geometry) -> Tensor:
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    # Cast before the taps are split, so that gradients are also summed in `wide`.
    kernels = wide(kernels)
    grouped = outputs(geometry, wide(inputs), kernels)
    # The sizes come from the kernels: two symbolic sizes are equal only if their
    # expressions are the same.
    shape = [ops.shape(kernels)[axis] for axis in (0, *geometry.kernel_spatial_axes)]
    shape.insert(1 if geometry.channels_first else len(shape), geometry.channels)
    return ops.cast(ops.reshape(grouped, shape), dtype)


PORTABLE = Implementation(
    "portable", involution, lambda inputs, kernels, geometry: None
)
