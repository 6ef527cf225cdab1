"""Optimizers by name, with different learning rates for parts of the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.training._keywords import check_keywords
from keras_involution.training.coupled_decay import SGDWithCoupledDecay

_NESTEROV = {"momentum": 0.9, "nesterov": True}
_DEFAULTS = {"sgd": _NESTEROV, "sgd_coupled_decay": _NESTEROV}
_OWN = ("learning_rate", "weight_decay", "use_ema", "ema_momentum", "name")


def _classes() -> dict[str, type[keras.optimizers.Optimizer]]:
    several = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    found = {
        name.lower(): value
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type)
        and issubclass(value, keras.optimizers.Optimizer)
        and name not in several
    }
    return {**found, "sgd_coupled_decay": SGDWithCoupledDecay}


def build_optimizer(
    name: str,
    learning_rate: Any = 1e-3,
    *,
    multipliers: dict[str, float] | None = None,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
    ema_decay: float | None = None,
    **kwargs: Any,
) -> keras.optimizers.Optimizer:
    """Builds an optimizer from its name.

    Args:
        name: Name of an optimizer of Keras in any case, such as `"adamw"`, or
            `"sgd_coupled_decay"`. SGD has Nesterov momentum of 0.9 by default.
        learning_rate: Float or schedule.
        multipliers: Dictionary from regular expressions for whole variable paths to
            factors of the learning rate, such as `{"head/.*": 10}`.
        weight_decay: Float. The decay is decoupled from the gradient and does not apply
            to normalization and biases. With `"sgd_coupled_decay"`, it is added to
            every gradient.
        clip_norm: Float, largest norm of the gradients of all variables with the same
            learning rate.
        ema_decay: Float, decay of the moving averages of the weights (see
            `averaged_weights`); `None` keeps no averages.
        **kwargs: Further arguments of the optimizer, such as `momentum` or `beta_1`.

    Returns:
        `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If the name is unknown.
        TypeError: If the optimizer does not have an argument of `kwargs`.

    Example:

    >>> from keras_involution.training import build_optimizer
    >>> optimizer = build_optimizer("AdamW", 0.01, weight_decay=0.05, beta_2=0.99)
    >>> round(float(optimizer.learning_rate), 3)
    0.01
    """
    classes = _classes()
    name = _arguments.one_of(name.lower(), tuple(sorted(classes)), "optimizer")
    cls = classes[name]
    check_keywords(cls, kwargs, name, _OWN)
    kwargs = {**_DEFAULTS.get(name, {}), **kwargs}
    if clip_norm is not None:
        kwargs["global_clipnorm"] = clip_norm
    if ema_decay is not None:
        kwargs.update(use_ema=True, ema_momentum=ema_decay)
    coupled = cls is SGDWithCoupledDecay
    if coupled:
        kwargs["coupled_decay"] = weight_decay
    elif weight_decay or name == "adamw":
        kwargs["weight_decay"] = weight_decay

    def build(rate: Any, label: str) -> keras.optimizers.Optimizer:
        made = cls(learning_rate=rate, name=label, **kwargs)
        if weight_decay and not coupled:
            made.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        return made

    if not multipliers:
        return build(learning_rate, name)
    if not isinstance(learning_rate, int | float):
        raise ValueError(
            "With `multipliers`, the learning rate must be a number. "
            + received(learning_rate=learning_rate)
        )
    parts = {
        path: build(factor * learning_rate, f"{name}_{number}")
        for number, (path, factor) in enumerate(multipliers.items(), 1)
    }
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(build(learning_rate, f"{name}_0"), parts)
    )


class RateSetter:
    """Sets the learning rates of an optimizer and keeps their ratios.

    Args:
        optimizer: Optimizer of `build_optimizer` whose rates are numbers.

    Call arguments:
        rate: Float, the rate without a multiplier.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self.parts = _parts(optimizer)
        rates = [float(part.learning_rate) for part in self.parts]
        # The last optimizer has the variables without a multiplier.
        self.factors = [rate / rates[-1] if rates[-1] else 1.0 for rate in rates]

    def __call__(self, rate: float) -> None:
        for part, factor in zip(self.parts, self.factors):
            part.learning_rate = factor * rate


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Replaces the weights by their moving averages inside a `with` block.

    Keras's `SwapEMAWeights` swaps the averages in, but the weights are restored from a
    copy: on TensorFlow, the callback swaps by sums and differences, and the rounding
    would change the run. If the optimizer keeps no averages, the model does not change.

    Args:
        model: Compiled model whose optimizer is built.

    Returns:
        A context manager.

    Example:

    >>> import keras, numpy as np
    >>> from keras_involution.training import averaged_weights, build_optimizer
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(build_optimizer("sgd", 0.1, ema_decay=0.9), "mse")
    >>> loss = model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    >>> with averaged_weights(model):
    ...     averages = model.get_weights()
    >>> [weight.shape for weight in averages]
    [(2, 1), (1,)]
    """
    if not any(part.use_ema for part in _parts(model.optimizer)):
        yield
        return
    variables = [*model.trainable_variables, *model.optimizer.variables]
    kept = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        for variable, value in zip(variables, kept):
            variable.assign(value)


def _parts(optimizer: Any) -> list[Any]:
    """Returns the inner optimizers of a `MultiOptimizer`, or the optimizer itself."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(inner, "optimizers", [inner]))
