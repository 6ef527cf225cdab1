"""The network that turns photos into embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_involution import _arguments, _strict, hub
from keras_involution.layers import BatchNormalization
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
    """Backbone -> generalized means of its last stages -> batch normalization.

    It is a plain Keras model of prepared tensors. `embed` does it all, from images
    to embeddings of length one.

    Args:
        backbone: `RedNetBackbone`, another model with `pyramid_outputs`, or one whose
            output is a vector for each image and is taken as it is.
        levels: Integer, how many of the last stages are pooled and put side by side.
        p: Float, power of the generalized mean.
        cells: Integer or tuple of 2, rows and columns that the maps are pooled in.
        embedding_size: Integer, puts a dense layer in front of the normalization;
            `None` leaves the pooled channels as they are.
        dropout: Float, rate of the dropout before the dense layer.
        preprocessor: `RedNetImageConverter` that prepares images; `None` stretches
            them to the backbone's image size.
        **kwargs: `name` and `trainable`.

    Call arguments:
        inputs: Floating-point tensor, prepared as by `preprocessor`.
        training: Boolean, whether batch normalization uses the statistics of the batch.

    Input shape:
        (B, H, W, C), or (B, C, H, W) channels first.

    Output shape:
        (B, D)

    Returns:
        Tensor, embeddings before they are normalized to length one.

    Raises:
        ValueError: If the backbone has fewer stages than `levels`, or fewer positions
            than `cells`.

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
        **kwargs: Any,
    ) -> None:
        _strict.check_constructor(self, kwargs)
        levels = _arguments.positive_integer(levels, "levels")
        rows, columns = _arguments.spatial_tuple(cells, 2, "cells")

        # === Functional model ===
        x = pooled_stages(backbone, levels, p, (rows, columns))
        if dropout:
            # Without a seed PyTorch would draw from a state that no checkpoint holds.
            x = layers.Dropout(dropout, seed=1, name="neck_dropout")(x)
        if embedding_size:
            x = layers.Dense(embedding_size, use_bias=False, name="neck_dense")(x)
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
        preprocessor = preprocessor or stretching_converter(backbone)
        # Past Keras's tracking: it prepares images, it is no layer of the network.
        object.__setattr__(self, "preprocessor", preprocessor)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that the network is made for."""
        return self.preprocessor.image_size

    @property
    def size(self) -> int:
        """Length D of an embedding."""
        return int(self.output_shape[-1])

    def embed(self, images: Any, flip: str = "none") -> np.ndarray:
        """Embeddings of a batch of images, each of length one.

        Args:
            images: Images of values 0 to 255, an array (B, H, W, 3) or a list of
                images of any sizes.
            flip: `"none"`; `"mirrored"` for the mirrored images; `"average"` for the
                sum of both, of length one again.

        Returns:
            Array (B, D), float32.

        Raises:
            ValueError: If `flip` is none of these.
        """
        _arguments.one_of(flip, ("none", "mirrored", "average"), "flip")
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
            "name": self.name,
            "trainable": self.trainable,
        }

    @_strict.strict_keywords
    def save_to_preset(
        self, folder: str | Path, max_shard_size: float | None = 5.0
    ) -> None:
        """Writes the network as a preset folder, which also loads as its backbone.

        Args:
            folder: Path of the folder, which appears complete or not at all.
            max_shard_size: Number of GB above which the weights become several files.

        Raises:
            ValueError: If `folder` holds other files than a preset, or the network is
                around another backbone than a `RedNetBackbone`.
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
        """Builds the network as a preset describes it; nothing in it is executed.

        Args:
            preset: A folder, or a handle `"hf://user/name"`.
            load_weights: Boolean; `False` leaves the weights random.
            revision: Branch, tag or commit of a Hub repository; `None` is `main`.
            token: Hub token; `None` takes `HF_TOKEN` or the saved login.
            cache_dir: Folder for downloads; `None` takes that of huggingface_hub.

        Returns:
            The network.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset is out of reach, damaged, or of another kind.
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
            repo_id: String, "user/name"; the repository is made if there is none.
            tags: Sequence of strings for the card.
            license: String, the license's id on the Hub, as "apache-2.0".
            model_card: `keras_involution.hub.CardFacts` to write the card from, or its
                whole text; `None` writes what the network itself shows.
            **kwargs: As for `RedNetImageClassifier.push_to_hub`: `private`, `token`,
                `commit_message`, `create_pr`, `revision`, `overwrite_card`,
                `max_shard_size`.

        Returns:
            String, the address of the commit or pull request.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset would not load back, or the Hub cannot be reached
                or refuses.
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
        for key in ("backbone", "preprocessor"):
            config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)
