"""What TensorFlow 2.21 tells only in private: each fact, and why it is needed.

`tests/ops/test_callers.py` fails when one of them is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util


def is_compiled_by_xla() -> bool:
    """Whether XLA compiles what is traced: it does not know operations of others, and
    a `tf.function` does not tell the functions it calls about its `jit_compile`."""
    contexts = (graph._get_control_flow_context() for graph in graphs())
    return any(_is_of_xla(context) for context in contexts)


def has_tangents(tensors: Sequence[tf.Tensor]) -> bool:
    """Whether a `tf.autodiff.ForwardAccumulator` follows one of the tensors: in a graph
    it does not ask for gradients of our own, and their tangents would be lost."""
    return bool(forwardprop_util.pack_tangents(tensors).tangents)


def graphs() -> Iterator[Any]:
    """The graph that is made, and those whose functions call it."""
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        yield graph
        graph = getattr(graph, "outer_graph", None)


def _is_of_xla(context: Any) -> bool:
    while context is not None:
        if context.IsXLAContext():
            return True
        context = context.outer_context
    return False
