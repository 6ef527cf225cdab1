"""Fine-tunes a RedNet on Happywhale and publishes it.

What it does: loads a preset, adds GeM pooling of its last two stages and a
normalization neck, and trains with ArcFace on the photos of `train.csv`. It uses all
available TPU cores or GPUs, or the CPU. A fifth of the photos of known animals is held
out. The program prints MAP@5 on these photos, as Kaggle computes it, and writes a
preset folder. With `--push-to`, it also publishes the preset on the Hub.

How long it takes: 20 epochs on 51,033 photos at 512 pixels were not measured; expect
hours on eight accelerators. The twelve generated photos of the tests take seconds.

What to expect: one line per epoch, `MAP@5 on N photos`, and the preset folder.

Commands:

    python -m examples.finetune_happywhale happywhale --push-to user/my_whales
    KERAS_BACKEND=torch torchrun --nproc-per-node gpu -m \
        examples.finetune_happywhale happywhale
"""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
import pandas as pd

from keras_involution import RedNetBackbone, RedNetImageConverter, distribution
from keras_involution.data import read_image
from keras_involution.whale_id import (
    ArcFace,
    EmbeddingNetwork,
    count_margins,
    embed,
    identify,
    map_at_5,
    read_kaggle,
    split_table,
)


class Photos(keras.utils.PyDataset):
    """Shuffled batches of photos, read by threads during training."""

    def __init__(
        self, table: pd.DataFrame, classes: list[str], side: int, batch_size: int
    ) -> None:
        super().__init__(workers=8, max_queue_size=16)
        self.paths = table["path"].to_numpy()
        self.labels = table["identity"].map({c: i for i, c in enumerate(classes)})
        self.labels = self.labels.to_numpy("int32")
        self.side, self.batch_size, self.random = side, batch_size, None
        self.on_epoch_end()

    def __len__(self) -> int:
        return max(len(self.paths) // self.batch_size, 1)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        rows = self.order[index * self.batch_size :][: self.batch_size]
        size = (self.side, self.side)
        images = np.stack([read_image(self.paths[row], size) for row in rows])
        labels = self.labels[rows]
        return {"images": images.astype("float32"), "identity": labels}, labels

    def on_epoch_end(self) -> None:
        self.random = self.random or np.random.default_rng(0)
        rows = self.random.permutation(len(self.paths))
        self.order = np.resize(rows, len(self) * self.batch_size)


def build(
    preset: str, side: int, classes: list[str], counts: list[int]
) -> tuple[EmbeddingNetwork, keras.Model]:
    """Builds the embedding network and the model that trains it."""
    backbone = RedNetBackbone.from_preset(preset)
    # The presets were trained with the mean and standard deviation of ImageNet.
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    converter = RedNetImageConverter(
        (side, side),
        scale=[1 / (255 * d) for d in deviation],
        offset=[-m / d for m, d in zip(mean, deviation)],
        crop_to_aspect_ratio=False,
        antialias=True,
    )
    network = EmbeddingNetwork(backbone, levels=2, preprocessor=converter)
    images = keras.Input((side, side, 3), name="images")
    identity = keras.Input((), dtype="int32", name="identity")
    x = keras.layers.RandomFlip("horizontal")(images)
    x = keras.layers.Normalization(
        mean=[255 * m for m in mean], variance=[(255 * d) ** 2 for d in deviation]
    )(x)
    head = ArcFace(len(classes), count_margins(counts), sub_centers=2, name="head")
    logits = head(network(x), identity)
    return network, keras.Model([images, identity], logits)


@click.command(help="Fine-tune a preset on the folder of Kaggle's Happywhale.")
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--preset", default="rednet_50_imagenet", show_default=True)
@click.option("--side", default=512, show_default=True)
@click.option("--epochs", default=20, show_default=True)
@click.option("--batch-size", default=16, show_default=True, help="Images per device.")
@click.option("--learning-rate", default=1e-3, show_default=True)
@click.option("--output", default="happywhale_preset", type=click.Path(path_type=Path))
@click.option("--push-to", help="user/name on the Hugging Face Hub.")
def main(
    folder: Path,
    preset: str,
    side: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    output: Path,
    push_to: str | None,
) -> None:
    table = split_table(read_kaggle(folder / "train.csv", folder / "train_images"))
    train = table[table["split"] == "train"]
    held_out = table[table["split"] == "test"].reset_index(drop=True)
    counts = train["identity"].value_counts().sort_index()
    with distribution.distribute(seed=0) as devices:
        network, model = build(preset, side, list(counts.index), counts.to_list())
        batch = devices.global_batch_size(batch_size)
        data = Photos(train, list(counts.index), side, batch)
        steps = epochs * len(data)
        rate = keras.optimizers.schedules.CosineDecay(
            devices.learning_rate(learning_rate / 20), steps,
            warmup_target=devices.learning_rate(learning_rate), warmup_steps=steps // 5,
        )  # fmt: skip
        model.compile(
            keras.optimizers.AdamW(rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.fit(data, epochs=epochs, verbose=2 if devices.is_main_process else 0)
        devices.save_to_preset(network, output)
    if devices.is_main_process:
        database = embed(network, train.reset_index(drop=True), on_error="skip")[0]
        queries = embed(network, held_out, on_error="skip")[0]
        labels = list(identify(queries, database, top=5).labels)
        score = map_at_5(queries.table["identity"].to_list(), labels)
        print(f"MAP@5 on {len(queries)} photos: {score:.3f}")
        if push_to:
            print(network.push_to_hub(push_to))


if __name__ == "__main__":
    main()
