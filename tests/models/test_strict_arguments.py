"""Unknown arguments are refused, with the name that was probably meant."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_involution
from keras_involution import _strict
from keras_involution.layers import (
    BatchNormalization,
    Involution1D,
    Involution2D,
    Involution3D,
)
from keras_involution.models import (
    DataParallelModel,
    InvolutionFeaturePyramid,
    InvolutionTower,
)
from keras_involution.whale_id.heads import ArcFace, SoftmaxHead
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.pooling import GeneralizedMeanPooling2D
from tests.hub.networks import tiny_backbone, tiny_classifier
from tests.marks import one_backend

pytestmark = one_backend

RedNet26 = keras_involution.RedNet26
Backbone = keras_involution.RedNetBackbone
Converter = keras_involution.RedNetImageConverter


def classifier(**kwargs):
    return keras_involution.RedNetImageClassifier(tiny_backbone(), 3, **kwargs)


def embedding(**kwargs):
    return EmbeddingNetwork(tiny_backbone(), **kwargs)


def data_parallel(**kwargs):
    inputs = keras.Input((4,))
    return DataParallelModel(inputs, keras.layers.Dense(2)(inputs), **kwargs)


def arcface(**kwargs):
    return ArcFace(3, **kwargs)


def softmax_head(**kwargs):
    return SoftmaxHead(3, **kwargs)


TABLE = [
    (RedNet26, "weights", "imagenet", "`from_preset`"),
    (RedNet26, "pretrained", True, "`from_preset`"),
    (RedNet26, "classes", 10, "use `num_classes`"),
    (RedNet26, "num_class", 10, "use `num_classes`"),
    (RedNet26, "num_clases", 10, "did you mean `num_classes`"),
    (RedNet26, "classifier_activation", "softmax", "use `activation`"),
    (RedNet26, "input_shape", (32, 32, 3), "use `image_shape`"),
    (RedNet26, "depth", 26, "`RedNetBackbone.from_depth`"),
    (classifier, "weights", None, "`from_preset`"),
    (classifier, "dtype", "float32", "`head_dtype`"),
    (Backbone, "depth", 50, "`RedNetBackbone.from_depth`"),
    (Backbone, "pooling", "avg", "`RedNetImageClassifier`"),
    (Backbone, "classes", 3, "`RedNetImageClassifier`"),
    (Backbone, "input_shape", (32, 32, 3), "use `image_shape`"),
    (Backbone, "stackwise_num_block", [1], "did you mean `stackwise_num_blocks`"),
    (Involution1D, "channel", 16, "read from the input"),
    (Involution2D, "channel", 16, "read from the input"),
    (Involution2D, "group_number", 2, "use `groups`"),
    (Involution2D, "stride", 2, "use `strides`"),
    (Involution2D, "filters", 8, "that of the input"),
    (Involution2D, "padding", "same", "ceil\\(side / strides\\)"),
    (Involution2D, "activation", "relu", "`keras.layers.Activation`"),
    (Involution2D, "use_bias", True, "adds no bias"),
    (Involution2D, "normalization", "layer", "batch normalization"),
    (Involution3D, "kernel", 3, "did you mean `kernel_size`"),
    (Involution2D, "xyz", 3, "it takes `kernel_size`, `groups`"),
    (InvolutionTower, "group_number", 2, "did you mean `group_channels`"),
    (InvolutionFeaturePyramid, "out_channels", 64, "use `num_filters`"),
    (Converter, "size", 224, "use `image_size`"),
    (Converter, "mean", 0.5, "use `offset`"),
    (embedding, "embedding_dim", 64, "did you mean `embedding_size`"),
    (GeneralizedMeanPooling2D, "power", 3, "it takes `p`"),
    (BatchNormalization, "axes", 1, "did you mean `axis`"),
    (data_parallel, "xyz", 1, "it takes `inputs`"),
    (arcface, "margin", 0.3, "did you mean `margins`"),
    (softmax_head, "bias", False, "did you mean `use_bias`"),
]


@pytest.mark.parametrize("make, name, value, advice", TABLE)
def test_constructors(make, name, value, advice):
    with pytest.raises(TypeError, match=f"`{name}`.*{advice}.*Received: {name}="):
        make(**{name: value})


@pytest.mark.parametrize(
    "cls", (RedNet26, Backbone, keras_involution.RedNetImageClassifier)
)
@pytest.mark.parametrize(
    "name, advice",
    (
        ("foo", "it takes `preset`, `num_classes`"),
        ("classes", "use `num_classes`"),
        ("load_weight", "did you mean `load_weights`"),
        ("weights", "`from_preset`"),
    ),
)
def test_from_preset_refuses_before_it_looks_for_the_preset(cls, name, advice):
    with pytest.raises(
        TypeError, match=f"`{cls.__name__}.from_preset` has no.*{advice}.*Received"
    ):
        cls.from_preset("hf://nobody/nothing", **{name: 1})


@pytest.mark.parametrize(
    "call, name, advice",
    (
        (Backbone.from_depth, "weights", "`from_preset`"),
        (Backbone.from_depth, "drop_path", "did you mean `drop_path_rate`"),
        (Backbone.from_depth, "stackwise_num_blocks", "did you mean `stackwise_num_"),
        (EmbeddingNetwork.from_preset, "load_weight", "did you mean `load_weights`"),
        (EmbeddingNetwork.from_preset, "num_classes", "it takes|`RedNetImage"),
    ),
)
def test_class_methods(call, name, advice):
    method = f"{call.__self__.__name__}.{call.__name__}"
    with pytest.raises(TypeError, match=f"`{method}` has no.*({advice}).*Received"):
        call(26, **{name: 1})


@pytest.mark.parametrize("make", (tiny_classifier, embedding))
@pytest.mark.parametrize("name", ("push_to_hub", "save_to_preset"))
def test_publishing(make, name):
    model = make()
    with pytest.raises(
        TypeError, match=f"{type(model).__name__}.{name}` has no .*max_"
    ):
        getattr(model, name)("user/name", max_shard_sizes=1)


def test_arguments_of_keras_stay_valid():
    model = RedNet26(num_classes=2, name="mine", trainable=False)
    assert model.name == "mine" and not model.trainable
    layer = Involution2D(
        3, name="a", dtype="float16", trainable=False, activity_regularizer="l2"
    )
    again = Involution2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    for each in (model, tiny_classifier(), embedding()):
        config = each.get_config()
        assert type(each).from_config(config).get_config().keys() == config.keys()


def test_a_class_of_ones_own_may_have_more_arguments():
    class Mine(keras_involution.RedNetImageClassifier):
        def __init__(self, backbone, temperature=1.0, **kwargs):
            super().__init__(backbone, **kwargs)
            self.temperature = temperature

    assert Mine(tiny_backbone(), 2.0, num_classes=3).temperature == 2.0
    with pytest.raises(TypeError, match="did you mean `temperature`"):
        Mine(tiny_backbone(), temperatur=2.0, num_classes=3)


def test_functions_without_further_arguments():
    @_strict.strict_keywords
    def resize(image: object, image_size: int = 3) -> int:
        return image_size

    assert resize(None, image_size=4) == 4
    with pytest.raises(TypeError, match=r"resize` has no.*`image_size`.*Received"):
        resize(None, size=4)


@pytest.mark.parametrize("make", (data_parallel, BatchNormalization, softmax_head))
def test_their_other_arguments_stay_valid(make):
    each = make(name="a", trainable=False)
    again = type(each).from_config(each.get_config())
    assert again.name == "a" and not again.trainable
    assert again.get_config() == each.get_config()


@pytest.mark.parametrize("shape", (64, (64, 64), (0, 64, 3), (64, 64, None)))
def test_shapes_that_no_image_has(shape):
    for make in (Backbone, tiny_classifier().with_image_shape):
        with pytest.raises(ValueError, match=r"`image_shape` must have.*Received: ima"):
            make(image_shape=shape)


def test_values_of_other_kinds():
    for group_channels in (0, 1.5):
        with pytest.raises(ValueError, match=r"positive.*Received: group_channels="):
            Backbone(group_channels=group_channels)
    for size in (0, -1, 1.5):
        with pytest.raises(ValueError, match=r"positive.*Received: embedding_size="):
            embedding(embedding_size=size)
    for dtype in ("int8", "float99"):
        with pytest.raises(ValueError, match=r"`dtype` must be one of.*Received: dty"):
            RedNet26.from_preset("rednet_26_tiny_imagenet", dtype=dtype)
    with pytest.raises(ValueError, match=r"`input_shape` must be.*Received: input_s"):
        tiny_classifier().macs(224)
    scale = np.array([1.0, 2.0, 3.0])
    assert Converter(scale=scale, offset=np.float32(2)).scale == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"no images.*Received: inputs=\[\]"):
        Converter((8, 8))([])
