"""The compiled operations of TensorFlow, and the attributes of their nodes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_involution.ops._cpp import compiler, loading
from keras_involution.ops._geometry import Geometry

_SOURCE = Path(__file__).with_name("tensorflow_calls.cpp")
_ATTRIBUTES = (
    "library",
    "channels_first",
    "group_channels",
    "kernel_size",
    "strides",
    "dilation_rate",
)


def outputs(name: str, geometry: Geometry, *tensors: tf.Tensor) -> tf.Tensor:
    """The outputs of an operation whose first tensor has the inputs."""
    y = getattr(operations(), name)(*tensors, **_attributes(geometry))
    if not tf.executing_eagerly():
        y.set_shape(geometry.output_shape(tuple(tensors[0].shape)))
    return y


@functools.lru_cache(maxsize=1024)
def _attributes(geometry: Geometry) -> dict[str, Any]:
    library = loading.kernels()
    if isinstance(library, str):
        raise ValueError(library)
    return {
        "library": library.path,
        "channels_first": geometry.channels_first,
        "group_channels": geometry.group_channels,
        "kernel_size": list(geometry.kernel_size),
        "strides": list(geometry.strides),
        "dilation_rate": list(geometry.dilation_rate),
    }


@functools.cache
def operations() -> Any:
    """TensorFlow's module of the operations, or the reason there is none."""
    return compiler.loaded(_loaded, _SOURCE, tuple(tf.sysconfig.get_link_flags()))


def _loaded(path: Path) -> Any:
    try:
        return tf.load_op_library(str(path))
    except (OSError, tf.errors.OpError) as error:
        return f"TensorFlow cannot load the compiled operations: {error}."


def like(name: str, operation: tf.Operation, *tensors: tf.Tensor) -> Any:
    """The results of another operation with the attributes of this one."""
    named = {name: operation.get_attr(name) for name in _ATTRIBUTES}
    return getattr(operations(), name)(*tensors, **named)
