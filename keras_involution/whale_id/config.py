"""The training settings of an embedding network, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_involution import _arguments
from keras_involution._settings import Settings, setting

HEADS = ("sub_center_arcface", "arcface", "softmax")
AUGMENTATION_NAMES = ("none", "flip", "light", "strong", "happywhale")
DEFAULT_BACKBONE = "rednet_26_tiny_imagenet"
# Larger values are typing errors that would exhaust memory or processes.
_LARGEST = {
    "image_size": 10_000, "batch_size": 100_000, "sub_centers": 100,
    "embedding_size": 100_000, "hidden_size": 100_000, "num_threads": 1_000,
    "num_workers": 1_000, "stackwise_num_filters": 100_000,
    "stackwise_num_blocks": 1_000, "stackwise_strides": 1_000, "kernel_size": 101,
}  # fmt: skip


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of `train`; every field is a key in the YAML file and an option.

    The defaults fine-tune the preset that is included in the package, within 15 minutes
    on two cores.

    Raises:
        ValueError: If a value has the wrong type or is out of range.

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
        "Column of a split within train; its other rows validate. Empty: none.",
    )

    backbone: str = setting(
        DEFAULT_BACKBONE,
        "Preset, folder or hf://user/name; or rednet_26 etc. to train from scratch.",
    )
    spatial_operator: str = setting(
        "involution",
        "Operator of a network trained from scratch.",
        choices=("involution", "convolution"),
    )
    stackwise_num_filters: list[int] | None = setting(
        None, "Channels of the stages of `rednet`."
    )
    stackwise_num_blocks: list[int] | None = setting(
        None, "Blocks of the stages of `rednet`."
    )
    stackwise_strides: list[int] | None = setting(
        None, "Strides of the stages of `rednet`."
    )
    kernel_size: int | None = setting(None, "Window of the involutions of `rednet`.")
    group_channels: int | None = setting(None, "Channels that share a kernel.")
    levels: int = setting(2, "Number of last stages that are pooled.")
    cells: int = setting(1, "Rows and columns of the grid of pooling cells.")
    p: float = setting(3.0, "Power of the generalized mean.")
    embedding_size: int | None = setting(
        None, "Size of a dense layer before the neck; 512 for stored vectors."
    )
    hidden_size: int | None = setting(
        None, "Hidden layer for stored vectors; a linear projection if not given."
    )
    dropout: float = setting(0.0, "Dropout before the neck.")

    head: str = setting("sub_center_arcface", "Head of the identities.", choices=HEADS)
    sub_centers: int = setting(2, "Centers per identity for sub_center_arcface.")
    scale: float = setting(20.9588, "Factor of the cosines.")
    margin: float | None = setting(
        None, "Margin in radians; by default from the photo counts of the identities."
    )
    species_weight: float = setting(
        0.562662, "Weight of the species in the loss, if a table has several."
    )
    species_scale: float = setting(33.1383, "Factor of the cosines of the species.")

    epochs: int = setting(30, "Passes over the photos.")
    minutes: float | None = setting(15.0, "Ends the schedule at this wall time.")
    batch_size: int = setting(16, "Photos per step.")
    sampling: str = setting(
        "shuffle", "Order of the photos.", choices=("shuffle", "balanced")
    )
    augmentation: str = setting(
        "light", "Random changes of the images.", choices=AUGMENTATION_NAMES
    )
    optimizer: str = setting("adamw", "adamw, sgd or any other Keras optimizer.")
    optimizer_kwargs: dict = setting({}, "Optimizer arguments: momentum=0.9,...")
    learning_rate: float = setting(1.6e-3, "Peak learning rate of the network.")
    head_lr_multiplier: float = setting(
        10.0, "Learning rate of the heads relative to the network."
    )
    weight_decay: float = setting(0.01, "Weight decay of the kernels.")
    lr_scheduler: str = setting(
        "cosine", "cosine, linear, step, CosineDecay, StepLR, ExponentialLR and others."
    )
    lr_scheduler_kwargs: dict = setting({}, "Schedule arguments: step_size=10,...")
    warm_up: float = setting(0.2, "Fraction of the steps for warm-up.")
    clip_norm: float | None = setting(None, "Maximum norm of the gradients.")
    ema_decay: float | None = setting(None, "Decay of averaged weights, such as 0.999.")
    dtype_policy: str = setting(
        "float32",
        "Precision of the computation.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    early_stop: int | None = setting(
        None, "Stops after this number of epochs without a better MAP@5."
    )
    validate_every: int = setting(1, "Number of epochs between validations.")
    seed: int = setting(0, "Seed for all random numbers.")
    num_threads: int = setting(2, "Threads that read images.")
    num_workers: int = setting(0, "Processes that read images.")
    checkpoint_every: int = setting(100, "Number of steps between checkpoints.")

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
        """The numbers in a setting: an empty list, one number, or several."""
        value = getattr(self, name)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]


def load_config(path: str | Path | None = None, **changes: Any) -> TrainConfig:
    """Loads settings from a YAML file, with changes; other settings are defaults.

    Args:
        path: Path of the file, or `None`.
        **changes: Settings that override the file.

    Returns:
        `TrainConfig`.

    Raises:
        ValueError: If the file is not a mapping, or a setting is unknown or invalid.

    Example:

    >>> from keras_involution.whale_id.config import load_config
    >>> load_config(batch_sise=8)
    Traceback (most recent call last):
        ...
    ValueError: There is no setting `batch_sise`; did you mean `batch_size`? \
Received: batch_sise=8
    """
    return TrainConfig.load(path, **changes)
