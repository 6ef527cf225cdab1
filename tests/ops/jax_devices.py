"""Run as a program: computes involutions on four simulated devices.

KERAS_BACKEND=jax python -m tests.ops.jax_devices FOLDER

FOLDER/NUMBER.npz has the results of a case of `CASES`. FOLDER/programs.json has the
sizes of the batch in the calls of its compiled program, and its collective operations.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from keras_involution.ops import fused_involution, involution
from tests.ops.cases import Case

P = PartitionSpec
# From three features to the kernels of two groups.
MATRIX = np.random.default_rng(2).standard_normal((3, 2 * 9)).astype("float32")
LAYOUTS = {
    "batch": (P("a"), P("a")),
    "batch over two axes": (P(("a", "b")), P(("a", "b"))),
    "nothing": (P(), P()),
    "inputs": (P("a"), P()),
    "channels": (P(None, None, None, "b"), P(None, None, None, "b")),
    "channels of inputs": (P(None, None, None, "b"), P()),
    "batch and channels": (P("a", None, None, "b"), P("a")),
    "rows": (P(None, "a"), P(None, "a")),
}


def outputs(x, k, *_):
    return (involution(x, k, data_format="channels_last"),)


def gradients(x, k, dy, *_):
    return jax.vjp(lambda *tensors: outputs(*tensors)[0], x, k)[1](dy)


def tangents(x, k, dy, u, v):
    return (jax.jvp(lambda *tensors: outputs(*tensors)[0], (x, k), (u, v))[1],)


def second_derivatives(x, k, dy, u, v):
    """The tangents of the gradients, which are linear in the two tensors."""
    return jax.jvp(lambda x, k: gradients(x, k, dy), (x, k), (u, v))[1]


def fused_gradients(x, k, dy, *_):
    def fused(x, features):
        return fused_involution(
            x, features, MATRIX, MATRIX[0], 3, groups=2, data_format="channels_last"
        )

    return jax.vjp(fused, x, dy[..., :3])[1](dy)


@dataclass(frozen=True)
class Sharded:
    """A function of sharded tensors, and the transformation that is applied to it."""

    function: Callable
    layout: str = "batch"
    transformation: str = ""
    explicit: bool = False
    batch: int = 8
    groups: int = 2
    dtype: str = "float32"

    def __str__(self) -> str:
        words = (self.function.__name__, self.layout, self.transformation, self.dtype)
        return "-".join(filter(None, (*words, self.explicit * "explicit")))

    def tensors(self) -> tuple:
        """Inputs, kernels, upstream, tangents of the first two, and the geometry."""
        case = Case((6, 5), (3, 3), batch=self.batch, groups=self.groups)
        x, k, dy, geometry = case.tensors(self.dtype)
        return x, k, dy, *case.tensors(self.dtype, seed=1)[:2], geometry


FUNCTIONS = (outputs, gradients, tangents, second_derivatives, fused_gradients)
CASES = [
    *(Sharded(function) for function in FUNCTIONS),
    *(Sharded(gradients, layout) for layout in LAYOUTS if layout != "batch"),
    *(Sharded(gradients, layout, explicit=True) for layout in ("batch", "rows")),
    Sharded(second_derivatives, "channels of inputs", explicit=True, groups=1),
    Sharded(gradients, dtype="bfloat16"),
    Sharded(second_derivatives, transformation="shard_map"),
    Sharded(gradients, transformation="shard_map over one axis"),
    Sharded(gradients, transformation="vmap"),
    Sharded(second_derivatives, transformation="vmap of the second axis"),
    Sharded(second_derivatives, transformation="pmap"),
    Sharded(gradients, transformation="uneven", batch=7),
    Sharded(second_derivatives, transformation="uneven", batch=2),
]


def run(case: Sharded) -> tuple[list[Any], dict[str, list]]:
    """The results, and the facts of the compiled program."""
    kind = AxisType.Explicit if case.explicit else AxisType.Auto
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(kind, kind))
    function, tensors = (
        case.function,
        [t.astype(case.dtype) for t in case.tensors()[:5]],
    )
    like_inputs, like_kernels = LAYOUTS[case.layout]
    specs = [like_kernels if t.ndim == 6 else like_inputs for t in tensors]
    if case.transformation.startswith("shard_map"):
        axes = {"a"} if case.transformation.endswith("one axis") else {"a", "b"}
        function = jax.shard_map(
            function, mesh=mesh, in_specs=P("a"), out_specs=P("a"), axis_names=axes
        )
    elif case.transformation.startswith("vmap"):
        function = jax.vmap(function)
        tensors = [np.stack([t, 2 * t]) for t in tensors]
        specs = [P(None, "a") if "second" in case.transformation else P("a")] * 5
    elif case.transformation == "uneven":
        everywhere = NamedSharding(mesh, P(("a", "b")))
        constrained = lambda t: jax.lax.with_sharding_constraint(t, everywhere)  # noqa: E731
        function = lambda *tensors: case.function(*map(constrained, tensors))  # noqa: E731
        specs = [P()] * 5
    if case.transformation == "pmap":
        tensors = [t.reshape(4, 2, *t.shape[1:]) for t in tensors]
        program = jax.pmap(function).lower(*tensors).compile()
    else:
        shardings = [NamedSharding(mesh, spec) for spec in specs]
        tensors = list(map(jax.device_put, tensors, shardings))
        program = jax.jit(function).lower(*tensors).compile()
    return program(*tensors), facts(program.as_text())


def facts(text: str) -> dict[str, list]:
    calls = re.findall(r"= \(?\w+\[(\d+),.*custom_call_target=\"keras_invol", text)
    names = re.findall(r"all-gather|all-reduce|all-to-all|collective-permute", text)
    return {"batches": sorted(set(map(int, calls))), "collectives": sorted(set(names))}


def main(folder: str) -> None:
    jax.config.update("jax_num_cpu_devices", 4)
    # On one device, an image at a time.
    importlib.import_module("keras_involution.ops.fused_involution").PIECE_BYTES = 1
    programs = []
    for number, case in enumerate(CASES):
        results, found = run(case)
        programs.append(found)
        arrays = [np.asarray(result, np.float32) for result in results]
        np.savez(Path(folder) / f"{number}.npz", *arrays)
    (Path(folder) / "programs.json").write_text(json.dumps(programs))


if __name__ == "__main__":
    main(*sys.argv[1:])
