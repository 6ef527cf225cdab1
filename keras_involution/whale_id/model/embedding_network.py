"""The network that computes embeddings of photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_involution import _arguments, _strict, hub
from keras_involution._arguments import received
from keras_involution.layers import BatchNormalization
from keras_involution.models import _quantized_head
from keras_involution.models._prepared_fit import PreparesImages
from keras_involution.models._preset_methods import PresetMethods
from keras_involution.models.data_parallel import DataParallelSteps
from keras_involution.whale_id.model import preset as preset_folder
from keras_involution.whale_id.model.pooled import (
    pooled_stages,
    stretching_converter,
)
from keras_involution.whale_id.unit import unit


@keras.saving.register_keras_serializable(package="keras_involution")
class EmbeddingNetwork(PreparesImages, DataParallelSteps, keras.Model):
    """Backbone, generalized means of its last stages, and batch normalization.

    The Keras model itself takes preprocessed tensors. `embed` takes images and returns
    embeddings of length one.

    Args:
        backbone: `RedNetBackbone`, another model with `pyramid_outputs`, or a model
            whose output is one vector per image, which is used unchanged.
        levels: Integer, number of last stages that are pooled and concatenated.
        p: Float, power of the generalized mean.
        cells: Integer or tuple of 2, rows and columns of the grid of pooling cells.
        embedding_size: Integer, size of a dense layer before the normalization; `None`
            leaves the pooled channels unchanged.
        dropout: Float, rate of the dropout before the dense layer.
        preprocessor: `RedNetImageConverter` that preprocesses images; `None` resizes
            them to the backbone's image size without keeping the aspect ratio.
        dense_dtype: dtype or `keras.DTypePolicy` of the dense layer; `None` uses the
            global setting of Keras.
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor, preprocessed as by `preprocessor`.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        (B, D)

    Returns:
        Tensor, embeddings before they are normalized to length one.

    Raises:
        ValueError: If the backbone has fewer stages than `levels`, or fewer positions
            than `cells`, or `embedding_size` is not a positive integer.

    Example:

    >>> import numpy as np
    >>> from keras_involution.whale_id.model import EmbeddingNetwork, build_backbone
    >>> backbone = build_backbone(
    ...     "rednet", (32, 32, 3), stackwise_num_filters=[32, 64],
    ...     stackwise_num_blocks=[1, 1], stackwise_strides=[1, 2],
    ... )
    >>> network = EmbeddingNetwork(backbone)
    >>> features = network.embed(np.zeros((2, 32, 32, 3), "uint8"))
    >>> features.shape, features.dtype.name
    ((2, 384), 'float32')

    Reference:
        Neck and pooling follow the winners of Happywhale,
        https://www.kaggle.com/c/happy-whale-and-dolphin/discussion/320192
    """

    def __init__(
        self,
        backbone: keras.Model,
        levels: int = 2,
        p: float = 3.0,
        cells: int | Sequence[int] = 1,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        preprocessor: keras.layers.Layer | None = None,
        dense_dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        levels = _arguments.positive_integer(levels, "levels")
        rows, columns = _arguments.spatial_tuple(cells, 2, "cells")
        if embedding_size is not None:
            _arguments.positive_integer(embedding_size, "embedding_size")

        # === Functional model ===
        x = pooled_stages(backbone, levels, p, (rows, columns))
        if dropout:
            # Without a seed PyTorch would use a random state that checkpoints omit.
            x = layers.Dropout(dropout, seed=1, name="neck_dropout")(x)
        if embedding_size is not None:
            x = layers.Dense(
                embedding_size,
                use_bias=False,
                dtype=_quantized_head.policy_of(dense_dtype, "neck_dense"),
                name="neck_dense",
            )(x)
        outputs = BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype="float32", name="neck_bn"
        )(x)
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.levels = levels
        self.p = p
        self.cells = (rows, columns)
        self.embedding_size = embedding_size
        self.dropout = dropout
        self._dense_dtype = keras.dtype_policies.get(dense_dtype)
        preprocessor = preprocessor or stretching_converter(backbone)
        # Not tracked by Keras: it preprocesses images and is no layer of the network.
        object.__setattr__(self, "preprocessor", preprocessor)

    @property
    def dense_dtype(self) -> Any:
        """The dtype policy of the dense layer; a map once the layer is quantized."""
        dense = [] if self.embedding_size is None else [self.get_layer("neck_dense")]
        return _quantized_head.policies_of(self._dense_dtype, dense)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that the network expects."""
        return self.preprocessor.image_size

    @property
    def size(self) -> int:
        """Length D of an embedding."""
        return int(self.output_shape[-1])

    def embed(self, images: Any, flip: str = "none") -> np.ndarray:
        """Embeddings of a batch of images, each of length one.

        Args:
            images: Images with values from 0 to 255: an array (B, H, W, 3) or a list
                of images of any sizes.
            flip: `"none"`; `"mirrored"` for the mirrored images; `"average"` for the
                normalized sum of both.

        Returns:
            Array (B, D), float32.

        Raises:
            ValueError: If `flip` is unknown, or `images` is neither a batch nor a list.
        """
        _arguments.one_of(flip, ("none", "mirrored", "average"), "flip")
        if not isinstance(images, list | tuple) and np.ndim(images) != 4:
            raise ValueError(
                "`images` must be a list of images or an array (B, H, W, 3). "
                + received(images=getattr(images, "shape", images))
            )
        if not len(images):
            return np.zeros((0, self.size), "float32")
        x = keras.ops.convert_to_numpy(self.preprocessor(images))
        width = -1 if self.preprocessor.data_format == "channels_first" else -2
        views = [] if flip == "mirrored" else [x]
        if flip != "none":
            views.append(np.ascontiguousarray(np.flip(x, width)))
        features = [unit(self.predict_on_batch(view)) for view in views]
        return features[0] if len(features) == 1 else unit(features[0] + features[1])

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "backbone": serialize(self.backbone),
            "levels": self.levels,
            "p": self.p,
            "cells": self.cells,
            "embedding_size": self.embedding_size,
            "dropout": self.dropout,
            "preprocessor": serialize(self.preprocessor),
            "dense_dtype": serialize(self.dense_dtype),
            "name": self.name,
            "trainable": self.trainable,
        }

    @_strict.strict_keywords
    def save_to_preset(
        self, folder: str | Path, max_shard_size: float | None = 5.0
    ) -> None:
        """Writes the network to a preset folder, which its backbone can also load.

        Args:
            folder: Path of the folder. It is written completely or not at all.
            max_shard_size: Number of GB above which the weights are split into files.

        Raises:
            ValueError: If `folder` contains files that do not belong to a preset, or
                the backbone is not a `RedNetBackbone`.
        """
        preset_folder.save_to_preset(self, folder, max_shard_size)

    @classmethod
    @_strict.strict_keywords
    def from_preset(
        cls,
        preset: str | Path,
        *,
        load_weights: bool = True,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
    ) -> EmbeddingNetwork:
        """Builds the network from a preset; no code in the preset is executed.

        Args:
            preset: A folder, or a handle `"hf://user/name"`.
            load_weights: Boolean; `False` leaves the weights random.
            revision: Branch, tag or commit of a Hub repository; `None` is `main`.
            token: Hub token; `None` uses `HF_TOKEN` or the saved login.
            cache_dir: Folder for downloads; `None` uses the huggingface_hub cache.

        Returns:
            The network.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset cannot be reached, is damaged, or has another
                type.
        """
        return preset_folder.from_preset(
            cls, preset, load_weights, revision, token, cache_dir
        )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        tags: Sequence[str] = (),
        license: str | None = None,
        model_card: Any = None,
        **kwargs: Any,
    ) -> str:
        """Publishes the network as a preset in a Hub repository, in one commit.

        Args:
            repo_id: String, "user/name"; the repository is created if necessary.
            tags: Sequence of strings for the card.
            license: String, the license's id on the Hub, such as "apache-2.0".
            model_card: `keras_involution.hub.CardFacts` for the card, or its whole
                text; `None` writes the facts that the network itself provides.
            **kwargs: As for `RedNetImageClassifier.push_to_hub`: `private`, `token`,
                `commit_message`, `create_pr`, `revision`, `overwrite_card`,
                `max_shard_size`.

        Returns:
            String, the URL of the commit or pull request.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset could not be loaded again, or the Hub cannot be
                reached or rejects the upload.
        """
        own = _strict.arguments_of(EmbeddingNetwork.push_to_hub)
        names = (*own, *_strict.arguments_of(PresetMethods.push_to_hub))
        _strict.refuse_unknown(f"{type(self).__name__}.push_to_hub", kwargs, names)
        if not isinstance(model_card, str):
            given = (model_card, tags, license)
            model_card = preset_folder.card_of(self, repo_id, *given)
        return hub.push_to_hub(self, repo_id, model_card=model_card, **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EmbeddingNetwork:
        config = dict(config)
        for key in ("backbone", "preprocessor", "dense_dtype"):
            if key in config:
                config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)
