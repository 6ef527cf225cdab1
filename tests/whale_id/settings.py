"""The smallest settings that still train."""

from __future__ import annotations

from typing import Any

from keras_involution.whale_id.config import TrainConfig

SMALL: dict[str, Any] = {
    "image_size": 32,
    "backbone": "rednet",
    "stackwise_num_filters": [16, 16],
    "stackwise_num_blocks": [1, 1],
    "stackwise_strides": [1, 2],
    "kernel_size": 3,
    "group_channels": 8,
    "batch_size": 4,
    "epochs": 3,
    "minutes": None,
}


_STAGES = (
    *("stackwise_num_filters", "stackwise_num_blocks", "stackwise_strides"),
    *("kernel_size", "group_channels"),
)


def small(**changes: Any) -> TrainConfig:
    """`SMALL` with changes; another backbone has stages of its own."""
    given = {**SMALL, **changes}
    if given["backbone"] != "rednet":
        given |= {n: None for n in _STAGES if n not in changes}
    return TrainConfig(**given)


def one_stage(**changes: Any) -> TrainConfig:
    """Settings that compile fastest, for tests that do not depend on the network."""
    stage: dict[str, Any] = {
        "stackwise_num_filters": [16], "stackwise_num_blocks": [1],
        "stackwise_strides": [2],
    }  # fmt: skip
    if changes.get("backbone", "rednet") != "rednet":
        stage = {}
    return small(**{"levels": 1, **stage, **changes})
