"""Problems of the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Kinds that are only warnings.
WARNINGS = ("formula", "spelling", "letters")


@dataclass(frozen=True)
class Problem:
    """A problem in one row of a table.

    Args:
        row: Label of the row in the table's index.
        kind: String: "missing", "undecodable", "box", "two animals", "repeated id",
            "species", "date", or as a warning "formula", "spelling" or "letters".
        what: String, a description.
        meant: The correct species or box, if it is known.
    """

    row: Any
    kind: str
    what: str
    meant: Any = None
