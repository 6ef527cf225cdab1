"""Finds out who traces a program: a Keras exporter, Keras's training loop, or neither.

An exported program may contain standard operations only. A program that Keras traces
for `fit`, `evaluate` or `predict` is never exported. Keras 3.15 does not report either
case to layers, so the modules on the call stack are inspected. This happens only during
tracing, and `tests/ops/test_callers.py` fails when one of the module names changes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

EXPORTERS = "keras.src.export."
TRAINER = "keras.src.backend.tensorflow.trainer"
TRACER = "tensorflow.python.eager.polymorphic_function."


def keras_exporter() -> str | None:
    """The Keras exporter that is tracing, such as `"onnx"`, or `None`."""
    exporter = None
    for module in _running_modules():
        if module.startswith(EXPORTERS):  # the outermost one was called by the user
            exporter = module.removeprefix(EXPORTERS)
    return exporter


def is_keras_step() -> bool:
    """Whether the innermost `tf.function` is one of Keras's training-loop steps.

    Any other function that such a step calls might be saved separately.
    """
    for module in _running_modules():
        if module == TRAINER:
            return True
        if module.startswith(TRACER):
            return False
    return False


def _running_modules() -> Iterator[str]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back
