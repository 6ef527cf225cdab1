"""Optimizers by name, with a rate of its own for a part of the network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_involution import _arguments

OPTIMIZERS = ("adam", "adamw", "sgd")


def build_optimizer(
    name: str,
    learning_rate: Callable[[float], Any],
    *,
    factors: dict[str, float] | None = None,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    clip_norm: float | None = None,
    average_momentum: float | None = None,
) -> keras.optimizers.Optimizer:
    """An optimizer from a name, with larger or smaller rates for some variables.

    Args:
        name: `"adam"`, `"adamw"`, or `"sgd"` with Nesterov's momentum.
        learning_rate: Function from a factor to a rate or a schedule: called with 1
            for the whole network and with each of `factors`.
        factors: Dictionary of a regular expression for whole variable paths -> factor
            of their rate, as `{"head/.*": 10}`.
        weight_decay: Float, decoupled from the gradient (so that `"adam"` with it is
            `"adamw"`); normalisation and biases are left out of it.
        momentum: Float, of `"sgd"`.
        clip_norm: Float, largest norm of the gradients of all variables of one rate.
        average_momentum: Float, keeps moving averages of the variables, as
            `averaged_weights` swaps in; `None` keeps none.

    Returns:
        `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If the name is unknown.

    Example:

    >>> from keras_involution.training import build_optimizer
    >>> optimizer = build_optimizer("sgd", lambda factor: 0.01 * factor)
    >>> round(float(optimizer.learning_rate), 3)
    0.01
    """
    _arguments.one_of(name, OPTIMIZERS, "optimizer")
    settings: dict[str, Any] = {"global_clipnorm": clip_norm}
    if weight_decay:
        settings["weight_decay"] = weight_decay
    if average_momentum is not None:
        settings.update(use_ema=True, ema_momentum=average_momentum)

    def optimizer(factor: float, label: str) -> keras.optimizers.Optimizer:
        made = _plain(name, learning_rate(factor), momentum, label, settings)
        if weight_decay:
            made.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        return made

    if not factors:
        return optimizer(1.0, name)
    parts = {
        path: optimizer(factor, f"{name}_{number}")
        for number, (path, factor) in enumerate(factors.items(), 1)
    }
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(optimizer(1.0, f"{name}_0"), parts)
    )


def _plain(
    name: str, learning_rate: Any, momentum: float, label: str, settings: dict
) -> keras.optimizers.Optimizer:
    if name == "sgd":
        return keras.optimizers.SGD(
            learning_rate, momentum=momentum, nesterov=True, name=label, **settings
        )
    made = keras.optimizers.Adam if name == "adam" else keras.optimizers.AdamW
    if name == "adamw":
        settings = {"weight_decay": 0.0, **settings}
    return made(learning_rate, name=label, **settings)


@contextlib.contextmanager
def averaged_weights(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """The moving averages in place of the variables, as long as the block lasts.

    Does nothing for an optimizer that keeps none.

    Args:
        optimizer: Built optimizer, as of `build_optimizer`.

    Returns:
        A context manager.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    pairs = [
        (variable, average)
        for part in getattr(inner, "optimizers", [inner])
        if part.use_ema and part.built
        for variable, average in zip(
            part._trainable_variables, part._model_variables_moving_average
        )
        if average is not None
    ]
    kept = [keras.ops.convert_to_numpy(variable).copy() for variable, _ in pairs]
    try:
        for variable, average in pairs:
            # A copy: JAX would hand the buffer of the average over to the next step.
            variable.assign(keras.ops.convert_to_numpy(average).copy())
        yield
    finally:
        for (variable, _), value in zip(pairs, kept):
            variable.assign(value)
