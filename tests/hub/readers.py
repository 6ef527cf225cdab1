"""The readers of checkpoints and presets, each with valid files to damage."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import keras
import numpy as np
from safetensors.numpy import save_file

from keras_involution.hub import CheckpointError, PresetError, read_checkpoint
from keras_involution.hub._source import local_source
from keras_involution.hub._weights import load_weights
from tests.mutations import Reader

ERRORS = (CheckpointError,)


def readers(folder: Path) -> list[Reader]:
    """One reader for each format. The valid files are small and in `folder`."""
    rng = np.random.default_rng(0)
    arrays = {
        "stem.0.conv.weight": rng.standard_normal((4, 3, 3, 3), "float32"),
        "stem.0.bn.running_var": np.ones(4, "float32"),
        "head.fc.weight": rng.standard_normal((5, 8), "float32").astype("float64"),
        "layer1.0.bn1.num_batches_tracked": np.array(7),
    }
    return [
        Reader("torch", read_checkpoint, ERRORS, _torch_files(folder, arrays)),
        Reader("paddle", read_checkpoint, ERRORS, _paddle_files(folder, arrays)),
        Reader("safetensors", read_checkpoint, ERRORS, _safetensors(folder, arrays)),
        Reader("npz", read_checkpoint, ERRORS, _npz_files(folder, arrays)),
        h5_reader(folder),
    ]


def _torch_files(folder: Path, arrays: dict) -> tuple[Path, ...]:
    import torch

    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    meta = {"CLASSES": ["a", "b"], "best": np.float64(1.5), "config": "x = 1\n"}
    paths = folder / "zip.pth", folder / "old.pth", folder / "meta.pt"
    torch.save(state, paths[0])
    torch.save(state, paths[1], _use_new_zipfile_serialization=False)
    torch.save({"state_dict": state, "meta": meta}, paths[2])
    return paths


def _paddle_files(folder: Path, arrays: dict) -> tuple[Path, ...]:
    golden = Path(__file__).parents[1] / "golden" / "small.pdparams"
    paths = [golden]
    for protocol in (2, 3, 4):
        paths.append(folder / f"{protocol}.pdparams")
        paths[-1].write_bytes(pickle.dumps(arrays, protocol))
    return tuple(paths)


def _safetensors(folder: Path, arrays: dict) -> tuple[Path, ...]:
    save_file(arrays, folder / "a.safetensors", {"format": "np"})
    return (folder / "a.safetensors",)


def _npz_files(folder: Path, arrays: dict) -> tuple[Path, ...]:
    np.savez(folder / "a.npz", **arrays)
    np.savez_compressed(folder / "b.npz", **arrays)
    return folder / "a.npz", folder / "b.npz"


def h5_reader(folder: Path) -> Reader:
    """The reader of preset weights, for a network of one layer."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    path = folder / "a.weights.h5"
    model.save_weights(path)
    assert h5py.is_hdf5(path)

    def read(damaged: Path) -> None:
        source = local_source(damaged.parent, str(damaged.parent))
        with source.damage_reported(damaged.name):
            load_weights(model, [damaged])

    return Reader("h5", read, (PresetError,), (path,))
