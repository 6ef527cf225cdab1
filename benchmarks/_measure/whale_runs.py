"""Training runs that are stored in a folder and can be resumed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._measure.whale_arms import Settings


def for_validation(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the training photos, split into `train`, and `val` for queries."""
    part = table[table["split"] == "train"].copy()
    part["split"] = np.where(part["val_split"] == "train", "train", "val")
    return part.reset_index(drop=True)


def trained(
    folder: Path, settings: Settings, train_table: pd.DataFrame, table: pd.DataFrame
) -> tuple[Any, dict[str, Any]]:
    """Trains a network and returns the embeddings of a table and the training costs.

    Both are stored in `folder`. If they exist, they are read instead.

    Args:
        folder: Path of the folder.
        settings: Dictionary of settings for `TrainConfig`.
        train_table: Table of the training photos.
        table: Table of the photos to embed.

    Returns:
        `Embeddings`, and a dictionary of costs.
    """
    from keras_involution.whale_id import Embeddings

    features, costs = folder / "embeddings.npz", folder / "costs.json"
    if not costs.is_file():
        _train(folder, settings, train_table, table)
    return Embeddings.load(features), json.loads(costs.read_text())


def _train(
    folder: Path, settings: Settings, train_table: pd.DataFrame, table: pd.DataFrame
) -> None:
    from keras_involution.whale_id.config import TrainConfig
    from keras_involution.whale_id.embeddings import embed
    from keras_involution.whale_id.run_folder import HEAD
    from keras_involution.whale_id.train import train

    last: dict[str, Any] = {}

    def keep(progress: Any) -> None:
        epochs = progress.history[-1]["epoch"] if progress.history else 0
        last.update(epochs=epochs, seconds=progress.seconds, history=progress.history)

    run, interrupted = folder / "run", (folder / "run").exists()
    begun = time.process_time()
    network = train(
        train_table, TrainConfig(**settings), run, resume=True, on_step=keep
    )
    used = time.process_time() - begun
    embeddings, _ = embed(network, table, head=run / HEAD)
    embeddings.save(folder / "embeddings.npz", force=True)
    found = {
        "parameters": network.count_params(),
        "epochs": last["epochs"],
        "wall s": last["seconds"],
        "CPU s": None if interrupted else used,
        "loss": last["history"][-1]["loss"],
    }
    (folder / "costs.json").write_text(json.dumps(found, indent=1))
