"""`keras-involution convert`: a published checkpoint to a preset folder."""

from __future__ import annotations

from typing import Any

import click

from keras_involution._commands import reported
from keras_involution.cli._photographs import print_answers, read


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False))
@click.argument("folder", type=click.Path())
@click.option("--backbone", is_flag=True, help="Leave the head out.")
@click.option(
    "--check",
    "photographs",
    multiple=True,
    metavar="PHOTO",
    type=click.Path(exists=True, dir_okay=False),
    help="Print what the preset sees in a photograph.",
)
def command(
    checkpoint: str, folder: str, backbone: bool, photographs: tuple[str, ...]
) -> None:
    """Write CHECKPOINT (.pth, .pdparams, .safetensors, .npz) as the preset FOLDER.

    Nothing in the file is executed. An array that is missing, left over or of another
    shape is named, and nothing is written.
    """
    if backbone and photographs:
        raise click.UsageError("A backbone has no classes to check a photograph with.")
    with reported():
        from keras_involution.models import RedNetBackbone, RedNetImageClassifier

        cls: Any = RedNetBackbone if backbone else RedNetImageClassifier
        model = cls.from_preset(checkpoint)
        model.save_to_preset(folder)
        click.echo(f"{folder}: {_description(model)}")
        if photographs:
            # From the folder that was written, as anybody will load it.
            written = cls.from_preset(folder)
        for path in photographs:
            print_answers(written, path, read(path))


def _description(model: Any) -> str:
    backbone = getattr(model, "backbone", model)
    window = backbone.stem_kernel_size
    words = f"RedNet-{backbone.depth}, {window}x{window} stem"
    classes = getattr(model, "num_classes", None)
    return words if classes is None else f"{words}, {classes} classes"
