"""Finds identical and nearly identical photos."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from keras_involution.data.duplicates import SIZE, alike, thumbnails
from keras_involution.data.images import ImageError, read_image

_SIDE = 64


def find_copies(
    table: pd.DataFrame, on_image: Callable[[int], None] | None = None
) -> pd.DataFrame:
    """Finds photos that are copies or near copies of other photos.

    Copies have the same bytes. Near copies, such as frames of a burst or a resized
    file, are found by their thumbnails with `data.find_duplicates`.

    Args:
        table: DataFrame with `image_id` and `path`. Files that cannot be read are
            ignored; `check_table` lists them.
        on_image: Function that is called with the number of photos read.

    Returns:
        DataFrame with `first` and `second`, row numbers of the table, and `kind`,
        `"identical"` or `"near"`.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.splits import find_copies
    >>> table = pd.DataFrame({"image_id": ["1"], "path": ["/nowhere/1.jpg"]})
    >>> len(find_copies(table))
    0
    """
    rows, digests, small = [], [], [np.zeros((0, SIZE), "float32")]
    for row, path in enumerate(table["path"]):
        try:
            image = read_image(path, (_SIDE, _SIDE))
            digests.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
        except (ImageError, OSError):
            pass
        else:
            small.append(thumbnails(image[None], np.arange(1)))
            rows.append(row)
        if on_image is not None:
            on_image(1)
    found, compared = [], np.concatenate(small)
    for one, others in alike(compared, compared):
        for other in others[others > one].tolist():
            kind = "identical" if digests[one] == digests[other] else "near"
            found.append((rows[one], rows[other], kind))
    return pd.DataFrame(found, columns=["first", "second", "kind"])
