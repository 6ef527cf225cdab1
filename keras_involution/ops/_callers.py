"""Finds out who traces a program: a Keras exporter, or a call that only runs it.

An exported program may contain standard operations only. Neither Keras 3.15 nor
TensorFlow reports to layers what a traced program is for, so the call stack is
inspected. This happens only during tracing, and `tests/ops/test_callers.py` fails when
one of the names changes.
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
    for module, _ in _running():
        if module.startswith(EXPORTERS):  # the outermost one was called by the user
            exporter = module.removeprefix(EXPORTERS)
    return exporter


def runs_here() -> bool:
    """Whether the program is a step of Keras's training loop or a called `tf.function`.

    `get_concrete_function`, `tf.data` and `tf.saved_model.save` ask for a program
    instead; to save a function that was called before, TensorFlow traces it again. A
    function that another one calls might be part of a program that is saved.
    """
    calls = 0
    for module, function in _running():
        if module == TRAINER and not calls:
            return True
        if module.startswith(TRACER):
            if function == "get_concrete_function":
                return False
            calls += function == "__call__"
    return calls == 1


def _running() -> Iterator[tuple[str, str]]:
    """The modules and names of the running functions, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_name
        frame = frame.f_back
