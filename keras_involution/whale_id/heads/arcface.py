"""Logits with an angular margin, and one or several centers per identity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_involution import _arguments, _strict
from keras_involution._arguments import received
from keras_involution._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_involution")
class ArcFace(keras.layers.Layer):
    """Additive angular margin: `scale * cos(angle + margin)` for the true identity,
    `scale * cos(angle)` for the others.

    The angle is measured between an embedding and the nearest of an identity's
    `sub_centers`. Where angle + margin exceeds 180 degrees, the cosine would rise
    again. There the logit is `cos(angle) - margin * sin(margin)`, which keeps falling.

    Args:
        num_classes: Integer, number of identities.
        margins: Float, or one float per identity, in radians; see `count_margins`.
        scale: Float, factor of the cosines.
        sub_centers: Integer, number of centers per identity; 1 is plain ArcFace.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Floating-point tensor, embeddings; they need not be normalized.
        identities: Integer tensor (B,), the true classes; `None` omits the margins, as
            for prediction.

    Input shape:
        (B, D)

    Output shape:
        (B, num_classes)

    Returns:
        Tensor, logits.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If a size is not a positive integer, the number of margins differs
            from `num_classes`, a margin is outside 0 to pi, or `scale` is not positive.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.heads import ArcFace
    >>> head = ArcFace(num_classes=3, margins=0.3, sub_centers=2)
    >>> tuple(head(np.ones((4, 8), "float32"), np.array([0, 1, 2, 0])).shape)
    (4, 3)

    Reference:
        Deng et al., "ArcFace", 2019, https://arxiv.org/abs/1801.07698; Deng et al.,
        "Sub-center ArcFace", ECCV 2020
    """

    def __init__(
        self,
        num_classes: int,
        margins: float | Sequence[float] = 0.3,
        scale: float = 30.0,
        sub_centers: int = 1,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        # Half precision cannot resolve cosines near 1.
        kwargs["dtype"] = kwargs.get("dtype") or "float32"
        super().__init__(**kwargs)
        check = _arguments.positive_integer
        self.num_classes = check(num_classes, "num_classes")
        self.sub_centers = check(sub_centers, "sub_centers")
        self.margins = _check_margins(margins, self.num_classes)
        if not scale > 0:
            raise ValueError(f"`scale` must be positive. {received(scale=scale)}")
        self.scale = float(scale)

    def build(self, inputs_shape: Shape, identities_shape: Shape | None = None) -> None:
        self.centers = self.add_weight(
            shape=(inputs_shape[-1], self.num_classes * self.sub_centers),
            initializer="glorot_uniform",
            name="centers",
        )
        self.built = True

    def call(self, inputs: Tensor, identities: Tensor | None = None) -> Tensor:
        cosines = self.cosines(inputs)
        if identities is None:
            return self.scale * cosines
        ops = keras.ops
        identities = ops.cast(identities, "int32")
        table = np.broadcast_to(
            np.asarray(self.margins, "float32"), (self.num_classes,)
        )
        margins = ops.expand_dims(ops.take(ops.convert_to_tensor(table), identities), 1)
        true = ops.one_hot(identities, self.num_classes, dtype=cosines.dtype)
        return self.scale * ops.where(true > 0, _shifted(cosines, margins), cosines)

    def cosines(self, inputs: Tensor) -> Tensor:
        """Similarity to the nearest center of every identity.

        Args:
            inputs: Tensor (B, D).

        Returns:
            Tensor (B, num_classes), -1 to 1.
        """
        ops = keras.ops
        inputs = ops.normalize(ops.cast(inputs, self.compute_dtype), axis=-1)
        cosines = ops.matmul(inputs, ops.normalize(self.centers, axis=0))
        shape = (-1, self.num_classes, self.sub_centers)
        return ops.max(ops.reshape(cosines, shape), axis=-1)

    def compute_output_shape(
        self, inputs_shape: Shape, identities_shape: Shape | None = None
    ) -> Shape:
        return (inputs_shape[0], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            num_classes=self.num_classes,
            margins=self.margins,
            scale=self.scale,
            sub_centers=self.sub_centers,
        )
        return config


def _shifted(cosines: Tensor, margins: Tensor) -> Tensor:
    """cos(angle + margin), and its continuation past 180 degrees."""
    ops = keras.ops
    # The slope of the root is infinite at 0 degrees, but the gradient must be finite.
    sines = ops.sqrt(ops.clip(1.0 - ops.square(cosines), 1e-7, 1.0))
    turned = cosines * ops.cos(margins) - sines * ops.sin(margins)
    beyond = cosines < -ops.cos(margins)
    return ops.where(beyond, cosines - margins * ops.sin(margins), turned)


def _check_margins(
    margins: float | Sequence[float], num_classes: int
) -> float | list[float]:
    single = isinstance(margins, int | float)
    values = [float(m) for m in np.atleast_1d(np.asarray(margins, "float64"))]
    if not single and len(values) != num_classes:
        raise ValueError(
            f"`margins` must contain {num_classes} numbers, one per identity. "
            + received(margins=len(values))
        )
    if not all(0 <= value < math.pi for value in values):
        raise ValueError(
            f"`margins` must be between 0 and pi. {received(margins=margins)}"
        )
    return values[0] if single else values
