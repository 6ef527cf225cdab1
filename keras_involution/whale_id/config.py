"""Everything that a training run can be told, with its defaults, in one place."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._files import write_text

HEADS = ("sub_center_arcface", "arcface", "softmax")
# Beyond these a setting is a slip that would only eat memory or processes.
_LARGEST = {
    "image_size": 10_000, "batch_size": 100_000, "sub_centers": 100,
    "embedding_size": 100_000, "threads": 1_000, "workers": 1_000,
    "stackwise_num_filters": 100_000, "stackwise_num_blocks": 1_000,
    "stackwise_strides": 1_000, "kernel_size": 101,
}  # fmt: skip


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`; every field is a line of the YAML file and a flag.

    Raises:
        ValueError: If a value is of another type or outside of what is allowed.

    Example:

    >>> from keras_involution.whale_id.config import TrainConfig
    >>> TrainConfig(epochs=3).batch_size
    16
    """

    image_size: int = _option(256, "Side of the pictures in pixels.")
    margin: float = _option(0.0, "Widens boxes by this share of their sides.")
    on_error: str = _option("stop", "What an unusable picture does: stop or skip.")
    held_out: str = _option(
        "val_split",
        "Column of a split inside of train; its other rows validate. Empty: none.",
    )

    backbone: str = _option("rednet_26", "Name, preset or folder of the backbone.")
    spatial_operator: str = _option("involution", "involution or convolution.")
    stackwise_num_filters: list[int] | None = field(
        default=None, metadata={"help": "Channels of the stages of `rednet`."}
    )
    stackwise_num_blocks: list[int] | None = field(
        default=None, metadata={"help": "Blocks of its stages."}
    )
    stackwise_strides: list[int] | None = field(
        default=None, metadata={"help": "Strides of its stages."}
    )
    kernel_size: int | None = _option(None, "Window of its involutions.")
    group_channels: int | None = _option(None, "Channels that share a kernel.")
    levels: int = _option(2, "How many of the last stages are pooled.")
    cells: int = _option(1, "Rows and columns that the maps are pooled in.")
    p: float = _option(3.0, "Power of the generalised mean.")
    embedding_size: int | None = _option(None, "Dense layer before the neck.")
    dropout: float = _option(0.0, "Dropout before the neck.")

    head: str = _option("sub_center_arcface", "sub_center_arcface, arcface or softmax.")
    sub_centers: int = _option(2, "Centres an identity, of sub_center_arcface.")
    scale: float = _option(20.9588, "Factor of the cosines.")
    margins: float | None = _option(
        None, "Margin in radians; by the counts of the identities where none is given."
    )
    species_share: float = _option(
        0.562662, "Weight of the species in the loss, where a table has several."
    )
    species_scale: float = _option(33.1383, "Factor of the cosines to the species.")

    epochs: int = _option(30, "Passes over the photographs.")
    minutes: float | None = _option(None, "Stops at this wall time.")
    batch_size: int = _option(16, "Photographs a step.")
    sampling: str = _option("shuffle", "shuffle, or balanced between identities.")
    views: str = _option("light", "Augmentation on the host.")
    augmentation: str = _option("none", "Augmentation on the device.")
    optimizer: str = _option("adamw", "adam, adamw or sgd.")
    learning_rate: float = _option(1.6e-3, "Highest rate of the network.")
    head_factor: float = _option(10.0, "Rate of the heads over that of the network.")
    weight_decay: float = _option(0.01, "Decay of the kernels.")
    momentum: float = _option(0.9, "Momentum of sgd.")
    schedule: str = _option("cosine", "Name of the schedule.")
    warm_up: float = _option(0.2, "Share of the steps in which the rate rises.")
    final_share: float = _option(0.01, "Last rate over the highest.")
    decay_rate: float = _option(0.9, "Factor an epoch, of falling schedules.")
    power: float = _option(2.0, "Power of the polynomial schedule.")
    clip_norm: float | None = _option(None, "Largest norm of the gradients.")
    average_momentum: float | None = _option(
        None, "Keeps moving averages of the weights, as 0.999."
    )
    precision: str = _option("float32", "float32, mixed_bfloat16 or mixed_float16.")
    early_stop: int | None = _option(
        None, "Stops after so many epochs without a better MAP@5 on `validation`."
    )
    validate_every: int = _option(1, "Epochs between two validations.")
    seed: int = _option(0, "Seed of everything random.")
    threads: int = _option(2, "Threads that read pictures.")
    workers: int = _option(0, "Processes that read pictures.")
    checkpoint_every: int = _option(100, "Steps between two checkpoints.")

    def __post_init__(self) -> None:
        for name, kind in typing.get_type_hints(type(self)).items():
            value = _converted(getattr(self, name), kind, name)
            object.__setattr__(self, name, value)
        _check(self)

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values."""
        return dataclasses.asdict(self)

    def save(self, path: str | Path) -> None:
        """Writes all settings, defaults too, as YAML, complete or not at all.

        Args:
            path: Path of the file.
        """
        import yaml

        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))


def load_config(path: str | Path | None = None, **changes: Any) -> TrainConfig:
    """Settings from a YAML file and from changes to it; the rest are the defaults.

    Args:
        path: Path of the file, or `None`.
        **changes: Settings that replace those of the file.

    Returns:
        `TrainConfig`.

    Raises:
        ValueError: If the file is no mapping, or a setting is unknown or does not fit.

    Example:

    >>> from keras_involution.whale_id.config import load_config
    >>> load_config(batch_sise=8)
    Traceback (most recent call last):
        ...
    ValueError: There is no setting `batch_sise`; did you mean `batch_size`? \
