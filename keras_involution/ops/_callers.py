"""Who asks for a program: Keras's exporters, Keras's training loop, or somebody else.

A program that is written down may hold standard operations only, and one that Keras
makes of `fit`, `evaluate` or `predict` is never written down. Keras 3.15 tells layers
neither, so it is read off the modules whose functions are running. It is asked only
while a program is traced, and `tests/ops/test_callers.py` fails when one of the names
is gone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

EXPORTERS = "keras.src.export."
TRAINER = "keras.src.backend.tensorflow.trainer"
TRACER = "tensorflow.python.eager.polymorphic_function."


def keras_exporter() -> str | None:
    """The exporter of Keras that traces, such as `"onnx"`, or `None`."""
    exporter = None
    for module in _running_modules():
        if module.startswith(EXPORTERS):  # the outermost is the one that was called
            exporter = module.removeprefix(EXPORTERS)
    return exporter


def is_keras_step() -> bool:
    """Whether the innermost `tf.function` is one that Keras made to run its steps.

    A function of somebody else that such a step calls might be saved by itself.
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
