"""`keras-involution classify`: what a preset sees in photographs."""

from __future__ import annotations

from pathlib import Path

import click

from keras_involution._commands import reported
from keras_involution.cli._photographs import print_answers, read


@click.command()
@click.argument(
    "photographs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False)
)
@click.option("--preset", required=True, help="A name, a folder or hf://user/name.")
@click.option("--revision", help="Branch, tag or commit of a Hub repository.")
@click.option("--top", default=5, show_default=True, help="Answers a photograph.")
@click.option(
    "--heatmap",
    type=click.Path(dir_okay=False),
    help="Draw the kernels of the network over the photograph, to this picture.",
)
def command(
    photographs: tuple[str, ...],
    preset: str,
    revision: str | None,
    top: int,
    heatmap: str | None,
) -> None:
    """Print the most probable classes of PHOTOGRAPHS."""
    if heatmap is not None and len(photographs) > 1:
        raise click.UsageError("A heat map is drawn of one photograph.")
    if heatmap is not None and Path(heatmap).suffix.lower() not in (".png", ".jpg"):
        raise click.UsageError("The heat map is a .png or .jpg file.")
    with reported():
        from keras_involution.models import RedNetImageClassifier

        model = RedNetImageClassifier.from_preset(preset, revision=revision)
        for path in photographs:
            pixels = read(path)
            print_answers(model, path, pixels, top)
            if heatmap is not None:
                _draw(model, pixels, Path(heatmap))


def _draw(model: object, pixels: object, path: Path) -> None:
    from PIL import Image

    from keras_involution.visualization import heatmap_grid, photograph_heatmaps

    maps = photograph_heatmaps(model, pixels)
    Image.fromarray(heatmap_grid(pixels, maps)).save(path)
    click.echo(path)
