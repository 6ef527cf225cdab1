"""What keeps a run on several devices from being one in name only."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras

from keras_involution._arguments import received
from keras_involution.distribution._evaluation import predict_here

if TYPE_CHECKING:
    from keras_involution.distribution.distribution import Distribution


@contextlib.contextmanager
def guarded(
    distribution: Distribution, prepare: Callable[[Any], None]
) -> Iterator[None]:
    """Within the block every model is prepared, or refused, before it trains.

    With several processes it also refuses data that all of them would read whole.
    """
    several = distribution.hosts.processes > 1

    def make_train_function(plain: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        prepare(model)
        return plain(model, *args, **kwargs)

    def fit(plain: Any, model: Any, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        if several:
            _check_data(distribution, x, kwargs)
        kwargs |= distribution._fit_arguments(x)
        return plain(model, x, *args, **kwargs)

    def train_on_batch(
        plain: Any,
        model: Any,
        x: Any,
        y: Any = None,
        weights: Any = None,
        **kwargs: Any,
    ) -> Any:
        as_dictionary = kwargs.pop("return_dict", False)
        weights = kwargs.pop("sample_weight", weights)
        distribution._build(model, (x, y, weights))
        plain(model, *distribution.to_devices((x, y, weights)), **kwargs)
        # Of all devices and processes; the plain method tells of the first.
        figures = {n: float(v) for n, v in model.get_metrics_result().items()}
        values = list(figures.values())
        return figures if as_dictionary else values if len(values) > 1 else values[0]

    def predict_on_batch(plain: Any, model: Any, x: Any) -> Any:
        return predict_here(distribution, model, x)

    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced("make_train_function", make_train_function))
        stack.enter_context(_replaced("fit", fit))
        stack.enter_context(_replaced("train_on_batch", train_on_batch))
        stack.enter_context(_replaced("predict_on_batch", predict_on_batch))
        for method in ("evaluate", "predict") if several else ():
            stack.enter_context(_replaced(method, functools.partial(_refuse, method)))
        yield


@contextlib.contextmanager
def _replaced(method: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """Every Keras model's method is `replacement`, which is given the plain one."""
    plain = getattr(keras.Model, method)
    own = method in vars(keras.Model)

    @functools.wraps(plain)
    def wrapped(model: Any, *args: Any, **kwargs: Any) -> Any:
        return replacement(plain, model, *args, **kwargs)

    setattr(keras.Model, method, wrapped)
    try:
        yield
    finally:
        setattr(keras.Model, method, plain) if own else delattr(keras.Model, method)


def _check_data(distribution: Distribution, x: Any, arguments: dict[str, Any]) -> None:
    validation = arguments.get("validation_data"), arguments.get("validation_split")
    if validation[0] is not None or validation[1]:
        raise ValueError(
            "With several processes, validate with `evaluate` of the distribution: "
            "Keras would validate each process's rows by themselves. "
            + received(validation_data=type(validation[0]))
        )
    if not distribution._reads_parts(x):
        raise ValueError(
            "Every process would train on all rows: pass what `dataset` or `stream` of "
            f"the distribution returns. {received(x=type(x))}"
        )


def _refuse(method: str, plain: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
    raise ValueError(
        f"With several processes, use `{method}` of the distribution, which gives "
        "every process its part of the rows and puts the parts together. "
        + received(model=model.name)
    )
