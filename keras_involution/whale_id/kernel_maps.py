"""Heat maps of the kernels that a network generates for photos."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution.visualization import kernel_heatmaps
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.pages import MARGIN
from keras_involution.whale_id.pipeline import Photos, ordered_batches


def kernel_maps(
    network: EmbeddingNetwork,
    table: pd.DataFrame,
    *,
    layer: str | None = None,
    batch_size: int = 32,
    on_error: str = "stop",
    on_batch: Callable[[int], None] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Computes heat maps of photos for `Heatmaps` and `write_report`.

    A map is the sum of the kernel generated at each position, averaged over the groups
    of one involution. Boxes are widened by the same margin as in the report.

    Args:
        network: `EmbeddingNetwork` with involutions.
        table: DataFrame as returned by `read_table`.
        layer: String, name of an involution; `None` uses the last one of the last but
            one stage, which has a position for every 16 x 16 pixels.
        batch_size: Integer.
        on_error: `"stop"`, or `"skip"` to leave out images that cannot be used.
        on_batch: Function that is called with the number of images done.

    Returns:
        Dictionary from `image_id` to an array (Ho, Wo) of float16, and a dictionary
        from the paths of skipped images to the reasons.

    Raises:
        ImageError: If an image cannot be used and `on_error` is `"stop"`.
        ValueError: If the network has no involution of this name, or `batch_size` is
            not a positive integer.

    Example:

    >>> import numpy as np, pandas as pd, tempfile
    >>> from PIL import Image
    >>> from keras_involution.whale_id import EmbeddingNetwork, kernel_maps
    >>> from keras_involution.whale_id.model import build_backbone
    >>> backbone = build_backbone(
    ...     "rednet", (32, 32, 3), stackwise_num_filters=[32, 64],
    ...     stackwise_num_blocks=[1, 1], stackwise_strides=[1, 2],
    ... )
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/fin.png"
    >>> Image.fromarray(np.zeros((40, 60, 3), "uint8")).save(path)
    >>> df = {"image_id": ["1"], "identity": ["A"], "path": [path]}
    >>> maps, _ = kernel_maps(EmbeddingNetwork(backbone), pd.DataFrame(df))
    >>> maps["1"].shape
    (8, 8)
    >>> folder.cleanup()
    """
    photos = Photos(table, network.image_size, MARGIN, on_error)
    _arguments.positive_integer(batch_size, "batch_size")
    names = table["image_id"].astype(str).to_numpy()
    layer = layer or _layer_before_the_last_stage(network)
    maps: dict[str, np.ndarray] = {}
    for rows, images in ordered_batches(photos, batch_size):
        # The last batch is padded: another shape would be compiled again.
        missing = batch_size - len(images)
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        found = kernel_heatmaps(
            network.backbone,
            network.preprocessor(filled),
            layer,
            aggregate="mean",
            resize=False,
            batch_size=batch_size,
        )
        maps.update(zip(names[rows], found[layer].astype("float16")))
        if on_batch is not None:
            on_batch(len(images))
    left_out = {photos.paths[r]: why for r, why in photos.skipped.items()}
    return maps, left_out


def _layer_before_the_last_stage(network: EmbeddingNetwork) -> str:
    blocks = getattr(network.backbone, "stackwise_num_blocks", None)
    if blocks is None:
        name = type(network.backbone).__name__
        raise ValueError(
            f"Name an involution of the network. {received(backbone=name)}"
        )
    stage = max(len(blocks) - 2, 0)
    return f"stack{stage}_block{blocks[stage] - 1}_2_involution"
