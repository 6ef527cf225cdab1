"""Recomputes the means and variances of batch normalization."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution._keras_private import flat_layers


def update_batch_norm_statistics(model: keras.Model, batches: Iterable[Any]) -> None:
    """Recomputes the statistics of batch normalization over the given batches.

    Training uses enlarged random crops, inference uses whole images. Their statistics
    differ, which lowers the accuracy. This function replaces the moving averages of
    training by the statistics of images as they are at inference. Each batch has the
    same weight. Dropout is disabled, frozen layers keep their statistics, and nothing
    else changes.

    Args:
        model: Built `keras.Model`.
        batches: Iterable of prepared inputs: a few thousand images in large batches.

    Raises:
        ValueError: If there is no batch.

    Example:

    >>> import keras, numpy as np
    >>> from keras_involution.training import update_batch_norm_statistics
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    >>> batches = [np.full((4, 2), 3.0), np.full((4, 2), 5.0)]
    >>> update_batch_norm_statistics(model, batches)
    >>> keras.ops.convert_to_numpy(model.layers[0].moving_mean).tolist()
    [4.0, 4.0]
    """
    layers = flat_layers(model, include_self=True)
    norms = [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not norms:
        return
    number = -1
    with _kept(norms, "momentum"), _without_dropout(layers):
        for number, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = number / (number + 1)
            model(batch, training=True)
    if number < 0:
        raise ValueError(f"There must be at least one batch. {received(batches=0)}")


@contextlib.contextmanager
def _kept(layers: list[Any], name: str) -> Iterator[None]:
    """Restores an attribute of layers after the block."""
    before = [getattr(layer, name) for layer in layers]
    try:
        yield
    finally:
        for layer, value in zip(layers, before):
            setattr(layer, name, value)


@contextlib.contextmanager
def _without_dropout(layers: list[Any]) -> Iterator[None]:
    dropping = [layer for layer in layers if isinstance(layer, keras.layers.Dropout)]
    with _kept(dropping, "rate"):
        for layer in dropping:
            layer.rate = 0.0
        yield
