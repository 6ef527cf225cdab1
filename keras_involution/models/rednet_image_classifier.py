"""The RedNet image classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import keras
import numpy as np
from keras import layers

from keras_involution import _arguments, _strict
from keras_involution._arguments import received
from keras_involution._typing import Shape
from keras_involution.models import _quantized_head
from keras_involution.models._image_inputs import image_array, list_of_images
from keras_involution.models._prepared_fit import PreparesImages
from keras_involution.models._preset_methods import PresetMethods
from keras_involution.models.data_parallel import DataParallelSteps
from keras_involution.models.input_channels import converter_for
from keras_involution.models.predictions import Prediction, Predictions
from keras_involution.models.rednet_backbone import RedNetBackbone
from keras_involution.models.rednet_image_converter import RedNetImageConverter

_IMAGES_AT_ONCE = 128
_POOLINGS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


@keras.saving.register_keras_serializable(package="keras_involution")
class RedNetImageClassifier(
    PreparesImages, PresetMethods, DataParallelSteps, keras.Model
):
    """RedNet image classifier: backbone, global pooling and a dense layer.

    `fit`, `evaluate` and `predict` take any data that Keras supports, and preprocess
    the images with `preprocessor`, batch by batch. `classify` takes files or images and
    returns class names. Images have values from 0 to 255. Tensors that are already
    prepared are not preprocessed again. A floating-point tensor counts as prepared if
    it has a negative value, or if no value exceeds the largest output of the
    preprocessor. Calling the model itself never preprocesses. With `preprocessor=None`,
    no method does.

    Args:
        backbone: `RedNetBackbone`, or any model with one image input and one feature
            map as output.
        num_classes: Integer, number of classes; ignored with `include_top=False`.
        preprocessor: Layer that prepares images. `"auto"` creates a
            `RedNetImageConverter` for the image size of the backbone, or for 224 x 224
            if the backbone takes any size. `None` disables preprocessing.
        pooling: `"avg"` or `"max"`; with `include_top=False` also `None`, to return the
            feature map.
        activation: Activation of the predictions; `None` returns logits.
        dropout: Float, dropout rate before the dense layer.
        head_dtype: dtype or `keras.DTypePolicy` of the pooling and the dense layer;
            `None` uses that of the backbone.
        class_names: List of `num_classes` strings; saved with a preset.
        include_top: Boolean, whether to include dropout and the dense layer. A model
            without them returns features; save its `backbone` as a preset.
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor, as returned by `preprocessor`.
        training: Boolean, whether dropout is active and batch normalization uses the
            statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        (B, num_classes). With `include_top=False`, (B, C) or the feature map of
        `backbone`.

    Returns:
        Tensor of logits, or the result of `activation`.

    Raises:
        TypeError: If an argument is unknown.
        ValueError: If `num_classes` is not a positive integer, `class_names` does not
            have `num_classes` names, or `pooling` is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_involution import RedNet26
    >>> model = RedNet26(num_classes=2, class_names=["dolphin", "whale"])
    >>> image = np.zeros((48, 64, 3), "uint8")
    >>> [best] = model.classify(image)
    >>> sorted(name for name, probability in best)
    ['dolphin', 'whale']

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    backbone_cls = RedNetBackbone
    converter_cls = RedNetImageConverter

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int | None = None,
        preprocessor: keras.layers.Layer | Literal["auto"] | None = "auto",
        pooling: str | None = "avg",
        activation: Any = None,
        dropout: float = 0.0,
        head_dtype: Any = None,
        class_names: Sequence[str] | None = None,
        include_top: bool = True,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        if include_top:
            num_classes = _arguments.positive_integer(num_classes, "num_classes")
        else:
            num_classes = class_names = None
        poolings = (*_POOLINGS,) if include_top else (*_POOLINGS, None)
        _arguments.one_of(pooling, poolings, "pooling")
        names = _check_class_names(class_names, num_classes)
        head_dtype = keras.dtype_policies.get(head_dtype or backbone.dtype_policy)
        if isinstance(preprocessor, str):
            _arguments.one_of(preprocessor, ("auto",), "preprocessor")
            preprocessor = _default_converter(backbone)

        def dtype_of(name: str) -> Any:
            return _quantized_head.policy_of(head_dtype, name)

        # === Functional model ===
        inputs = backbone.input
        x = backbone(inputs)
        if pooling:
            x = _POOLINGS[pooling](
                data_format=getattr(backbone, "data_format", None),
                dtype=dtype_of("pooler"),
                name="pooler",
            )(x)
        if include_top:
            x = layers.Dropout(
                dropout, dtype=dtype_of("output_dropout"), name="output_dropout"
            )(x)
            x = layers.Dense(
                num_classes,
                activation=activation,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
                dtype=dtype_of("predictions"),
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
        self._head_dtype = head_dtype
        self.preprocessor = preprocessor
        self.class_names = names

    @property
    def head_dtype(self) -> Any:
        """The dtype policy of the head; a map by layer names after quantization."""
        if not self.include_top:
            return self._head_dtype
        dense = self.get_layer("predictions")
        return _quantized_head.policies_of(self._head_dtype, [dense])

    @property
    def preprocessor(self) -> Any:
        """The layer that prepares images for this model, or `None`."""
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, layer: keras.layers.Layer | None) -> None:
        # Bypass Keras's tracking, because it is not a layer of the network.
        object.__setattr__(self, "_preprocessor", layer)

    @_strict.strict_keywords
    def classify(self, images: Any, top: int = 5) -> Predictions:
        """Classifies images and returns class names and probabilities.

        Args:
            images: One image or a list of images of any sizes. An image is a file path,
                a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) with
                values from 0 to 255. A batch is an array (B, H, W, C). With
                `data_format="channels_first"`, arrays have their channels first.
            top: Integer, number of predictions for each image.

        Returns:
            `Predictions`: for each image, a list of (name, probability), best first.
            Without `class_names`, the names are the class numbers.

        Raises:
            ValueError: If an image cannot be read or has values outside 0 to 255, or
                the model has no head or no preprocessor.
        """
        if self.num_classes is None:
            raise ValueError(
                "A model without head cannot classify; `predict` returns its features. "
                + received(include_top=False)
            )
        prepare: Any = self.preprocessor
        if prepare is None:
            raise ValueError(
                "The model has no preprocessor, so it cannot prepare images. Set "
                "`model.preprocessor`, for example to a `RedNetImageConverter`. "
                + received(preprocessor=None)
            )
        top = min(_arguments.positive_integer(top, "top"), self.num_classes)
        given, image_names = list_of_images(images)
        rows = []
        for start in range(0, len(given), _IMAGES_AT_ONCE):
            scores = self._scores(given[start : start + _IMAGES_AT_ONCE], prepare)
            rows += [self._best(row, top) for row in scores]
        return Predictions(rows, image_names)

    def _scores(self, images: list[Any], prepare: Any) -> np.ndarray:
        data_format = getattr(prepare, "data_format", "channels_last")
        first = data_format == "channels_first"
        channels = self.input_shape[1 if first else -1]
        arrays = [image_array(image, channels, data_format) for image in images]
        shapes = {array.shape for array in arrays}
        one_batch = len(shapes) == 1 and len({a.dtype for a in arrays}) == 1
        x = prepare(np.stack(arrays) if one_batch else arrays)
        # Not `self.predict`, because the inputs are already preprocessed.
        scores = keras.Model.predict(self, keras.ops.convert_to_numpy(x), verbose=0)
        if self.activation is keras.activations.linear:
            scores = keras.ops.convert_to_numpy(keras.ops.softmax(scores))
        return scores

    def _best(self, scores: np.ndarray, top: int) -> list[Prediction]:
        names = self.class_names
        order = (-scores).argsort(kind="stable")[:top]
        return [
            Prediction(names[i] if names else str(i), float(scores[i])) for i in order
        ]

    def with_image_shape(self, image_shape: Shape, prepare: bool = True) -> Self:
        """Returns the same classifier, with the same weights, for another image shape.

        Args:
            image_shape: Tuple of 3 with known channels.
            prepare: Boolean, whether to adapt the preprocessor to this shape.

        Returns:
            A new classifier.

        Raises:
            ValueError: If `image_shape` does not have three dimensions and a known
                number of channels.
        """
        backbone = self.backbone.with_image_shape(image_shape)
        converter = self.preprocessor
        if prepare and isinstance(converter, RedNetImageConverter):
            converter = converter_for(converter, backbone)
        config = self.get_config() | {
            "backbone": backbone,
            "preprocessor": converter,
            "head_dtype": self.head_dtype,
        }
        other = type(self)(**config)
        if self.include_top:
            # Not `set_weights`, because quantization changes the order of the weights.
            head: dict[str, Any] = {}
            self.get_layer("predictions").save_own_variables(head)
            other.get_layer("predictions").load_own_variables(head)
        return other

    def make_train_function(self, force: bool = False) -> Any:
        """Builds the optimizer first on TensorFlow, then the train function.

        Keras creates the optimizer's variables inside the step, so TensorFlow traces it
        twice.
        """
        if keras.config.backend() == "tensorflow" and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def get_config(self) -> dict[str, Any]:
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "num_classes": self.num_classes,
            "preprocessor": self.preprocessor
            and keras.saving.serialize_keras_object(self.preprocessor),
            "pooling": self.pooling,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "head_dtype": keras.dtype_policies.serialize(self.head_dtype),
            "class_names": self.class_names,
            "include_top": self.include_top,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = dict(config)
        for key in ("backbone", "preprocessor", "head_dtype"):
            if config[key] is not None:
                config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)


def _check_class_names(
    class_names: Sequence[str] | None, num_classes: int | None
) -> list[str] | None:
    if class_names is None:
        return None
    if len(class_names) != num_classes:
        raise ValueError(
            f"`class_names` must hold {num_classes} names, one per class. "
            + received(class_names=list(class_names))
        )
    return [str(name) for name in class_names]


def _default_converter(backbone: keras.Model) -> RedNetImageConverter:
    data_format = getattr(backbone, "data_format", None)
    sizes = backbone.input_shape[1:]
    sizes = sizes[1:] if data_format == "channels_first" else sizes[:2]
    size = (224, 224) if None in sizes else sizes
    return RedNetImageConverter(size, data_format=data_format)
