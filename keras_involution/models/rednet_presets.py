"""The published depths and the built-in presets, as data."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from keras_involution._builtin import PRESETS

STACKWISE_NUM_BLOCKS: dict[int, tuple[int, ...]] = {
    26: (1, 2, 4, 1),
    38: (2, 3, 5, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


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
