"""Builds the network, and the model that trains it, from settings and a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from keras_involution import training
from keras_involution._arguments import received
from keras_involution.models import DataParallelModel, RedNetImageConverter
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.heads import ArcFace, SoftmaxHead, count_margins
from keras_involution.whale_id.model import (
    EmbeddingNetwork,
    VectorNetwork,
    build_backbone,
)
from keras_involution.whale_id.splits._given import is_held_out, is_training
from keras_involution.whale_id.tables import OPEN_CLASS

# The stem of a RedNet: a convolution and a pooling, each with strides of 2.
_STEM_STRIDES = 4
NOT_KNOWN = -1
"""Class number of photos whose class is not known."""


@dataclass(frozen=True)
class Classes:
    """The classes of the heads.

    Attributes:
        identities: Names, in the order of the classes.
        counts: Number of photos of each identity.
        species: Names; empty if the table has fewer than two.
        species_counts: Number of photos of each species.
    """

    identities: list[str]
    counts: list[int]
    species: list[str]
    species_counts: list[int]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Classes:
        """The identities and species of the training photos.

        A photo of unknown species is not counted for any species.
        """
        identities = table["identity"].astype(str).value_counts().sort_index()
        species = _species_of(table)
        species = species[species != ""].value_counts().sort_index()
        if len(species) < 2:
            species = species.iloc[:0]
        return cls(
            list(identities.index), [int(c) for c in identities],
            list(species.index), [int(c) for c in species],
        )  # fmt: skip

    def numbers(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Class numbers of a table: "identity" (N,), and "species" if it has several.

        The number is `NOT_KNOWN` for an unknown species.
        """
        place = {name: number for number, name in enumerate(self.identities)}
        found = {"identity": table["identity"].astype(str).map(place)}
        if self.species:
            place = {name: number for number, name in enumerate(self.species)}
            found["species"] = _species_of(table).map(place).fillna(NOT_KNOWN)
        return {name: values.to_numpy("int32") for name, values in found.items()}


def training_rows(table: pd.DataFrame, held_out: str = "") -> pd.DataFrame:
    """Selects the rows for training: known identities of the train split.

    Args:
        table: DataFrame with `identity`, and `split` if only some rows are for
            training.
        held_out: Column of a split within train; rows that are not train in this column
            are left out. It is ignored if the column does not exist.

    Returns:
        DataFrame with a new index.

    Raises:
        ValueError: If there are no rows, all show the same animal, or a split contains
            an unknown word.
    """
    rows = table[~table["identity"].isin(OPEN_CLASS)]
    if "split" in rows:
        rows = rows[is_training(rows, "split")]
    rows = rows[~is_held_out(rows, held_out)]
    if rows["identity"].nunique() < 2:
        raise ValueError(
            "Training needs photos of at least two animals. "
            + received(rows=len(rows), identities=rows["identity"].nunique())
        )
    return rows.reset_index(drop=True)


def build_network(config: TrainConfig) -> EmbeddingNetwork:
    """Builds the network from the settings, with random or preset weights.

    Args:
        config: `TrainConfig`.

    Returns:
        `EmbeddingNetwork`.

    Raises:
        ValueError: If the settings do not describe a valid network.
    """
    stages = (
        "stackwise_num_filters", "stackwise_num_blocks", "stackwise_strides",
        "kernel_size", "group_channels",
    )  # fmt: skip
    given = {n: getattr(config, n) for n in stages if getattr(config, n) is not None}
    side = config.image_size
    backbone = build_backbone(
        config.backbone,
        (side, side, 3),
        spatial_operator=config.spatial_operator,
        dtype=None if config.dtype_policy == "float32" else config.dtype_policy,
        **given,
    )
    _check_size(side, backbone)
    return EmbeddingNetwork(
        backbone,
        levels=config.levels,
        p=config.p,
        cells=config.cells,
        embedding_size=config.embedding_size,
        dropout=config.dropout,
    )


