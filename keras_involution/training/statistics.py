"""Means and variances of batch normalisation, taken anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from keras_involution._arguments import received


def renew_statistics(model: keras.Model, batches: Iterable[Any]) -> None:
    """Puts statistics of these batches in place of the moving averages of training.

    Training sees random parts of pictures, enlarged; use sees whole ones. Where the
    two differ, so do the statistics, and accuracy suffers until they are taken over
    pictures as they will come. Each batch has the same weight; nothing else of the
    model changes, and nothing is dropped meanwhile. Frozen layers keep theirs.

    Args:
        model: Built `keras.Model`.
        batches: Iterable of prepared inputs, some thousands of pictures of the training
            set, the larger the batches the better.

    Raises:
        ValueError: If there is no batch.

    Example:

    >>> import keras, numpy as np
    >>> from keras_involution.training import renew_statistics
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    >>> renew_statistics(model, [np.full((4, 2), 3.0), np.full((4, 2), 5.0)])
    >>> keras.ops.convert_to_numpy(model.layers[0].moving_mean).tolist()
    [4.0, 4.0]
    """
    layers = list(model._flatten_layers())
    norms = [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not norms:
        return
    number = -1
    with _kept(norms, "momentum"), _nothing_dropped(layers):
        for number, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = number / (number + 1)
            model(batch, training=True)
    if number < 0:
        raise ValueError(f"There must be a batch at least. {received(batches=0)}")


@contextlib.contextmanager
def _kept(layers: list[Any], name: str) -> Iterator[None]:
    """The attribute of these layers as it was, after the block."""
    before = [getattr(layer, name) for layer in layers]
    try:
        yield
    finally:
        for layer, value in zip(layers, before):
            setattr(layer, name, value)


@contextlib.contextmanager
def _nothing_dropped(layers: list[Any]) -> Iterator[None]:
    dropping = [layer for layer in layers if isinstance(layer, keras.layers.Dropout)]
    with _kept(dropping, "rate"):
        for layer in dropping:
            layer.rate = 0.0
        yield
