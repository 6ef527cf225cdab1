"""Tables as COCO annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from keras_involution._arguments import received
from keras_involution.whale_id.tables._columns import standard_table

_IDENTITIES = ("name", "identity", "individual_id")


def read_coco(
    source: str | Path, images: str | Path | None = None, *, boxes: bool = True
) -> pd.DataFrame:
    """COCO annotations that name animals.

    Args:
        source: JSON file whose annotations have `name`, `identity` or `individual_id`
            (unknown where they have none), and where known `bbox`, `viewpoint`,
            `theta`; a category is a species.
        images: Folder of the pictures; `None` is the folder of the file.
        boxes: Boolean, whether to keep the boxes.

    Returns:
        DataFrame, a table with the standard columns and one row for each annotation;
        see `read_table`. The `image_id` is the id of the annotation. A picture
        without annotations has no row.

    Raises:
        ValueError: If the file is not COCO, or an annotation names a picture that is
            not in it.
    """
    path = Path(source)
    content = _content(path)
    try:
        rows = _rows(content, path)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The file is no COCO file: {error!r}. {received(source=str(path))}"
        ) from error
    frame = pd.DataFrame(rows, columns=None if rows else ["image_id", *_IDENTITIES])
    return standard_table(frame, path.parent if images is None else images, boxes)


def _rows(content: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    pictures = {image["id"]: image for image in content["images"]}
    names = {c["id"]: c.get("name") for c in content.get("categories", [])}
    rows = []
    for annotation in content["annotations"]:
        if annotation.get("image_id") not in pictures:
            raise ValueError(
                "An annotation belongs to no picture of the file. "
                f"{received(annotation=annotation.get('id'), source=str(path))}"
            )
        rows.append(_row(annotation, pictures[annotation["image_id"]], names))
    return rows


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
        content["images"], content["annotations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "The file is no COCO file with images and annotations: "
            f"{error!r}. {received(source=str(path))}"
        ) from error
    return content


def _row(
    annotation: dict[str, Any], picture: dict[str, Any], names: dict[Any, str | None]
) -> dict[str, Any]:
    identities = [annotation[key] for key in _IDENTITIES if key in annotation]
    species = names.get(annotation.get("category_id"), annotation.get("species"))
    return {
        "image_id": annotation.get("id"),
        "identity": identities[0] if identities else None,
        "path": picture.get("file_name"),
        "bbox": annotation.get("bbox"),
        "species": species,
        "date": picture.get("date_captured"),
        "viewpoint": annotation.get("viewpoint"),
        "theta": annotation.get("theta"),
    }