def _check_size(side: int, backbone: keras.Model) -> None:
    """Rejects images smaller than the product of the strides."""
    strides = getattr(backbone, "stackwise_strides", None)
    least = 1 if strides is None else _STEM_STRIDES * math.prod(strides)
    if side < least:
        raise ValueError(
            f"`image_size` must be at least {least}, the product of the strides of the "
            f"backbone. {received(image_size=side)}"
        )


def build_training_model(
    network: EmbeddingNetwork | VectorNetwork, classes: Classes, config: TrainConfig
) -> keras.Model:
    """Builds a compiled model of network, heads, losses and optimizer.

    Args:
        network: `EmbeddingNetwork` or `VectorNetwork`.
        classes: `Classes`.
        config: `TrainConfig`.

    Returns:
        `keras.Model` from "images" or "vectors", "identity" and "species" to the logits
        of "identity" and "species". The true classes are inputs because the margins
        depend on them.

    Raises:
        ValueError: If the settings do not fit together.
    """
    # === Functional model ===
    if isinstance(network, VectorNetwork):
        x = given = keras.Input((network.input_size,), name="vectors")
    else:
        side = config.image_size
        given = keras.Input((side, side, 3), dtype="uint8", name="images")
        x = _normalized(given, network.preprocessor)
    embeddings = network(x)
    inputs, outputs = {given.name: given}, {}
    for name, head in _heads(classes, config).items():
        inputs[name] = keras.Input((), dtype="int32", name=name)
        outputs[name] = head(embeddings, inputs[name])
    model = DataParallelModel(inputs, outputs, name="training")

    # === Loss ===
    weight = config.species_weight
    weights = {"identity": 1 - weight, "species": weight} if classes.species else None
    partly = sum(classes.species_counts) < sum(classes.counts)
    losses = {
        name: keras.losses.SparseCategoricalCrossentropy(
            from_logits=True,
            ignore_class=NOT_KNOWN if name == "species" and partly else None,
        )
        for name in outputs
    }
    model.compile(_optimizer(config), losses, loss_weights=weights)
    # Otherwise Keras on TensorFlow builds it inside the step and traces the step twice.
    model.optimizer.build(model.trainable_variables)
    return model


def _normalized(images: keras.KerasTensor, converter: Any) -> keras.KerasTensor:
    """The output of a converter for images of the right size."""
    return RedNetImageConverter(
        scale=converter.scale,
        offset=converter.offset,
        data_format="channels_last",
        name="normalization",
    )(images)


def _heads(classes: Classes, config: TrainConfig) -> dict[str, keras.layers.Layer]:
    found = {"identity": _head("identity", classes.counts, config)}
    if classes.species:
        found["species"] = _head("species", classes.species_counts, config)
    return found


def _head(name: str, counts: list[int], config: TrainConfig) -> keras.layers.Layer:
    label = f"{name}_head"
    if config.head == "softmax":
        return SoftmaxHead(len(counts), name=label)
    margins: Any = config.margin
    if margins is None and name == "species":
        margins = count_margins(counts, 0.226253, -0.720133)
    elif margins is None:
        margins = count_margins(counts)
    return ArcFace(
        len(counts),
        margins=margins,
        scale=config.scale if name == "identity" else config.species_scale,
        sub_centers=config.sub_centers if config.head == "sub_center_arcface" else 1,
        name=label,
    )


def build_rate(config: TrainConfig, steps: int) -> Any:
    """The learning-rate schedule of the network, with `steps` per epoch."""
    total = steps * config.epochs
    return training.build_schedule(
        config.lr_scheduler,
        config.learning_rate,
        total,
        warm_up_steps=min(round(config.warm_up * total), total - 1),
        steps_per_epoch=steps,
        **config.lr_scheduler_kwargs,
    )


def _optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    # The Trainer sets the rates; only their ratios are set here.
    optimizer = training.build_optimizer(
        config.optimizer,
        1.0,
        multipliers={"(identity|species)_head/.*": config.head_lr_multiplier},
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        ema_decay=config.ema_decay,
        **config.optimizer_kwargs,
    )
    if config.dtype_policy == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _species_of(table: pd.DataFrame) -> pd.Series:
    if "species" not in table:
        return pd.Series([""] * len(table), index=table.index)
    return table["species"].fillna("").astype(str)
