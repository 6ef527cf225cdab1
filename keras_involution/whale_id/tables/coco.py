"""Tables as COCO annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.whale_id.tables._columns import standard_table

_IDENTITIES = ("name", "identity", "individual_id")


def read_coco(
    source: str | Path, images: str | Path | None = None, *, boxes: bool = True
) -> pd.DataFrame:
    """Reads COCO annotations with the names of animals.

    Args:
        source: JSON file whose annotations have `name`, `identity` or `individual_id`
            (without it the animal is unknown), and optionally `bbox`, `viewpoint` and
            `theta`. A category is a species.
        images: Folder of the images; `None` is the folder of the file.
        boxes: Boolean, whether to keep the boxes.

    Returns:
        DataFrame, a table with the standard columns and one row for each annotation;
        see `read_table`. The `image_id` is the id of the annotation. An image
        without annotations has no row.

    Raises:
        ValueError: If the file is not a COCO file, or an annotation refers to an image
            that is not in it.
    """
    path = Path(source)
    with reading(path, "The COCO file", name="source"):
        rows = _rows(json.loads(path.read_text("utf-8")))
        frame = pd.DataFrame(rows, columns=None if rows else ["image_id", *_IDENTITIES])
        return standard_table(frame, path.parent if images is None else images, boxes)


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    images = {image["id"]: image for image in content["images"]}
    names = {c["id"]: c.get("name") for c in content.get("categories", [])}
    rows = []
    for annotation in content["annotations"]:
        if annotation.get("image_id") not in images:
            raise ValueError(
                "An annotation refers to an image that is not in the file. "
                f"{received(annotation=annotation.get('id'))}"
            )
        rows.append(_row(annotation, images[annotation["image_id"]], names))
    return rows


def _row(
    annotation: dict[str, Any], image: dict[str, Any], names: dict[Any, str | None]
) -> dict[str, Any]:
    identities = [annotation[key] for key in _IDENTITIES if key in annotation]
    species = names.get(annotation.get("category_id"), annotation.get("species"))
    return {
        "image_id": annotation.get("id"),
        "identity": identities[0] if identities else None,
        "path": image.get("file_name"),
        "bbox": annotation.get("bbox"),
        "species": species,
        "date": image.get("date_captured"),
        "viewpoint": annotation.get("viewpoint"),
        "theta": annotation.get("theta"),
    }
