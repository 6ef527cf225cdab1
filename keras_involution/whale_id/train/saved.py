"""What a run leaves in its folder: checkpoints and networks, each complete or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_involution import training
from keras_involution._files import replaced_file
from keras_involution.distribution import Distribution
from keras_involution.whale_id.heads import ArcFace, save_centers
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.train.folder import CHECKPOINT, HEAD, MODEL
from keras_involution.whale_id.train.progress import Progress

TIME_UP = "the time was up"


def save_progress(
    folder: Path,
    model: keras.Model,
    progress: Progress,
    stream: Any,
    distribution: Distribution | None = None,
) -> None:
    """Writes the checkpoint: weights, optimizer, progress, place in the stream."""
    progress.stream = _encoded(stream.get_state())
    path = folder / CHECKPOINT
    training.save_checkpoint(path, model, vars(progress), distribution)


def load_progress(folder: Path, model: keras.Model) -> Progress | None:
    """Brings the model to where the checkpoint is, if there is one."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    progress = Progress(**training.load_checkpoint(path, model))
    if progress.stopped == TIME_UP:
        progress.stopped = ""
    return progress


def place_in_stream(progress: Progress) -> Any:
    """The state of the stream of a run, for a stream of as many processes."""
    return _decoded(progress.stream)


def save_network(
    folder: Path,
    network: EmbeddingNetwork,
    model: keras.Model,
    identities: Sequence[str],
) -> None:
    """Writes the network and the head, with the averaged weights if there are any."""
    with (
        replaced_file(folder / MODEL, force=True) as draft,
        training.averaged_weights(model.optimizer),
    ):
        network.save(draft)
        head = model.get_layer("identity_head")
        if isinstance(head, ArcFace):
            save_centers(folder / HEAD, head, identities)


def _encoded(state: Any) -> Any:
    return {"bytes": state.decode("latin-1")} if isinstance(state, bytes) else state


def _decoded(state: Any) -> Any:
    if isinstance(state, dict) and set(state) == {"bytes"}:
        return state["bytes"].encode("latin-1")
    return state
