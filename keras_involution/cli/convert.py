"""`keras-involution convert`: converts a published checkpoint to a preset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.cli._images import print_answers, read


@cloup.command(cls=Command)
@click.argument("checkpoint")
@click.argument("folder", type=click.Path())
@click.option("--backbone", is_flag=True, help="Write the backbone without its head.")
@click.option(
    "--check",
    "images",
    multiple=True,
    metavar="IMAGE",
    type=click.Path(exists=True, dir_okay=False),
    help="Also classify this image with the written preset.",
)
@click.option(
    "--mirror", help="URL to download checkpoints from, instead of the publisher's."
)
@click.option(
    "--cross-check",
    is_flag=True,
    help="First compare the two published conversions of a built-in preset.",
)
def command(
    checkpoint: str,
    folder: str,
    backbone: bool,
    images: tuple[str, ...],
    mirror: str | None,
    cross_check: bool,
) -> None:
    """Write CHECKPOINT as the preset FOLDER.

    CHECKPOINT is a file (.pth, .pdparams, .safetensors, .npz), its https:// URL, or the
    name of a built-in preset with published weights. No code in the file is executed.
    If an array is missing or unexpected, or has the wrong shape, the command reports it
    and writes nothing.
    """
    if backbone and images:
        raise click.UsageError("--check needs a classifier, so omit --backbone.")
    with reported():
        from keras_involution.models import RedNetBackbone, RedNetImageClassifier

        cls: Any = RedNetBackbone if backbone else RedNetImageClassifier
        _check_exists(checkpoint)
        if cross_check:
            _cross_check(checkpoint, mirror)
        model = cls.from_preset(checkpoint, mirror=mirror)
        model.save_to_preset(folder)
        click.echo(f"{folder}: {_description(model)}")
        if images:
            # Load the preset from the folder to check what was written.
            written = cls.from_preset(folder)
        for path in images:
            print_answers(written, path, read(path))


def _description(model: Any) -> str:
    backbone = getattr(model, "backbone", model)
    window = backbone.stem_kernel_size
    words = f"RedNet-{backbone.depth}, {window}x{window} stem"
    classes = getattr(model, "num_classes", None)
    return words if classes is None else f"{words}, {classes} classes"


def _check_exists(checkpoint: str) -> None:
    from keras_involution._builtin import PRESETS

    if "://" in checkpoint or checkpoint in PRESETS or Path(checkpoint).is_file():
        return
    raise click.UsageError(f"{checkpoint!r} is not a file, a URL or a built-in preset.")


def _cross_check(name: str, mirror: str | None) -> None:
    from keras_involution.hub import mirror as hub_mirror

    differences = hub_mirror.cross_check(name, mirror=mirror)
    worst = max(differences, key=differences.__getitem__)
    click.echo(
        f"{len(differences)} arrays compared; the largest difference is "
        f"{differences[worst]:.1e}, of {worst}"
    )
    if differences[worst] > 1e-6:
        raise click.ClickException("The two published conversions differ.")
