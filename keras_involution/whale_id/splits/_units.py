"""Units that are not divided by a split, in an order determined by hashes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

import pandas as pd

TRAIN, TEST, TEST_KNOWN, TEST_NEW = "train", "test", "test_known", "test_new"
NEITHER = ""


def in_hash_order(names: Iterable[str], seed: int) -> list[str]:
    """Unique names, in an order that is random and the same on every machine."""
    return sorted(dict.fromkeys(names), key=lambda name: _hash(name, seed))


def animal_groups(table: pd.DataFrame, unit: pd.Series) -> dict[str, str]:
    """Maps every animal to the first animal with which it shares encounters."""
    parent = {animal: animal for animal in sorted(set(table["identity"]))}

    def root(animal: str) -> str:
        while parent[animal] != animal:
            parent[animal] = animal = parent[parent[animal]]
        return animal

    first: dict[str, str] = {}
    for animal, name in zip(table["identity"], unit):
        one, other = sorted((root(animal), root(first.setdefault(name, animal))))
        parent[other] = one
    return {animal: root(animal) for animal in parent}


def take_units(
    table: pd.DataFrame, unit: pd.Series, wanted: float, seed: int
) -> set[str]:
    """Units with about `wanted` photos; at least one unit of each animal remains."""
    pairs = pd.DataFrame({"unit": unit, "animal": table["identity"]})
    left = Counter(pairs.drop_duplicates()["animal"])
    animals = pairs.groupby("unit")["animal"].unique().to_dict()
    sizes = Counter(unit)
    taken: set[str] = set()
    total = 0
    for name in in_hash_order(unit, seed):
        fits = total + sizes[name] <= max(wanted, 1)
        if fits and all(left[animal] > 1 for animal in animals[name]):
            taken.add(name)
            total += sizes[name]
            left.subtract(animals[name])
    return taken


def take_groups(groups: pd.Series, wanted: float, seed: int) -> set[str]:
    """Groups of animals with about `wanted` photos, at least one group."""
    sizes = Counter(groups)
    order = in_hash_order(groups, seed)
    taken: set[str] = set()
    total = 0
    for name in order:
        if total + sizes[name] <= wanted:
            taken.add(name)
            total += sizes[name]
    return taken or set(order[:1])


def _hash(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
