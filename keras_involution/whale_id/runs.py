"""The folder of a training run, read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from keras_involution._arguments import received
from keras_involution.whale_id.config import load_config
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.train import CONFIG, HEAD, MODEL
from keras_involution.whale_id.train.folder import finished_run


@dataclass(frozen=True)
class Run:
    """A trained network and what belongs to it.

    Attributes:
        network: `EmbeddingNetwork`.
        margin: By which boxes were widened in training.
        head: Path of the centres of the head, or `None`.
    """

    network: EmbeddingNetwork
    margin: float
    head: Path | None


@dataclass(frozen=True)
class RunFiles:
    """Where a trained network lies, before anything is loaded.

    Attributes:
        model: Path of the `.keras` file.
        margin: By which boxes were widened in training.
        head: Path of the centres of the head, or `None`.
    """

    model: Path
    margin: float
    head: Path | None


def run_files(path: str | Path) -> RunFiles:
    """What the folder of `train`, or a `.keras` file by itself, consists of.

    Raises:
        ValueError: If there is no finished network.
    """
    path = Path(path)
    if path.is_dir():
        path = finished_run(path)
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"There is no network; the run may not be over. {received(path=str(file))}"
        )
    folder = path if path.is_dir() else None
    settings = folder and folder / CONFIG
    margin = load_config(settings).margin if settings and settings.exists() else 0.0
    head = folder and folder / HEAD
    return RunFiles(file, margin, head if head and head.exists() else None)


def load_run(path: str | Path) -> Run:
    """Reads the folder of `train`, or a `.keras` file by itself.

    Nothing that the file names is executed: Keras loads it in safe mode.

    Args:
        path: Path of the folder or file.

    Returns:
        `Run`.

    Raises:
        ValueError: If there is no finished network, or it is something else.
    """
    files = run_files(path)
    try:
        network = keras.saving.load_model(files.model, compile=False)
    except Exception as error:  # Damaged archives break in many ways.
        raise ValueError(
            f"The network cannot be read: {error}. {received(path=str(files.model))}"
        ) from error
    if not isinstance(network, EmbeddingNetwork):
        raise ValueError(
            "The file holds no `EmbeddingNetwork`. "
            + received(path=str(files.model), found=type(network).__name__)
        )
    return Run(network, files.margin, files.head)
