"""The settings of the training of an embedding network, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_involution import _arguments
from keras_involution._settings import Settings, setting

HEADS = ("sub_center_arcface", "arcface", "softmax")
AUGMENTATION_NAMES = ("none", "flip", "light", "strong", "happywhale")
DEFAULT_BACKBONE = "rednet_26_tiny_imagenet"
# Larger values are typing errors that would only exhaust memory or processes.
_LARGEST = {
    "image_size": 10_000, "batch_size": 100_000, "sub_centers": 100,
    "embedding_size": 100_000, "hidden_size": 100_000, "num_threads": 1_000,
    "num_workers": 1_000, "stackwise_num_filters": 100_000,
    "stackwise_num_blocks": 1_000, "stackwise_strides": 1_000, "kernel_size": 101,
}  # fmt: skip


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of `train`; every field is a line of the YAML file and an option.

    The defaults fine-tune the preset that comes with the package, within 15 minutes of
    two cores.

    Raises:
        ValueError: If a value is of another type or out of range.

    Example:

    >>> from keras_involution.whale_id.config import TrainConfig
    >>> TrainConfig(epochs=3).batch_size
    16
    """

    image_size: int = setting(128, "Side of the images in pixels.")
    box_margin: float = setting(0.0, "Widens boxes by this fraction of their sides.")
    on_error: str = setting(
        "stop", "What to do about an unreadable image.", choices=("stop", "skip")
    )
    held_out: str = setting(
        "val_split",
        "Column of a split within train, whose other rows validate. Empty: none.",
    )

    backbone: str = setting(
        DEFAULT_BACKBONE,
        "Preset, folder or hf://user/name; rednet_26 and so on from scratch.",
    )
    spatial_operator: str = setting(
        "involution", "Operator of a new one.", choices=("involution", "convolution")
    )
    stackwise_num_filters: list[int] | None = setting(
        None, "Channels of the stages of `rednet`."
    )
    stackwise_num_blocks: list[int] | None = setting(None, "Blocks of its stages.")
    stackwise_strides: list[int] | None = setting(None, "Strides of its stages.")
    kernel_size: int | None = setting(None, "Window of its involutions.")
    group_channels: int | None = setting(None, "Channels that share a kernel.")
    levels: int = setting(2, "How many of the last stages are pooled.")
    cells: int = setting(1, "Rows and columns that the maps are pooled in.")
    p: float = setting(3.0, "Power of the generalized mean.")
    embedding_size: int | None = setting(
        None, "Dense layer before the neck; 512 for stored vectors."
    )
    hidden_size: int | None = setting(
        None, "Hidden layer for stored vectors; a linear projection if not given."
    )
    dropout: float = setting(0.0, "Dropout before the neck.")

    head: str = setting("sub_center_arcface", "Head of the identities.", choices=HEADS)
    sub_centers: int = setting(2, "Centers per identity, of sub_center_arcface.")
    scale: float = setting(20.9588, "Factor of the cosines.")
    margin: float | None = setting(
        None, "Margin in radians; by the counts of the identities if not given."
    )
    species_weight: float = setting(
        0.562662, "Weight of the species in the loss, if a table has several."
    )
    species_scale: float = setting(33.1383, "Factor of the cosines to the species.")

    epochs: int = setting(30, "Passes over the photos.")
    minutes: float | None = setting(15.0, "Ends the schedule at this wall time.")
    batch_size: int = setting(16, "Photos per step.")
    sampling: str = setting(
        "shuffle", "Order of the photos.", choices=("shuffle", "balanced")
    )
    augmentation: str = setting(
        "light", "Random changes of the images.", choices=AUGMENTATION_NAMES
    )
    optimizer: str = setting("adamw", "adamw, sgd or any optimizer of Keras.")
    optimizer_kwargs: dict = setting({}, "Its arguments: momentum=0.9,nesterov=true.")
    learning_rate: float = setting(1.6e-3, "Highest rate of the network.")
    head_lr_multiplier: float = setting(
        10.0, "Rate of the heads over that of the network."
    )
    weight_decay: float = setting(0.01, "Decay of the kernels.")
    lr_scheduler: str = setting(
        "cosine", "cosine, linear, step, CosineDecay, StepLR, ExponentialLR and others."
    )
    lr_scheduler_kwargs: dict = setting({}, "Its arguments: step_size=10,gamma=0.1.")
    warm_up: float = setting(0.2, "Fraction of the steps in which the rate rises.")
    clip_norm: float | None = setting(None, "Largest norm of the gradients.")
    ema_decay: float | None = setting(None, "Moving averages of weights, as 0.999.")
    dtype_policy: str = setting(
        "float32",
        "Precision of the computation.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    early_stop: int | None = setting(
        None, "Stops after so many epochs without a better MAP@5."
    )
    validate_every: int = setting(1, "Epochs between two validations.")
    seed: int = setting(0, "Seed of everything random.")
    num_threads: int = setting(2, "Threads that read images.")
    num_workers: int = setting(0, "Processes that read images.")
    checkpoint_every: int = setting(100, "Steps between two checkpoints.")

    def check(self) -> None:
        positive = (
            "image_size", "levels", "cells", "sub_centers", "epochs", "batch_size",
            "validate_every", "checkpoint_every", "num_threads", "early_stop",
            "embedding_size", "hidden_size", "kernel_size", "group_channels",
            "stackwise_num_filters", "stackwise_num_blocks", "stackwise_strides",
        )  # fmt: skip
        for name in positive:
            for value in self._values(name):
                _arguments.positive_integer(value, name)
        for name in ("num_workers", "seed"):
            _arguments.whole_number(getattr(self, name), name)
        for name in ("p", "scale", "species_scale", "minutes", "clip_norm"):
            for value in self._values(name):
                _arguments.positive_number(value, name)
        for name, largest in _LARGEST.items():
            for value in self._values(name):
                _arguments.at_most(value, largest, name)
        for name in ("warm_up", "species_weight"):
            _arguments.rate(getattr(self, name), name)
        _arguments.drop_rate(self.dropout, "dropout")
        for name in ("learning_rate", "box_margin", "head_lr_multiplier"):
            _arguments.not_negative(getattr(self, name), name)
        _arguments.not_negative(self.weight_decay, "weight_decay")

    def _values(self, name: str) -> list[Any]:
        """The numbers of a setting: none, one, or those of a list."""
        value = getattr(self, name)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]


def load_config(path: str | Path | None = None, **changes: Any) -> TrainConfig:
    """Settings from a YAML file and from changes to it; the rest are the defaults.

    Args:
        path: Path of the file, or `None`.
        **changes: Settings that replace those of the file.

    Returns:
        `TrainConfig`.

    Raises:
        ValueError: If the file is not a mapping, or a setting is unknown or does not
            fit.

    Example:

    >>> from keras_involution.whale_id.config import load_config
    >>> load_config(batch_sise=8)
    Traceback (most recent call last):
        ...
    ValueError: There is no setting `batch_sise`; did you mean `batch_size`? \
Received: batch_sise=8
    """
    return TrainConfig.load(path, **changes)
