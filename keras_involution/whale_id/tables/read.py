"""Reads tables in all formats, which are distinguished by their columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.tables._columns import REQUIRED
from keras_involution.whale_id.tables._frames import read_frame
from keras_involution.whale_id.tables.coco import read_coco
from keras_involution.whale_id.tables.folder import is_image_file, read_folder
from keras_involution.whale_id.tables.kaggle import is_kaggle, read_kaggle
from keras_involution.whale_id.tables.miewid import is_miewid, read_miewid
from keras_involution.whale_id.tables.wildlife import from_wildlife


def read_table(
    source: str | Path | pd.DataFrame,
    images: str | Path | None = None,
    *,
    boxes: bool = True,
) -> pd.DataFrame:
    """Reads a table of photos in any of the supported formats.

    | `source` | recognized by |
    | --- | --- |
    | wildlife-datasets, DataFrame or CSV | `image_id, identity, path` |
    | Happy Whale and Dolphin | `image, species, individual_id` |
    | Humpback Whale Identification | `Image, Id` |
    | MiewID | `name`, `file_path` or `file_name` |
    | COCO | a `.json` file |
    | a folder per animal | a folder |

    Args:
        source: DataFrame, CSV, parquet or JSON file, or folder.
        images: Base folder of relative paths; `None` uses the folder of the file, or
            for a DataFrame the current folder.
        boxes: Boolean; `False` ignores the boxes, for example if they belong to other
            images than `path`.

    Returns:
        DataFrame with rows numbered from 0 and the columns `image_id` (text),
        `identity` (text; `"unknown"` if the table has `new_whale`, `new_individual` or
        no value) and `path` (text, absolute). If the source has them, the columns
        `bbox` ([x, y, w, h] in pixels or `None`), `species` (spelled as in
        `clean_species`), `date`, `viewpoint`, `encounter` and `split` follow, and then
        all other columns.

    Raises:
        ValueError: If the format is unknown or the source cannot be read.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id import read_table
    >>> happywhale = pd.DataFrame(
    ...     [["1.jpg", "kiler_whale", "a1"]],
    ...     columns=["image", "species", "individual_id"],
    ... )
    >>> table = read_table(happywhale, images="/photos")
    >>> table.loc[0].to_list()
    ['1.jpg', 'a1', '/photos/1.jpg', 'killer_whale']
    """
    if not isinstance(source, pd.DataFrame):
        if Path(source).is_dir() or is_image_file(Path(source)):
            return read_folder(source)
        if Path(source).suffix.lower() == ".json":
            return read_coco(source, images, boxes=boxes)
    frame, root = read_frame(source, images)
    if set(REQUIRED) <= set(frame):
        return from_wildlife(frame, root, boxes=boxes)
    if is_kaggle(frame):
        return read_kaggle(frame, root)
    if is_miewid(frame):
        return read_miewid(frame, root, boxes=boxes)
    raise ValueError(
        "The columns of the table match no known format: image_id, identity, path; "
        "image, individual_id; Image, Id; or name, file_path. "
        f"{received(columns=list(frame))}"
    )