Received: batch_sise=8
    """
    settings = {**(_read_yaml(path) if path is not None else {}), **changes}
    known = [setting.name for setting in dataclasses.fields(TrainConfig)]
    for name, value in settings.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"; did you mean `{near[0]}`?" if near else "."
            raise ValueError(
                f"There is no setting `{name}`{hint} {received(**{str(name): value})}"
            )
    return TrainConfig(**settings)


def _read_yaml(path: str | Path) -> dict[str, Any]:
    import yaml

    try:
        settings = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"The settings cannot be read: {error}. {received(path=str(path))}"
        ) from error
    if not isinstance(settings or {}, dict):
        raise ValueError(
            f"The settings must be lines of `name: value`. {received(path=str(path))}"
        )
    return settings or {}


def _converted(value: Any, kind: Any, name: str) -> Any:
    """`value` as its type says; YAML reads `1e-3` as text."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return None
    plain = next(option for option in options if option is not type(None))
    try:
        if typing.get_origin(plain) is list:
            if isinstance(value, str):
                raise TypeError
            return [_number(item, int) for item in value]
        if plain in (int, float):
            return _number(value, plain)
        if isinstance(value, plain):
            return value
    except (TypeError, ValueError, OverflowError):
        pass
    wanted = getattr(plain, "__name__", str(plain))
    raise ValueError(f"`{name}` must be of type {wanted}. {received(**{name: value})}")


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or (kind is int and int(value) != float(value)):
        raise TypeError
    return kind(value)


def _check(config: TrainConfig) -> None:
    positive = (
        "image_size", "levels", "cells", "sub_centers", "epochs", "batch_size",
        "validate_every", "checkpoint_every", "threads", "early_stop",
        "embedding_size", "kernel_size", "group_channels", "stackwise_num_filters",
        "stackwise_num_blocks", "stackwise_strides",
    )  # fmt: skip
    for name in positive:
        for value in _values(config, name):
            _arguments.positive_integer(value, name)
    for name in ("workers", "seed"):
        _arguments.whole_number(getattr(config, name), name)
    for name in ("p", "scale", "species_scale", "minutes", "clip_norm"):
        for value in _values(config, name):
            _arguments.positive_number(value, name)
    for name, largest in _LARGEST.items():
        for value in _values(config, name):
            _arguments.at_most(value, largest, name)
    for name in ("warm_up", "species_share", "final_share"):
        _arguments.rate(getattr(config, name), name)
    _arguments.drop_rate(config.dropout, "dropout")
    for name in ("learning_rate", "margin", "head_factor", "weight_decay"):
        _arguments.not_negative(getattr(config, name), name)
    _arguments.one_of(config.head, HEADS, "head")
    precisions = ("float32", "mixed_bfloat16", "mixed_float16")
    _arguments.one_of(config.precision, precisions, "precision")


def _values(config: TrainConfig, name: str) -> list[Any]:
    """The numbers of a setting: none, one, or those of a list."""
    value = getattr(config, name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
