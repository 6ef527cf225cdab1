"""Tables of the two Kaggle competitions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.tables._columns import UNKNOWN, standard_table
from keras_involution.whale_id.tables._frames import read_frame

_IDENTITIES = ("individual_id", "Id")


def read_kaggle(
    source: str | Path | pd.DataFrame, images: str | Path | None = None
) -> pd.DataFrame:
    """Reads tables of Happy Whale and Dolphin (2022) and Humpback Whale (2018).

    Args:
        source: CSV file or DataFrame with `image, species, individual_id` or
            `Image, Id`. With only `image`, or with the sample submission `image,
            predictions`, every identity is unknown.
        images: Folder of the images; `None` is the folder of the CSV file.

    Returns:
        DataFrame, a table with the standard columns; see `read_table`. The `image_id`
        is the file name, as a submission needs it.

    Raises:
        ValueError: If the table has other columns.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id.tables import read_kaggle
    >>> df = pd.DataFrame({"Image": ["1.jpg"], "Id": ["w_1"]})
    >>> read_kaggle(df, "/train")["identity"].to_list()
    ['w_1']
    """
    frame, root = read_frame(source, images)
    if not is_kaggle(frame):
        raise ValueError(
            "A Kaggle table has the columns image, species, individual_id or Image, "
            f"Id. {received(columns=list(frame))}"
        )
    name = "image" if "image" in frame else "Image"
    known = [column for column in _IDENTITIES if column in frame]
    named = frame.rename(columns={name: "image_id"} | dict.fromkeys(known, "identity"))
    named = named.drop(columns="predictions", errors="ignore")
    if not known:
        named = named.assign(identity=UNKNOWN)
    return standard_table(named.assign(path=named["image_id"]), root)


def is_kaggle(frame: pd.DataFrame) -> bool:
    columns = set(frame)
    others = columns - {"image", "predictions"}
    return (
        {"image", "individual_id"} <= columns
        or {"Image", "Id"} <= columns
        or ("image" in columns and not others)
    )
