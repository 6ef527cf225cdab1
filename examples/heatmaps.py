"""Trains a RedNet-50 and draws heat maps of its involution kernels.

What it does: trains on the same 400 photos of ten classes as the demo and measures the
accuracy on the 200 held-out photos. Then it draws the heat maps of the paper for
held-out photos of six classes, at one involution of each of the first three stages. A
heat map shows the sum of each kernel over its window, here the mean over the groups.

How long it takes: 19 minutes of CPU time on 2 cores. `--preset FOLDER` draws the maps
of an existing RedNet-50 in seconds.

What to expect: one line per epoch, an accuracy of about 0.74 (guessing gives 0.10), and
the files `heatmaps/heatmaps.jpg` and `heatmaps/preset/`. A map is light where the
kernel sums are high and dark where they are low. Whether the object is light or dark
depends on the network, so look for contrast between regions. With 400 photos, the
network learns to separate the object from the background, but not its parts.

Command, from the root of the repository:

    KERAS_BACKEND=jax python -m examples.heatmaps
"""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from examples._demo import photos, training
from examples.demo import console
from keras_involution import RedNet50, visualization

CLASSES = ("butterfly", "grand_piano", "leopard", "motorbike", "starfish", "sunflower")
STAGES = {
    "stage 1": "stack0_block2_2_involution",
    "stage 2": "stack1_block3_2_involution",
    "stage 3": "stack2_block5_2_involution",
}
SIDE, GAP, MARGIN = 128, 6, 84


@click.command(help="Train a RedNet-50 and draw the heat maps of its kernels.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("heatmaps"),
    show_default=True,
    help="Folder for the image and the preset.",
)
@click.option("--preset", help="RedNet-50 preset to use instead of training.")
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--image-size", type=click.IntRange(32), default=96, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    output: Path, preset: str | None, epochs: int, image_size: int, seed: int
) -> None:
    keras.utils.set_random_seed(seed)
    output.mkdir(parents=True, exist_ok=True)
    if preset is None:
        model = train(epochs, image_size, seed)
        model.save_to_preset(output / "preset")
    else:
        model = RedNet50.from_preset(preset)
    images, labels = photos.load_photos("test")
    predictions = model.predict(images, verbose=0)
    accuracy = float((predictions.argmax(axis=-1) == labels).mean())
    console.print(f"Held-out accuracy: [bold]{accuracy:.3f}[/] (guessing 0.10)")
    chosen = [photos.CLASS_NAMES.index(name) for name in CLASSES]
    firsts = [images[labels == number][0] for number in chosen]
    sheet(model, firsts).save(output / "heatmaps.jpg", quality=90)
    console.print(f"Image: {output / 'heatmaps.jpg'}")


def train(epochs: int, image_size: int, seed: int) -> RedNet50:
    images, labels = photos.load_photos("train")
    model = training.build_model(photos.CLASS_NAMES, image_size, RedNet50)
    training.train(model, images, labels, epochs, seed)
    return model


def sheet(model: RedNet50, images: list[np.ndarray]) -> Image.Image:
    """Draws one column per photo: the photo, then one heat map per stage."""
    width = MARGIN + len(images) * (SIDE + GAP)
    image = Image.new("RGB", (width, (len(STAGES) + 1) * (SIDE + GAP)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for row, title in enumerate(("photo", *STAGES)):
        draw.text((GAP, row * (SIDE + GAP) + SIDE // 2), title, "black", font)
    for column, photo in enumerate(images):
        maps = visualization.image_heatmaps(
            model, photo, list(STAGES.values()), aggregate="mean"
        )
        tiles = [photo]
        tiles += [visualization.overlay(photo, maps[n]) for n in STAGES.values()]
        for row, pixels in enumerate(tiles):
            tile = Image.fromarray(pixels).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            )
            image.paste(tile, (MARGIN + column * (SIDE + GAP), row * (SIDE + GAP)))
    return image


if __name__ == "__main__":
    main()
