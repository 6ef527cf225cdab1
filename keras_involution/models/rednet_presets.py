"""The family as data: its depths and its built-in presets."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

STACKWISE_NUM_BLOCKS: dict[int, tuple[int, ...]] = {
    26: (1, 2, 4, 1),
    38: (2, 3, 5, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}

PUBLISHED_BY = "https://github.com/d-li14/involution"


def _published(
    depth: int, parameters: int, multiply_adds: int, top_1: float, top_5: float
) -> dict[str, Any]:
    """A preset of the paper's authors, whose weights cannot be downloaded any more."""
    return {
        "metadata": {
            "description": (
                f"RedNet-{depth} for the 1000 classes of ImageNet, at 224 x 224."
            ),
            "parameters": parameters,
            "multiply_adds": multiply_adds,
            "accuracy": {"top_1": top_1, "top_5": top_5},
            # Theirs, from the table beside their checkpoints; measured by nobody here.
            "accuracy_source": f"published, {PUBLISHED_BY}",
            "depth": depth,
        },
        "handle": None,
    }


def _trained(
    depth: int,
    data: str,
    classes: int,
    image_size: int,
    parameters: int,
    multiply_adds: int,
    top_1: float,
    top_5: float,
) -> dict[str, Any]:
    """A preset of this project, whose weights come with the package."""
    return {
        "metadata": {
            "description": (
                f"RedNet-{depth} for the {classes} classes of {data}, at "
                f"{image_size} x {image_size}; a start for other data."
            ),
            "parameters": parameters,
            "multiply_adds": multiply_adds,
            "accuracy": {"top_1": top_1, "top_5": top_5},
            "accuracy_source": "measured, benchmarks/accuracy.py",
            "depth": depth,
            "image_size": image_size,
        },
        "handle": None,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "rednet_26_imagenet": _published(26, 9_233_166, 1_685_176_832, 75.96, 93.19),
    "rednet_38_imagenet": _published(38, 12_386_986, 2_166_841_344, 77.48, 93.57),
    "rednet_50_imagenet": _published(50, 15_540_806, 2_648_505_856, 78.35, 94.13),
    "rednet_101_imagenet": _published(101, 25_652_950, 4_659_008_000, 78.92, 94.35),
    "rednet_152_imagenet": _published(152, 33_984_582, 6_679_344_640, 79.12, 94.38),
    "rednet_26_tiny_imagenet": _trained(
        26, "Tiny-ImageNet", 200, 64, 7_593_966, 137_807_872, 24.61, 51.11
    ),
}
"""Name of a built-in preset -> its metadata, and its handle on the Hub.

A handle of `None` means that no repository has the weights. The folder
`presets/<name>` has the architecture and the preprocessing, and the weights of the
presets that this project trained.
"""


class PresetList:
    """The class attribute `presets`: the built-in presets that a class can load."""

    def __get__(self, instance: Any, owner: Any) -> MappingProxyType[str, Any]:
        depth = owner.__dict__.get("depth")
        wanted = depth if isinstance(depth, int) else None
        return MappingProxyType(
            {
                name: {**preset["metadata"], "handle": preset["handle"]}
                for name, preset in PRESETS.items()
                if wanted in (None, preset["metadata"]["depth"])
            }
        )
