"""`keras-involution classify`: prints the most probable classes of images."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, positive, reported
from keras_involution.cli._images import print_answers, read


@cloup.command(cls=Command)
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False)
)
@click.option(
    "--preset",
    required=True,
    help="Built-in name, folder, hf://user/name or checkpoint.",
)
@click.option("--revision", help="Branch, tag or commit of a Hub repository.")
@click.option(
    "--mirror", help="URL to download checkpoints from, instead of the publisher's."
)
@click.option(
    "--top",
    default=5,
    callback=positive,
    help="Number of classes to print for each image.",
)
@click.option(
    "--heatmap",
    type=click.Path(dir_okay=False),
    help="Write heat maps of the kernels over the image to this file (.png or .jpg).",
)
def command(
    images: tuple[str, ...],
    preset: str,
    revision: str | None,
    mirror: str | None,
    top: int,
    heatmap: str | None,
) -> None:
    """Print the most probable classes of IMAGES."""
    if heatmap is not None and len(images) > 1:
        raise click.UsageError("--heatmap takes a single image.")
    if heatmap is not None and Path(heatmap).suffix.lower() not in (".png", ".jpg"):
        raise click.UsageError("--heatmap must be a .png or .jpg file.")
    with reported():
        from keras_involution.models import RedNetImageClassifier

        model = RedNetImageClassifier.from_preset(
            preset, revision=revision, mirror=mirror
        )
        for path in images:
            pixels = read(path)
            print_answers(model, path, pixels, top)
            if heatmap is not None:
                _draw(model, pixels, Path(heatmap))


def _draw(model: object, pixels: object, path: Path) -> None:
    from PIL import Image

    from keras_involution.visualization import heatmap_grid, image_heatmaps

    maps = image_heatmaps(model, pixels)
    Image.fromarray(heatmap_grid(pixels, maps)).save(path)
    click.echo(path)
