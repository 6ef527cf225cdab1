"""What can be wrong with a row of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Kinds that break nothing here.
WARNINGS = ("formula", "spelling", "letters")


@dataclass(frozen=True)
class Problem:
    """Something wrong in one row of a table.

    Args:
        row: Label of the row in the table's index.
        kind: String: "missing", "undecodable", "box", "two animals", "repeated id",
            "species", "date", or as a warning "formula", "spelling" or "letters".
        what: String, a sentence.
        meant: What should stand there, where that is known: a species or a box.
    """

    row: Any
    kind: str
    what: str
    meant: Any = None
