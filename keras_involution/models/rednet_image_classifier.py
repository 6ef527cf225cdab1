"""RedNet with its head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.models._preset_methods import PresetMethods
from keras_involution.models.rednet_image_converter import RedNetImageConverter

_POOLINGS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNetImageClassifier(PresetMethods, keras.Model):
    """An image classifier on a RedNet: backbone, global pooling, one dense layer.

    It is a plain Keras model of prepared tensors: `fit`, `evaluate` and `predict` take
    whatever data Keras takes. `preprocessor` prepares pictures, and `classify` does it
    all, from pictures to names.

    Args:
        backbone: `RedNetBackbone`, or any model with one image input and one map as
            output.
        num_classes: Integer, number of classes; without the head it is not used.
        preprocessor: Layer that prepares pictures; `None` is a `RedNetImageConverter`
            to the backbone's image size, or to 224 x 224 where that is open.
        pooling: `"avg"` or `"max"`; without the head also `None`, for the map.
        activation: Activation of the predictions; `None` leaves logits.
        dropout: Float, rate of the dropout before the dense layer.
        head_dtype: dtype of pooling and dense layer; `None` takes the backbone's.
        class_names: List of `num_classes` strings; saved with a preset.
        include_top: Boolean, whether dropout and dense layer follow the pooling. A
            model without them gives features; its `backbone` is what a preset holds.
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor, prepared as by `preprocessor`.
        training: Boolean, whether dropout is active and batch normalisation uses the
            statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        (B, num_classes); without the head (B, C), or the map of `backbone`.

    Returns:
        Tensor, logits unless `activation` says otherwise.

    Raises:
        ValueError: If `num_classes` is not a positive integer, the names are not as
            many as the classes, or `pooling` is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_involution import RedNet26
    >>> model = RedNet26(num_classes=2, class_names=["dolphin", "whale"])
    >>> photograph = np.zeros((48, 64, 3), "uint8")
    >>> [best] = model.classify([photograph])
    >>> sorted(name for name, probability in best)
    ['dolphin', 'whale']

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int | None = None,
        preprocessor: keras.layers.Layer | None = None,
        pooling: str | None = "avg",
        activation: Any = None,
        dropout: float = 0.0,
        head_dtype: Any = None,
        class_names: Sequence[str] | None = None,
        include_top: bool = True,
        **kwargs: Any,
    ) -> None:
        if include_top:
            num_classes = _arguments.positive_integer(num_classes, "num_classes")
        else:
            num_classes = class_names = None
        poolings = (*_POOLINGS,) if include_top else (*_POOLINGS, None)
        _arguments.one_of(pooling, poolings, "pooling")
        names = _check_class_names(class_names, num_classes)
        head_dtype = head_dtype or backbone.dtype_policy
        preprocessor = preprocessor or _default_converter(backbone)

        # === Functional model ===
        inputs = backbone.input
        x = backbone(inputs)
        if pooling:
            x = _POOLINGS[pooling](
                data_format=getattr(backbone, "data_format", None),
                dtype=head_dtype,
                name="pooler",
            )(x)
        if include_top:
            x = layers.Dropout(dropout, dtype=head_dtype, name="output_dropout")(x)
            x = layers.Dense(
                num_classes,
                activation=activation,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
                dtype=head_dtype,
                name="predictions",
            )(x)
        super().__init__(inputs=inputs, outputs=x, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.num_classes = num_classes
        self.include_top = include_top
        self.pooling = pooling
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.head_dtype = head_dtype
        self.preprocessor = preprocessor
        self.class_names = names

    @property
    def preprocessor(self) -> keras.layers.Layer:
        """The layer that prepares pictures for this model."""
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, layer: keras.layers.Layer) -> None:
        # Past Keras's tracking: it prepares pictures, it is no layer of the network.
        object.__setattr__(self, "_preprocessor", layer)

    def classify(self, images: Any, top: int = 5) -> list[list[tuple[str, float]]]:
        """Prepares pictures, predicts, and answers with names and probabilities.

        Args:
            images: Pictures of values 0 to 255: an array (B, H, W, 3), one picture
                (H, W, 3), or a list of pictures of any sizes.
            top: Integer, how many answers a picture.

        Returns:
            For each picture a list of (name, probability), best first. Without
            `class_names` the names are the class numbers.

        Raises:
            ValueError: If the model was made without its head.
        """
        if self.num_classes is None:
            raise ValueError(
                "A model without its head gives no classes; call it on what "
                f"`preprocessor` prepares. {received(include_top=False)}"
            )
        top = min(_arguments.positive_integer(top, "top"), self.num_classes)
        x = self.preprocessor(images)
        if len(x.shape) == 3:
            x = keras.ops.expand_dims(x, 0)
        scores = self.predict(keras.ops.convert_to_numpy(x), verbose=0)
        if self.activation is keras.activations.linear:
            scores = keras.ops.convert_to_numpy(keras.ops.softmax(scores))
        names = self.class_names or [str(i) for i in range(self.num_classes)]
        best = (-scores).argsort(axis=-1, kind="stable")[:, :top]
        return [
            [(names[i], float(row[i])) for i in order]
            for row, order in zip(scores, best)
        ]

    def make_train_function(self, force: bool = False) -> Any:
        """As Keras's, with the optimizer's variables made beforehand on TensorFlow.

        Keras makes them inside of the step, which TensorFlow then traces twice.
        """
        if keras.config.backend() == "tensorflow" and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def get_config(self) -> dict[str, Any]:
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "preprocessor": keras.saving.serialize_keras_object(self.preprocessor),
            "pooling": self.pooling,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "head_dtype": keras.dtype_policies.serialize(
                keras.dtype_policies.get(self.head_dtype)
            ),
            "class_names": self.class_names,
            "include_top": self.include_top,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RedNetImageClassifier:
        config = dict(config)
        for key in ("backbone", "preprocessor", "head_dtype"):
            config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)


def _check_class_names(
    class_names: Sequence[str] | None, num_classes: int | None
) -> list[str] | None:
    if class_names is None:
        return None
    if len(class_names) != num_classes:
        raise ValueError(
            f"`class_names` must hold {num_classes} names, one a class. "
            + received(class_names=list(class_names))
        )
    return [str(name) for name in class_names]


def _default_converter(backbone: keras.Model) -> RedNetImageConverter:
    data_format = getattr(backbone, "data_format", None)
    sizes = backbone.input_shape[1:]
    sizes = sizes[1:] if data_format == "channels_first" else sizes[:2]
    size = (224, 224) if None in sizes else sizes
    return RedNetImageConverter(size, data_format=data_format)
