"""A threshold that knows how it was chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._files import atomic_write, reading

SUFFIXES = (".json",)


@dataclass(frozen=True)
class Threshold:
    """The score below which an animal is called new.

    Args:
        value: Float.
        protocol: String, how it was chosen: to be printed beside every figure that
            depends on it.
        by_species: Dictionary from species to float, where they differ.
        curve: Sequence of (threshold, fraction of queries called new first, MAP@5) on
            the validation queries.

    Example:

    >>> from keras_involution.whale_id import Threshold
    >>> Threshold(0.5, "given", {"beluga": 0.4}).values(["beluga", "fin_whale"])
    array([0.4, 0.5])
    """

    value: float
    protocol: str
    by_species: Mapping[str, float] = field(default_factory=dict)
    curve: Sequence[tuple[float, float, float]] = ()

    def values(self, species: Sequence[Any]) -> np.ndarray:
        """One threshold for each query, (Q,); species not listed get `value`."""
        values = [self.by_species.get(name, self.value) for name in species]
        return np.array(values, "float64")

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes JSON.

        Raises:
            ValueError: If the name does not end in `.json`, or the file is there and
                `force` is false.
        """
        with atomic_write(path, force, SUFFIXES) as draft:
            draft.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Threshold:
        """Reads what `save` wrote.

        Raises:
            ValueError: If the file is missing or something else.
        """
        with reading(path, "The threshold"):
            content = json.loads(Path(path).read_text("utf-8"))
            by_species = {str(k): float(v) for k, v in content["by_species"].items()}
            curve = [(float(t), float(s), float(m)) for t, s, m in content["curve"]]
            value, protocol = float(content["value"]), str(content["protocol"])
        return cls(value, protocol, by_species, curve)
