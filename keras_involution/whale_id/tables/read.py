"""Any of the formats, told apart by their columns."""

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

    | `source` | what tells it |
    | --- | --- |
    | wildlife-datasets, DataFrame or CSV | `image_id, identity, path` |
    | Happy Whale and Dolphin | `image, species, individual_id` |
    | Humpback Whale Identification | `Image, Id` |
    | MiewID | `name`, `file_path` or `file_name` |
    | COCO | a `.json` file |
    | a folder per animal | a folder |

    Args:
        source: DataFrame, CSV, parquet or JSON file, or folder.
        images: Folder that relative paths start from; `None` is the folder of the
            file, or for a DataFrame the current one.
        boxes: Boolean; `False` leaves the boxes out, where they belong to other
            images than those of `path`.

    Returns:
        DataFrame with rows numbered from 0 and the columns `image_id` (text),
        `identity` (text; `"unknown"` also where the table says `new_whale`,
        `new_individual` or nothing) and `path` (text, absolute); where the source has
        them `bbox` ([x, y, w, h] in pixels or `None`), `species` (as `clean_species`
        spells it), `date`, `viewpoint`, `encounter`, `split`; then its other columns.

    Raises:
        ValueError: If the format is none of these or the source cannot be read.

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
        "The table has the columns of no known format: image_id, identity, path; "
        "image, individual_id; Image, Id; or name, file_path. "
        f"{received(columns=list(frame))}"
    )
