"""Calls of compiled functions from XLA programs, sharded by the batch axis.

With `jax.ffi.ffi_call`, every device computes all images. The calls made here have two
attributes: a sharding rule, by which Shardy propagates the sharding of the batch, and
the number of batch axes, which XLA's partitioner splits in functions that are
registered as batch partitionable. Arrays sharded along other axes are gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import sdy
from jax.interpreters import mlir

from keras_involution._typing import Shape

_call = Primitive("involution_call")
_call.multiple_results = True


def sharded_call(
    target: str,
    shapes: tuple[Shape, ...],
    *tensors: jax.Array,
    library: str,
    problem: tuple[int, ...],
) -> list[jax.Array]:
    """Calls a function that is registered with XLA as batch partitionable.

    It has no derivatives and no batching rule: call it where a primitive is lowered.

    Args:
        target: Name of the function. It reads the number of images from the shapes of
            its arguments, and computes each image on its own.
        shapes: Shapes of the results; their dtype is that of the tensors.
        *tensors: Arguments. The batch is the first axis of tensors and results.
        library: File of the library with the function.
        problem: Numbers of the argument block.
    """
    return _call.bind(
        *tensors, target=target, shapes=shapes, library=library, problem=problem
    )


@_call.def_abstract_eval
def _results(*operands: Any, shapes: tuple, **_: Any) -> list:
    """Each result has the explicit sharding, if any, of an operand with its rank."""
    like = {len(operand.shape): operand for operand in reversed(operands)}
    return [like[len(shape)].update(shape=shape) for shape in shapes]


def _lower(
    ctx: Any, *operands: Any, target: str, shapes: tuple, library: str, problem: tuple
) -> Any:
    batch_dims: dict[str, ir.Attribute] = {"num_batch_dims": ir.StringAttr.get("1")}
    extra = {
        "mhlo.frontend_attributes": ir.DictAttr.get(batch_dims),
        "sdy.sharding_rule": _sharding_rule(ctx.avals_in, ctx.avals_out),
    }
    call = jax.ffi.ffi_lowering(target, extra_attributes=extra)
    numbers = np.asarray(problem, np.int64)
    return call(ctx, *operands, library=library, problem=numbers)


mlir.register_lowering(_call, _lower)


def _sharding_rule(operands: Sequence[Any], results: Sequence[Any]) -> Any:
    """The first axis of all arrays is one factor; no other factor may be sharded."""
    sizes = [operands[0].shape[0]]

    def mapping(array: Any) -> Any:
        others = range(len(sizes), len(sizes) + len(array.shape) - 1)
        sizes.extend(array.shape[1:])
        axes = [sdy.DimMappingAttr.get([factor]) for factor in (0, *others)]
        return sdy.TensorMappingAttr.get(axes)

    mappings = [mapping(array) for array in (*operands, *results)]
    return sdy.OpShardingRuleAttr.get(
        factor_sizes=sizes,
        operand_mappings=mappings[: len(operands)],
        result_mappings=mappings[len(operands) :],
        need_replication_factors=list(range(1, len(sizes))),
        is_custom=True,
    )
