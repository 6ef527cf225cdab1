"""Trains a RedNet on all GPUs of a host, or of several.

What it does: trains RedNet-26 on the 400 shipped photos with every batch spread
over the devices, tests it on 200 others, all processes together, and writes a preset
from the first process.

How long it takes: half a minute an epoch on 2 cores; seconds on a GPU, plus compiling.

What to expect: one line on what it runs on, the loss falling from 2.4, the accuracy on
the 200 photos (guessing 0.10; about 0.2 after the three epochs: it is short on
purpose), and the folder `gpus/`.

Commands, from the root of the repository. On JAX and TensorFlow one process takes all
GPUs of a host; on PyTorch torchrun starts one for each:

    KERAS_BACKEND=jax python -m examples.train_on_gpus
    KERAS_BACKEND=torch torchrun --nproc-per-node gpu -m examples.train_on_gpus

On several hosts `examples/cluster/` has a SLURM script and a Kubernetes manifest, which
start this file too. Without GPUs, to try it on two parts of the processor:

    KERAS_BACKEND=jax python -m examples.train_on_gpus --simulate 2
"""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
from PIL import Image

from examples._demo import photos
from examples._demo.training import build_model
from keras_involution import distribution


@click.command(help="Train on all devices, test, write a preset.")
@click.option("--devices", default="auto", show_default=True)
@click.option("--strategy", default="data", show_default=True, help="Or model, on JAX.")
@click.option("--batch-size", default=16, show_default=True, help="Of each device.")
@click.option("--epochs", default=3, show_default=True)
@click.option("--image-size", default=64, show_default=True)
@click.option("--simulate", default=0, help="Devices to make of the processor.")
@click.option("--output", default="gpus", type=click.Path(path_type=Path))
def main(
    devices: str,
    strategy: str,
    batch_size: int,
    epochs: int,
    image_size: int,
    simulate: int,
    output: Path,
) -> None:
    if simulate:
        distribution.simulate_devices(simulate)
    keras.utils.set_random_seed(0)
    with distribution.distribute(devices, strategy, seed=0) as spread:
        model = build_model(photos.CLASS_NAMES, image_size)
        # Thrice the devices, thrice the batch, and by the linear rule thrice the rate.
        rate = spread.learning_rate(0.0125)
        model.compile(
            keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        x, y = prepared(model, "train")
        data = spread.dataset(x, y, batch_size=spread.global_batch_size(batch_size))
        model.fit(data, epochs=epochs, verbose=2 if spread.is_main_process else 0)
        metrics = spread.evaluate(model, *prepared(model, "test"))
        spread.save_to_preset(model, output / "preset")
    if spread.is_main_process:
        print(f"Accuracy on 200 photos: {metrics['accuracy']:.3f}")


def prepared(model: keras.Model, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Photos (N, h, w, 3) as the network wants them, and their classes."""
    images, classes = photos.load_photos(split)
    converter = model.preprocessor
    size = tuple(converter.image_size)[::-1]
    resize = Image.Resampling.BILINEAR
    small = [np.asarray(Image.fromarray(i).resize(size, resize)) for i in images]
    # In NumPy: what the network is given lies on no device yet.
    scale, offset = (
        np.array(v, "float32") for v in (converter.scale, converter.offset)
    )
    return np.stack(small) * scale + offset, classes.astype("int32")


if __name__ == "__main__":
    main()
