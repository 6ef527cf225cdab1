"""Rejects unknown keyword arguments and suggests the right name.

Python's own error does not suggest a name, and functional models of Keras accept
unknown arguments silently. A misspelled argument without effect can cost a training
run.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import keras

from keras_involution._arguments import received

P = ParamSpec("P")
R = TypeVar("R")

_OF_MODELS = ("name", "trainable")
# Keras warns about the last two and uses them in a `Sequential` model.
_OF_LAYERS = (
    *("name", "dtype", "trainable", "activity_regularizer", "autocast"),
    *("input_shape", "input_dim"),
)

# Name of an argument in other libraries -> its name here. The name is suggested if the
# called function has that argument.
_SYNONYMS = {
    "classes": "num_classes",
    "num_class": "num_classes",
    "n_classes": "num_classes",
    "labels": "class_names",
    "classifier_activation": "activation",
    "input_shape": "image_shape",
    "input_size": "image_shape",
    "img_size": "image_size",
    "size": "image_size",
    "global_pool": "pooling",
    "drop_rate": "dropout",
    "dropout_rate": "dropout",
    "stochastic_depth_rate": "drop_path_rate",
    "group": "groups",
    "group_number": "groups",
    "num_groups": "groups",
    "stride": "strides",
    "dilation": "dilation_rate",
    "k": "kernel_size",
    "ksize": "kernel_size",
    "window_size": "kernel_size",
    "num_heads": "groups",
    "out_channels": "num_filters",
    "filters": "num_filters",
    "channels": "num_filters",
    "mean": "offset",
    "std": "scale",
    "licence": "license",  # codespell:ignore
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "nb_epoch": "epochs",
    "top_k": "top",
    "k_top": "top",
}

# Arguments of other libraries that do not exist here -> what to do instead.
_HABITS = {
    "weights": "trained weights are loaded with `from_preset`",
    "pretrained": "trained weights are loaded with `from_preset`",
    "checkpoint": "trained weights are loaded with `from_preset`",
    "include_preprocessing": "the preparation of images is the `preprocessor`",
    "pooling": "`RedNetImageClassifier` pools the map of a backbone",
    "num_classes": "`RedNetImageClassifier` puts a head on a backbone",
    "depth": "a backbone of a published depth comes from `RedNetBackbone.from_depth`",
    "channel": "the number of channels is read from the input",
    "channels": "the number of channels is read from the input and does not change",
    "in_channels": "the number of channels is read from the input",
    "out_channels": "the number of channels is that of the input",
    "filters": "the number of channels is that of the input",
    "padding": (
        "the border is always padded with zeros, and an output has "
        "ceil(side / strides) positions, as with 'same'; crop the output for 'valid'"
    ),
    "activation": "follow the layer with `keras.layers.Activation`",
    "use_bias": (
        "an involution adds no bias to its output; the branch that generates its "
        "kernels has one, see `bias_initializer`"
    ),
    "norm": "the kernels are generated through batch normalization, as published",
    "norm_layer": "the kernels are generated through batch normalization, as published",
    "normalization": (
        "the kernels are generated through batch normalization, as published"
    ),
    "use_norm": "the kernels are generated through batch normalization, as published",
    "dtype": "the dtype is that of the backbone; `head_dtype` is that of the head",
    "height": "height and width are given together, as `image_size`",
    "width": "height and width are given together, as `image_size`",
    "fill_mode": "padding is black",
    "fill_value": "padding is black",
}


def refuse_unknown(
    owner: str, given: Mapping[str, object], valid: Iterable[str]
) -> None:
    """Raises `TypeError` if `given` holds a name that is not in `valid`.

    Args:
        owner: String, name of the class or function that was called.
        given: Mapping of keyword arguments.
        valid: Iterable of the names that `owner` takes.
    """
    names = list(valid)
    for name, value in given.items():
        if name not in names:
            raise TypeError(
                f"`{owner}` has no argument `{name}`{_advice(name, names)} "
                + received(**{name: value})
            )


def check_constructor(
    instance: object, kwargs: Mapping[str, object], parent: Any = None
) -> None:
    """Calls `refuse_unknown` for the `**kwargs` of a layer or model constructor.

    `parent` is the class of Keras that takes the same arguments, if there is one.
    """
    cls = type(instance)
    names = constructor_arguments(cls)
    if parent is not None:
        names = (*names, *arguments_of(parent.__init__))
    refuse_unknown(cls.__name__, kwargs, names)


def constructor_arguments(cls: type) -> tuple[str, ...]:
    """The arguments of a layer or model, including those of its base classes."""
    names: tuple[str, ...] = ()
    for base in cls.__mro__:
        if base.__module__.startswith("keras."):
            break
        if "__init__" in vars(base):
            names += arguments_of(vars(base)["__init__"])
    return names + (_OF_MODELS if issubclass(cls, keras.Model) else _OF_LAYERS)


def arguments_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names that a function accepts as keywords, without `self`."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in kinds and name not in ("self", "cls")
    )


def strict_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator that rejects unknown keywords and suggests the nearest name."""
    valid = arguments_of(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse_unknown(_owner(function, args), kwargs, valid)
        return function(*args, **kwargs)

    return checked


def _owner(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """The name of a function; for a method, with the class it was called on."""
    if "." not in function.__qualname__ or not args:
        return function.__name__
    cls = args[0] if isinstance(args[0], type) else type(args[0])
    return f"{cls.__name__}.{function.__name__}"


def _advice(name: str, valid: list[str]) -> str:
    meant = _SYNONYMS.get(name, name)
    if meant in valid:
        return f"; use `{meant}`."
    for habit in (name, meant):
        if habit in _HABITS:
            return f": {_HABITS[habit]}."
    nearest = difflib.get_close_matches(name, valid, 1, 0.5)
    if nearest:
        return f"; did you mean `{nearest[0]}`?"
    shown = [f"`{each}`" for each in valid if not each.startswith("input_")]
    return f"; it takes {', '.join(dict.fromkeys(shown))}."
