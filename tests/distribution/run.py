"""Run as a program: a small network trained on the devices that are asked for.

KERAS_BACKEND=jax python -m tests.distribution.run FOLDER '{"name": {...}, ...}'

Every entry is one training: `simulate` devices, the arguments of `distribute`, or none
of them for one device without it. Losses, weights, predictions and metrics are written
to FOLDER/name-PROCESS.npz.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np

from keras_involution.distribution import Hosts, distribute, simulate_devices
from keras_involution.distribution.data import ShardedDataset
from keras_involution.layers import Involution2D

EPOCHS, BATCH, ROWS = 2, 8, 27


def examples():
    """Pictures (27, 16, 16, 3) and classes: 8 does not divide them."""
    random = np.random.default_rng(3)
    classes = random.integers(0, 3, ROWS).astype("int32")
    noise = random.normal(size=(ROWS, 16, 16, 3))
    return (noise + classes[:, None, None, None]).astype("float32"), classes


def network():
    """A small network with the layer names of RedNet, its weights the same everywhere.

    Normalised over the batch, so that a copy that sees its own part only is found out.
    """
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(16, 3, 2, use_bias=False, name="stack0_1_conv"),
            layers.BatchNormalization(name="stack0_1_bn"),
            layers.ReLU(),
            Involution2D(3, groups=2, name="stack0_2_involution"),
            layers.Conv2D(32, 1, use_bias=False, name="stack0_3_conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, name="predictions"),
        ]
    )
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.02, 0.2, w.shape) for w in model.weights])
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # Compiling takes longer than the three steps.
        jit_compile=keras.config.backend() == "jax",
    )
    return model


def train(arguments: dict | None) -> dict[str, np.ndarray]:
    x, y = examples()
    if arguments is None:
        # As on any single device: Keras itself, with the same batches.
        model = network()
        data = ShardedDataset((x, y, None), BATCH, Hosts(), shuffle=True, seed=1)
        history = model.fit(data, epochs=EPOCHS, shuffle=False, verbose=0).history
        figures = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
        predictions = model.predict(x, batch_size=4, verbose=0)
        weights = model.get_weights()
    else:
        epochs = arguments.pop("epochs", EPOCHS)
        with distribute(**arguments) as devices:
            model = network()
            data = devices.dataset(x, y, batch_size=BATCH, seed=1)
            begun = keras.callbacks.LambdaCallback(
                on_epoch_end=lambda *_: print("epoch", flush=True)
            )
            history = model.fit(data, epochs=epochs, verbose=0, callbacks=[begun])
            history = history.history
            figures = devices.evaluate(model, x, y, batch_size=4)
            predictions = devices.predict(model, x, batch_size=4)
            weights = model.get_weights()
    found = {"losses": history["loss"], "accuracies": history["accuracy"]}
    found |= {f"metric_{name}": value for name, value in figures.items()}
    found |= {f"weight_{i}": value for i, value in enumerate(weights)}
    return {name: np.asarray(v) for name, v in found.items()} | {
        "predictions": predictions
    }


def main(folder: str, runs: str) -> None:
    wanted = json.loads(runs)
    if count := wanted.pop("simulate", None):
        simulate_devices(count)
    for name, arguments in wanted.items():
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        np.savez(Path(folder) / f"{name}.npz", **train(arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
