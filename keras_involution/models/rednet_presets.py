"""The family as data: its depths and its built-in presets."""

from __future__ import annotations

from typing import Any

STACKWISE_NUM_BLOCKS: dict[int, tuple[int, ...]] = {
    26: (1, 2, 4, 1),
    38: (2, 3, 5, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}

PRESETS: dict[str, dict[str, Any]] = {}
"""Name of a built-in preset -> its metadata and where its files are."""
