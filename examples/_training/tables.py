"""Tables that are written completely or not at all."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_involution._files import replaced_file


@contextlib.contextmanager
def write_table(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """A `csv.writer` whose file takes the place of `path` when the block ends well."""
    with (
        replaced_file(path, force=True) as draft,
        draft.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer
