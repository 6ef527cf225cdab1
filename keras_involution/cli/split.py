"""`keras-involution split`: which images train, validate and test."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution._files import check_writable
from keras_involution.cli._training import counted, warn


@cloup.command(cls=Command, backend=False)
@click.option(
    "--data", type=click.Path(exists=True), required=True, help="As of `train`."
)
@click.option("--leave-out", multiple=True, help="A class to leave out; repeatable.")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="CSV to write."
)
@click.option(
    "--fractions",
    default="0.7,0.1,0.2",
    help="For training, validation and test.",
)
@click.option("--per-class", help="Numbers instead: 25-train,5-val,50-test.")
@click.option(
    "--from-indices",
    type=click.Path(exists=True),
    help="A stored split instead: .npz, or .pth of PyTorch.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Another split.")
@click.option("--force", is_flag=True, help="Replace the table.")
def command(
    data: str,
    leave_out: tuple[str, ...],
    output: Path,
    fractions: str,
    per_class: str | None,
    from_indices: str | None,
    seed: int,
    force: bool,
) -> None:
    """Split the images of a dataset into train, val and test, class by class.

    The table has the columns `name` and `split` and is the same on every machine.
    Official splits of the dataset are kept; with an official test split, validation
    images are taken from the training images. With --per-class every class gets so many
    training images, and up to so many others.

    --from-indices reads row numbers in the order of torchvision: folders by name, files
    by name. The stored validation set becomes the test split, and validation images are
    taken from the stored training set. Nothing in a .pth file is executed.
    """
    with reported():
        check_writable(output, force)
        if per_class and from_indices:
            raise ValueError("Choose one of `--per-class` and `--from-indices`.")
        from keras_involution.data import open_collection, splits
        from keras_involution.training import split_of_indices

        collection = open_collection(data, leave_out)
        wanted = splits.fractions_of(fractions)
        if from_indices:
            val_fraction = wanted[1] / (wanted[0] + wanted[1])
            found = split_of_indices(collection, from_indices, val_fraction, seed)
        elif per_class:
            counts = splits.counts_of(per_class)
            found = splits.split_by_counts(collection, counts, seed)
        else:
            found = splits.split_by_fractions(collection, wanted, seed)
        splits.write_split(output, collection.names, found)
        if collection.empty:
            warn(f"Left out, since they hold no image: {', '.join(collection.empty)}.")
        classes = len(collection.class_names)
        click.echo(f"{collection.kind}, {classes} classes: {counted(found)}")
