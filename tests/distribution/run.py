"""Run as a program: trains a small network on the requested devices.

KERAS_BACKEND=jax python -m tests.distribution.run FOLDER RUNS.json

RUNS is a list of dictionaries. {"simulate": 4} comes first. The others have these keys:
"name": losses, weights, predictions and metrics are written to FOLDER/name-PROCESS.npz;
"arguments": the arguments of `distribute`; without them, Keras trains on one device;
"epochs", optional; "resume", optional: the name of the run whose checkpoint is resumed;
"trains": leaves out metrics and predictions; "shard_bytes": that of the checkpoint;
"die": the number of the process that kills itself after an epoch; "preset": writes a
RedNet from its devices instead; "loads": reads it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_involution import RedNetImageClassifier
from keras_involution.distribution import Hosts, distribute, simulate_devices
from keras_involution.distribution.data import ShardedDataset
from keras_involution.layers import BatchNormalization, Involution2D
from keras_involution.models import DataParallelModel
from keras_involution.training import load_checkpoint, save_checkpoint
from tests.hub.networks import tiny_classifier

BATCH, ROWS = 8, 27


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Images (27, 16, 16, 3) and classes; 27 is not divisible by 8."""
    random = np.random.default_rng(3)
    classes = random.integers(0, 3, ROWS).astype("int32")
    noise = random.normal(size=(ROWS, 16, 16, 3))
    return (noise + classes[:, None, None, None]).astype("float32"), classes


def network() -> keras.Model:
    """A small network with the layer names of RedNet and fixed weights.

    Batch normalization reveals a copy that uses only its own part of the batch.
    """
    layers = keras.layers
    x = inputs = keras.Input((16, 16, 3))
    for layer in (
        layers.Conv2D(16, 3, 2, use_bias=False, name="stack0_1_conv"),
        BatchNormalization(name="stack0_1_bn"),
        layers.ReLU(),
        Involution2D(3, groups=2, name="stack0_2_involution"),
        layers.Conv2D(64, 1, use_bias=False, name="stack0_3_conv"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, name="predictions"),
    ):
        x = layer(x)
    model = DataParallelModel(inputs, x)
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.02, 0.2, w.shape) for w in model.weights])
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # Compiling takes longer than the steps.
        jit_compile=keras.config.backend() == "jax",
    )
    return model


def alone(epochs: int, **_: Any) -> dict[str, Any]:
    """Trains with plain Keras on the same batches."""
    x, y = examples()
    model = network()
    rows = ShardedDataset((x, y, None), BATCH, Hosts(), shuffle=True, seed=1)
    history = model.fit(rows, epochs=epochs, shuffle=False, verbose=0).history
    figures = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    predictions = model.predict(x, batch_size=4, verbose=0)
    return found(history, model.get_weights()) | measured(figures, predictions)


def together(
    folder: Path,
    name: str,
    arguments: dict[str, Any],
    epochs: int,
    resume: str | None = None,
    die: int | None = None,
    trains: bool = False,
    shard_bytes: int | None = None,
) -> dict[str, Any]:
    x, y = examples()
    with distribute(**arguments) as devices:
        model = network()
        done = 0
        if resume is not None:
            progress = load_checkpoint(folder / f"{resume}.checkpoint.npz", model)
            done = progress["epochs"]
        data = devices.dataset(x, y, batch_size=BATCH, seed=1, epoch=done)
        end = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: die == devices.hosts.rank and kill()
        )
        fitted = model.fit(data, epochs=epochs, verbose=0, callbacks=[end])
        results = found(fitted.history, map(devices.whole, model.weights))
        path = folder / f"{name}.checkpoint.npz"
        progress = {"epochs": done + epochs}
        save_checkpoint(path, model, progress, devices, shard_bytes=shard_bytes)
        if not trains:
            figures = devices.evaluate(model, x, y, batch_size=4)
            results |= measured(figures, devices.predict(model, x, batch_size=4))
        return results


def found(history: dict[str, list[float]], weights: Iterable[Any]) -> dict[str, Any]:
    return {
        "losses": history["loss"],
        "accuracies": history["accuracy"],
        **{f"weight_{i}": value for i, value in enumerate(weights)},
    }


def measured(figures: dict[str, float], predictions: Any) -> dict[str, Any]:
    named = {f"metric_{name}": value for name, value in figures.items()}
    return named | {"predictions": predictions}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_preset(folder: Path, name: str, arguments: dict[str, Any]) -> None:
    with distribute(**arguments) as devices:
        devices.save_to_preset(tiny_classifier(), folder / name)


def read_preset(
    folder: Path, name: str, arguments: dict[str, Any], loads: str
) -> dict[str, Any]:
    with distribute(**arguments) as devices:
        model = RedNetImageClassifier.from_preset(folder / loads)
        return {f"weight_{i}": devices.whole(w) for i, w in enumerate(model.weights)}


def from_outside(arguments: dict[str, Any]) -> dict[str, Any]:
    x, y = examples()
    model = network()
    with distribute(**arguments) as devices:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras has given the same warning.
                model.fit(devices.dataset(x, y, batch_size=BATCH), verbose=0)
        except ValueError as error:
            return {"error": str(error)}
    return {"error": ""}


def main(folder: str, runs: str) -> None:
    here = Path(folder)
    own = os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", "0")
    for run in json.loads(runs):
        if "simulate" in run:
            simulate_devices(run["simulate"])
            continue
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        if run.pop("preset", False):
            write_preset(here, **run)
            continue
        if "loads" in run:
            results = read_preset(here, **run)
        elif run.pop("outside", False):
            results = from_outside(run["arguments"])
        elif "arguments" in run:
            results = together(here, **run)
        else:
            results = alone(**run)
        np.savez(here / f"{run['name']}-{own}.npz", **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
