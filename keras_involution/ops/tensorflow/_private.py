"""Private interfaces of TensorFlow 2.21, and the reason each one is needed.

`tests/ops/test_callers.py` fails when one of them is removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util

# The name scope of operations that TensorFlow is going to vectorize.
_VECTORIZED = re.compile(r"(^|/)loop_body(_\d+)?(/|$)")


def is_compiled_by_xla() -> bool:
    """Whether XLA compiles the traced program. XLA does not support custom operations,
    and a `tf.function` does not pass its `jit_compile` to the functions it calls."""
    contexts = (graph._get_control_flow_context() for graph in graphs())
    return any(_is_of_xla(context) for context in contexts)


def has_tangents(tensors: Sequence[tf.Tensor]) -> bool:
    """Whether a `tf.autodiff.ForwardAccumulator` watches one of the tensors. In a graph
    it ignores custom gradients, so the tangents would be lost."""
    return bool(forwardprop_util.pack_tangents(tensors).tangents)


def is_vectorized() -> bool:
    """Whether the traced program is the body of a `tf.vectorized_map` or a Jacobian."""
    return any(_VECTORIZED.search(graph.get_name_scope()) for graph in graphs())


def graphs() -> Iterator[Any]:
    """The graph under construction, and the outer graphs whose functions call it."""
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
