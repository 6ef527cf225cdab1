"""A head without margins, for comparison."""

from __future__ import annotations

from typing import Any

import keras

from keras_involution import _arguments, _strict
from keras_involution._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class SoftmaxHead(keras.layers.Dense):
    """Logits with a bias and without margins, for comparison with ArcFace.

    Args:
        num_classes: Integer, number of identities.
        **kwargs: Further arguments of `keras.layers.Dense`.

    Call arguments:
        inputs: Floating-point tensor, embeddings.
        identities: Not used; accepted so that heads are interchangeable.

    Input shape:
        (B, D)

    Output shape:
        (B, num_classes)

    Returns:
        Tensor, logits.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If `num_classes` is not a positive integer.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.heads import SoftmaxHead
    >>> tuple(SoftmaxHead(num_classes=3)(np.ones((4, 8), "float32")).shape)
    (4, 3)

    Reference:
        `keras.layers.Dense`
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        _strict.check_constructor(self, kwargs, keras.layers.Dense)
        self.num_classes = _arguments.positive_integer(num_classes, "num_classes")
        kwargs.pop("units", None)
        super().__init__(self.num_classes, **kwargs)

    def build(self, inputs_shape: Shape, identities_shape: Shape | None = None) -> None:
        super().build(inputs_shape)

    def call(self, inputs: Tensor, identities: Tensor | None = None) -> Tensor:
        return super().call(inputs)

    def compute_output_shape(
        self, inputs_shape: Shape, identities_shape: Shape | None = None
    ) -> Shape:
        return (inputs_shape[0], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}
