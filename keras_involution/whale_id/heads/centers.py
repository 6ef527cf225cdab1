"""Files of the centers of a trained head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_involution._arguments import received
from keras_involution._files import atomic_write, npz_arrays, reading
from keras_involution.whale_id.heads.arcface import ArcFace


def save_centers(path: str | Path, head: ArcFace, identities: Sequence[str]) -> None:
    """Writes the centers of a trained head for `load_centers`.

    Args:
        path: Path of the file, "*.npz".
        head: Built `ArcFace`.
        identities: Names of its classes.
    """
    centers = keras.ops.convert_to_numpy(keras.ops.normalize(head.centers, axis=0))
    shape = (len(centers), head.num_classes, head.sub_centers)
    centers = np.moveaxis(centers.reshape(shape), -1, 1)
    with atomic_write(path, force=True) as draft:
        np.savez(draft, centers=centers, identities=np.array(list(identities), "U"))


def load_centers(path: str | Path, size: int) -> tuple[np.ndarray, list[str]]:
    """Loads centers of a trained head; `max(features @ centers, axis=0)` are cosines.

    Args:
        path: Path of the file.
        size: Integer D, size of the embeddings.

    Returns:
        Array (sub_centers, D, K), a stack of matrices, and list of K identities.

    Raises:
        ValueError: If the file is damaged or for embeddings of another size.
    """
    with (
        reading(path, "The head"),
        Path(path).open("rb") as data,
        np.load(data, allow_pickle=False) as file,
    ):
        arrays = npz_arrays(file)
        centers, identities = arrays["centers"], arrays["identities"].tolist()
        if centers.ndim != 3 or centers.shape[-1] != len(identities):
            raise ValueError("its centers do not match its identities")
    if centers.shape[0] != size:
        raise ValueError(
            "The head belongs to another network. "
            + received(path=str(path), size=size, centers=centers.shape)
        )
    return np.moveaxis(centers, 1, 0), identities
