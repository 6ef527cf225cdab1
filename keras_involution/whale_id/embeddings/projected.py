"""Stored vectors through the network of a run that was trained on such."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_involution.whale_id.embeddings.embedders import Source
from keras_involution.whale_id.embeddings.embeddings import Embeddings
from keras_involution.whale_id.heads import load_centers
from keras_involution.whale_id.runs import load_vector_network


def projected(embeddings: Embeddings, model: str, head: bool = False) -> Embeddings:
    """Embeddings by a run of `train(vectors=)` in the place of those it was given.

    Args:
        embeddings: `Embeddings` of the network that made those of the training.
        model: String, path of the folder of the run, or of its `.keras` file.
        head: Boolean, whether the logits of the run's head are added.

    Returns:
        `Embeddings` of the same rows, with the same extras.

    Raises:
        ValueError: If the run is of another kind, or the vectors of another length.
    """
    network, source = load_vector_network(model), Source(model)
    features, *flipped = [network.embed(view) for view in embeddings.views]
    logits, classes = None, None
    if head and (path := source.head()) is not None:
        centers, classes = load_centers(path, features.shape[1])
        logits = np.max(features @ centers, axis=0)
    # What photos are described with where they join these; the rest is the run.
    before = {"flip": "none", "local": None, **embeddings.settings}
    return replace(
        embeddings,
        features=features,
        flipped=flipped[0] if flipped else None,
        logits=logits,
        classes=classes,
        settings={**before, **source.settings()},
    )
