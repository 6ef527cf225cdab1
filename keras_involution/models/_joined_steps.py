"""Runs a network in fewer steps than it has layers.

A step computes a convolution, its normalization, the residual addition and the ReLU
together. Every call reads the current weights of the layers, so nothing is cached that
could become outdated. Feature maps are freed after their last use, whereas Keras keeps
all of them until the end of the call. Training uses steps on PyTorch only: the addition
and the ReLU are computed in place in the output of the normalization.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_involution._keras_private import layer_of, nodes_of
from keras_involution._typing import Tensor
from keras_involution.layers import _centered
from keras_involution.layers._base import BaseInvolution
from keras_involution.layers._batch_normalization import BatchNormalization
from keras_involution.layers._normalized import (
    HAS_NORMALIZED,
    TRAINS_JOINED,
    normalized,
)
from keras_involution.layers._pointwise import PointwiseConv2D
from keras_involution.models.fused_inference import is_relu, normalizes, reader_of
from keras_involution.models.residual_add import StochasticDepthAdd

_CONVOLUTIONS = (PointwiseConv2D, _centered.Conv2D, layers.Conv2D)


class JoinedSteps:
    """Mixin for a functional model with one input and one output.

    List it before `keras.Model`. In float32 with channels last, a call runs the steps:
    at inference on PyTorch and TensorFlow, in training on PyTorch. The outputs equal
    those of the layers, up to rounding.
    """

    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]

    _steps: list[_Step] | None = None

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Any = None
    ) -> Tensor:
        if mask is not None or not self._takes_steps(inputs, training):
            # `super()` is `keras.Model`, which mypy cannot know.
            return super().call(inputs, training=training, mask=mask)  # type: ignore[misc]
        values = {id(self.inputs[0]): inputs}
        for step in self._steps or ():
            read = [values[key] for key in step.reads]
            values[step.writes] = step.train(read) if training else step.run(read)
            for key in step.last_reads:
                del values[key]
        return values[id(self.outputs[0])]

    def _takes_steps(self, inputs: Any, training: bool | None) -> bool:
        expected = self.inputs[0]
        if not (TRAINS_JOINED if training else HAS_NORMALIZED):
            return False
        if len(getattr(inputs, "shape", ())) != 4:
            return False
        if keras.backend.standardize_dtype(inputs.dtype) != expected.dtype:
            return False
        if self._steps is None:
            # Bypass Keras's tracking, because the layers are already tracked.
            object.__setattr__(self, "_steps", steps_of(self))
        return bool(self._steps)


@dataclass
class _Step:
    """Consecutive layers, with the ids of the tensors that they read and write."""

    layers: tuple[Any, ...]
    reads: list[int]
    writes: int
    last_reads: tuple[int, ...] = ()
    overwrites: bool = False

    def run(self, values: list[Tensor]) -> Tensor:
        """Returns the output at inference."""
        convolution, norm, rest = self._parts()
        if norm is None:
            return self._layer_by_layer(values, training=False)
        shortcut = values[1] if len(values) == 2 else None
        relu = bool(rest) and is_relu(rest[-1])
        return normalized(values[0], norm, convolution, shortcut, relu, self.overwrites)

    def train(self, values: list[Tensor]) -> Tensor:
        """Returns the output in training."""
        convolution, norm, rest = self._parts()
        drops = any(isinstance(layer, StochasticDepthAdd) for layer in rest)
        if norm is None or drops or not norm.trains_joined():
            return self._layer_by_layer(values, training=True)
        x, *shortcut = values
        x = x if convolution is None else convolution(x)
        relu = bool(rest) and is_relu(rest[-1])
        return norm.train_joined(x, shortcut[0] if shortcut else None, relu)

    def _parts(self) -> tuple[Any, Any, list[Any]]:
        """Returns convolution, normalization (`None` if absent), and other layers."""
        if len(self.layers) == 1:
            return None, None, []
        first, *rest = self.layers
        if isinstance(first, BatchNormalization):
            return None, first, rest
        return first, rest[0], rest[1:]

    def _layer_by_layer(self, values: list[Tensor], training: bool) -> Tensor:
        x, *shortcut = values if len(self.layers) > 1 else [_one_or_all(values)]
        for layer in self.layers:
            if shortcut and isinstance(layer, layers.Add):
                x = [*shortcut, x]
            # Passed explicitly: when PyTorch recomputes a checkpoint for its gradients,
            # Keras no longer knows that the model is training.
            mode = {"training": training} if _takes_training(layer.__class__) else {}
            x = layer(x, **mode)
        return x


def steps_of(model: Any) -> list[_Step]:
    """Returns the steps of `model` in order, or `[]` if no layers can be joined."""
    its_layers = [la for la in model.layers if not isinstance(la, layers.InputLayer)]
    if not all(map(_is_simple, its_layers)):
        return []
    chains = _chains(model, its_layers)
    if not chains:
        return []
    inside = {id(layer) for chain in chains.values() for layer in chain}
    steps = []
    for layer in its_layers:
        if id(layer) in chains or id(layer) not in inside:
            chain = chains.get(id(layer), (layer,))
            own = [id(member.output) for member in chain]
            reads = [
                id(tensor)
                for member in chain
                for tensor in nodes_of(member)[0].input_tensors
                if id(tensor) not in own
            ]
            steps.append(_Step(chain, reads, own[-1]))
    seen = {id(tensor) for tensor in model.outputs}
    made = {s.writes for s in steps if len(s.layers) > 1 or _is_involution(s.layers[0])}
    for step in reversed(steps):
        step.last_reads = tuple(set(step.reads) - seen)
        # The output can overwrite the shortcut, or the input of a normalization, if an
        # earlier step computed it and no later step reads it.
        step.overwrites = step.reads[-1] in made & set(step.last_reads)
        seen.update(step.reads)
    return steps


def _one_or_all(values: list[Tensor]) -> Any:
    return values[0] if len(values) == 1 else values


@functools.cache
def _takes_training(kind: Any) -> bool:
    return "training" in inspect.signature(kind.call).parameters


def _is_simple(layer: Any) -> bool:
    """Whether a layer is called once, on one tensor or as the sum of two."""
    if len(nodes_of(layer)) != 1 or not isinstance(layer, layers.Layer):
        return False
    [node] = nodes_of(layer)
    tensors = len(node.input_tensors)
    one = tensors == 1 and not isinstance(layer, layers.Add)
    return one or (isinstance(layer, layers.Add) and tensors == 2)


def _chains(model: Any, its_layers: list[Any]) -> dict[int, tuple[Any, ...]]:
    """Maps the id of the last layer of each joined step to its layers."""
    reader, chains = reader_of(model), {}
    for norm in its_layers:
        if not _is_norm(norm):
            continue
        [before] = nodes_of(norm)[0].input_tensors
        convolution = layer_of(before)
        chain = [norm]
        if _is_convolution(convolution) and normalizes(
            reader(convolution), convolution
        ):
            chain = [convolution, norm]
        following = reader(norm)
        if isinstance(following, layers.Add) and following.input[1] is norm.output:
            chain.append(following)
            following = reader(following)
        if following is not None and is_relu(following):
            chain.append(following)
        if len(chain) > 1:
            chains[id(chain[-1])] = tuple(chain)
    return chains


def _is_involution(layer: Any) -> bool:
    return isinstance(layer, BaseInvolution)


def _is_norm(layer: Any) -> bool:
    last = len(layer.output.shape) - 1 == 3
    is_ours = type(layer) is BatchNormalization and layer.compute_dtype == "float32"
    return is_ours and last and layer.axis % 4 == 3


def _is_convolution(layer: Any) -> bool:
    is_known = type(layer) in _CONVOLUTIONS and layer.data_format == "channels_last"
    return is_known and not layer.use_bias and layer.variable_dtype == "float32"
