"""The 1,000 classes of ImageNet, in the order of their WordNet ids.

`imagenet_classes.csv` has the WordNet id and the first lemma of each class, from
WordNet 3.0 (WordNet License) as listed in timm (Apache-2.0). Two lemmas belong to two
classes each; a second word distinguishes these classes.
"""

from __future__ import annotations

import csv
from pathlib import Path

FILE = Path(__file__).with_name("imagenet_classes.csv")


def imagenet_classes() -> dict[str, str]:
    """Maps WordNet ids to class names, in the order of the network's outputs."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return {row["wnid"]: row["name"] for row in csv.DictReader(file)}
