"""Trains a RedNet on a TPU from TFRecord files, with TensorFlow or JAX.

What it does: writes the 400 photos in `examples/data` to TFRecord files in the schema
of the Happywhale notebooks, and reads them with `tf.data`. Every process reads its own
files. RedNet-26 is trained in bfloat16 on all cores of the TPU, with a learning rate
that ramps up, stays constant and decays. For your own data, pass files in a bucket:
`--files "gs://bucket/*.tfrec"`.

How long it takes: a minute of compilation, then seconds per epoch on a TPU v3-8.

What to expect: one line about the devices (`Running on 8 TPUs ...`), and a loss that
falls from 2.4. Without a TPU, the program uses the available devices.

Commands, from the root of the repository, also on Kaggle and Colab. On a TPU slice, run
the same command on every worker:

    KERAS_BACKEND=tensorflow python -m examples.train_on_tpu
    KERAS_BACKEND=jax python -m examples.train_on_tpu

To try it without a TPU, on four simulated devices (`tf.data` needs TensorFlow):

    KERAS_BACKEND=tensorflow python -m examples.train_on_tpu --simulate 4 --epochs 1
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import keras
import pandas as pd
from PIL import Image

from examples._demo import photos
from examples._demo.training import build_model
from keras_involution import distribution, training
from keras_involution.data.tfrecords import (
    count_tfrecords,
    tfrecord_dataset,
    write_tfrecords,
)


@click.command(help="Train on a TPU from TFRecord files.")
@click.option("--devices", default="auto", show_default=True)
@click.option("--files", help="Pattern of TFRecord files; default: the example photos.")
@click.option("--batch-size", default=16, show_default=True, help="Images per core.")
@click.option("--epochs", default=3, show_default=True)
@click.option("--image-size", default=64, show_default=True)
@click.option("--simulate", default=0, help="Number of devices to simulate on the CPU.")
def main(
    devices: str,
    files: str | None,
    batch_size: int,
    epochs: int,
    image_size: int,
    simulate: int,
) -> None:
    if simulate:
        distribution.simulate_devices(simulate)
    with (
        tempfile.TemporaryDirectory() as folder,
        distribution.distribute(devices, seed=0) as distributed,
    ):
        if distributed.kind == "tpu":
            keras.config.set_dtype_policy("mixed_bfloat16")
        paths = example_files(Path(folder)) if files is None else matching_files(files)
        size = distributed.global_batch_size(batch_size)
        steps = count_tfrecords(paths) // size
        model = build_model(photos.CLASS_NAMES, image_size)
        rate = distributed.learning_rate(0.0125)
        schedule = training.RampSustainDecay(rate, steps, steps, 0.8, steps)
        model.compile(
            keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        own = distribution.shard_files(paths, distributed.hosts)
        data = distributed.stream(
            read_examples(model, own, image_size), batch_size=size
        )
        verbose = 2 if distributed.is_main_process else 0
        model.fit(data, epochs=epochs, steps_per_epoch=steps, verbose=verbose)


def read_examples(model: keras.Model, paths: list, image_size: int):
    """Reads prepared images (h, w, 3) and their class numbers, repeated endlessly."""
    import tensorflow as tf

    scale = tf.constant(model.preprocessor.scale, tf.float32)
    offset = tf.constant(model.preprocessor.offset, tf.float32)
    data = tfrecord_dataset(paths, (image_size, image_size)).cache()
    data = data.shuffle(2048).repeat()
    return data.map(lambda image, t: (tf.cast(image, tf.float32) * scale + offset, t))


def example_files(folder: Path, shards: int = 8) -> list[Path]:
    """Writes the photos in `examples/data` to TFRecord files."""
    images, classes = photos.load_photos("train")
    rows = []
    for number, image in enumerate(images):
        path = folder / f"{number:03}.png"
        Image.fromarray(image).save(path)
        rows.append({"image_id": path.stem, "path": str(path)})
    table = pd.DataFrame(rows).assign(target=classes).sample(frac=1, random_state=0)
    targets = table["target"].to_list()
    return write_tfrecords(table, folder, "train", targets=targets, shards=shards)


def matching_files(pattern: str) -> list[str]:
    """Returns the files that match a pattern, also in a bucket."""
    import tensorflow as tf

    return sorted(tf.io.gfile.glob(pattern))


if __name__ == "__main__":
    main()
