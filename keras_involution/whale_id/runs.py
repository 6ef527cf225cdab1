"""Loads the network of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.models import RedNetBackbone
from keras_involution.whale_id.config import load_config
from keras_involution.whale_id.model import EmbeddingNetwork, VectorNetwork
from keras_involution.whale_id.model.pretrained import network_from_preset
from keras_involution.whale_id.run_folder import CONFIG, HEAD, MODEL, finished_run

_BACKBONE = "config.json"


@dataclass(frozen=True)
class Run:
    """A trained network and its settings.

    Attributes:
        network: `EmbeddingNetwork`.
        box_margin: Margin by which boxes were widened in training.
        head: Path of the centers of the head, or `None`.
    """

    network: EmbeddingNetwork
    box_margin: float
    head: Path | None


@dataclass(frozen=True)
class RunFiles:
    """The files of a trained network, before they are loaded.

    Attributes:
        model: Path of the `.keras` file.
        box_margin: Margin by which boxes were widened in training.
        head: Path of the centers of the head, or `None`.
    """

    model: Path
    box_margin: float
    head: Path | None


def run_files(path: str | Path) -> RunFiles:
    """The files of a `train` folder, or of a single `.keras` file.

    Raises:
        ValueError: If there is no finished network.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(
            "There is no such run, `.keras` file or preset; `keras-involution presets` "
            f"lists the names of presets. {received(path=str(path))}"
        )
    if path.is_dir():
        path = finished_run(path)
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"There is no network; the run may not be finished. "
            f"{received(path=str(file))}"
        )
    folder = path if path.is_dir() else None
    settings = folder and folder / CONFIG
    box_margin = (
        load_config(settings).box_margin if settings and settings.exists() else 0.0
    )
    head = folder and folder / HEAD
    return RunFiles(file, box_margin, head if head and head.exists() else None)


def load_run(path: str | Path) -> Run:
    """Loads a network from a run, a file or a preset.

    No code in a file is executed: Keras loads it in safe mode.

    Args:
        path: Path of a `train` folder, a `.keras` file or a preset; the name of a
            built-in preset; or `"hf://user/name"`. For a preset of a backbone, the
            network returns its pooled features.

    Returns:
        `Run`.

    Raises:
        ValueError: If there is no finished network, or it is something else.
    """
    if is_preset(path):
        return Run(network_from_preset(path), 0.0, None)
    files = run_files(path)
    network = _load(files.model)
    if isinstance(network, VectorNetwork):
        raise ValueError(
            "The network takes stored vectors instead of photos: `whale-id embed "
            f"TABLE RUN OUT --features FILE`. {received(path=str(files.model))}"
        )
    if not isinstance(network, EmbeddingNetwork):
        raise _other_kind("EmbeddingNetwork", network, files.model)
    return Run(network, files.box_margin, files.head)


def load_vector_network(path: str | Path) -> VectorNetwork:
    """Loads the network of a run that was trained on stored vectors.

    Args:
        path: Path of the folder of `train`, or of a `.keras` file.

    Returns:
        `VectorNetwork`.

    Raises:
        ValueError: If there is no finished network, or it is something else.
    """
    file = run_files(path).model
    network = _load(file)
    if not isinstance(network, VectorNetwork):
        raise _other_kind("VectorNetwork", network, file)
    return network


def _load(file: Path) -> Any:
    with reading(file, "The network"):
        return keras.saving.load_model(file, compile=False)


def _other_kind(expected: str, network: Any, file: Path) -> ValueError:
    found = received(path=str(file), found=type(network).__name__)
    return ValueError(f"The file does not contain a `{expected}`. {found}")


def is_preset(path: str | Path) -> bool:
    """Whether the path is a preset: a built-in name, a folder or a Hub repository."""
    if "://" in str(path) or str(path) in RedNetBackbone.presets:
        return True
    return (Path(path) / _BACKBONE).is_file()
