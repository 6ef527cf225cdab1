"""Projects stored vectors with the network of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_involution.whale_id.embeddings.embedders import Source
from keras_involution.whale_id.embeddings.embeddings import Embeddings
from keras_involution.whale_id.heads import load_centers
from keras_involution.whale_id.runs import load_vector_network


def projected(embeddings: Embeddings, model: str, head: bool = False) -> Embeddings:
    """Replaces embeddings with their projections by a run of `train(vectors=)`.

    Args:
        embeddings: `Embeddings` of the same network as in the training.
        model: String, path of the folder of the run, or of its `.keras` file.
        head: Boolean, whether to add the logits of the run's head.

    Returns:
        `Embeddings` of the same rows, with the same extras.

    Raises:
        ValueError: If the run was not trained on vectors, or the vectors have another
            length.
    """
    network, source = load_vector_network(model), Source(model)
    features, *flipped = [network.embed(view) for view in embeddings.views]
    logits, classes = None, None
    if head and (path := source.head()) is not None:
        centers, classes = load_centers(path, features.shape[1])
        logits = np.max(features @ centers, axis=0)
    # Settings for embedding further photos; the run determines the rest.
    before = {"flip": "none", "local": None, **embeddings.settings}
    return replace(
        embeddings,
        features=features,
        flipped=flipped[0] if flipped else None,
        logits=logits,
        classes=classes,
        settings={**before, **source.settings()},
    )
