"""Trains a RedNet on all GPUs of one or several hosts.

What it does: trains RedNet-26 on the 400 photos in `examples/data` and splits every
batch over the devices. All processes evaluate it together on 200 held-out photos, and
the first process writes a preset.

How long it takes: half a minute per epoch on 2 cores; seconds on a GPU, plus
compilation.

What to expect: one line about the devices, a loss that falls from 2.4, the accuracy on
the 200 photos (about 0.2 after only three epochs; guessing gives 0.10), and the folder
`gpus/`.

Commands, from the root of the repository. On JAX and TensorFlow, one process uses all
GPUs of a host. On PyTorch, torchrun starts one process per GPU:

    KERAS_BACKEND=jax python -m examples.train_on_gpus
    KERAS_BACKEND=torch torchrun --nproc-per-node gpu -m examples.train_on_gpus

For several hosts, `examples/cluster/` has a SLURM script and a script for torchrun,
which start this program. To try it without GPUs, on two simulated devices:

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
@click.option("--batch-size", default=16, show_default=True, help="Images per device.")
@click.option("--epochs", default=3, show_default=True)
@click.option("--image-size", default=64, show_default=True)
@click.option("--simulate", default=0, help="Number of devices to simulate on the CPU.")
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
    with distribution.distribute(devices, strategy, seed=0) as distributed:
        model = build_model(photos.CLASS_NAMES, image_size)
        # The rate is scaled linearly with the global batch size.
        rate = distributed.learning_rate(0.0125)
        model.compile(
            keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        x, y = prepared(model, "train")
        data = distributed.dataset(
            x, y, batch_size=distributed.global_batch_size(batch_size)
        )
        model.fit(data, epochs=epochs, verbose=2 if distributed.is_main_process else 0)
        metrics = distributed.evaluate(model, *prepared(model, "test"))
        distributed.save_to_preset(model, output / "preset")
    if distributed.is_main_process:
        print(f"Accuracy on 200 photos: {metrics['accuracy']:.3f}")


def prepared(model: keras.Model, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns prepared photos (N, h, w, 3) and their class numbers (N,)."""
    images, classes = photos.load_photos(split)
    converter = model.preprocessor
    size = tuple(converter.image_size)[::-1]
    resize = Image.Resampling.BILINEAR
    small = [np.asarray(Image.fromarray(i).resize(size, resize)) for i in images]
    # In NumPy, because the inputs must not be on a device yet.
    scale, offset = (
        np.array(v, "float32") for v in (converter.scale, converter.offset)
    )
    return np.stack(small) * scale + offset, classes.astype("int32")


if __name__ == "__main__":
    main()
