"""`keras-involution split`: splits images for training, validation and testing."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution._files import check_writable
from keras_involution.cli._training import counted, warn


@cloup.command(cls=Command, backend=False)
@click.option(
    "--data",
    type=click.Path(exists=True),
    required=True,
    help="Folder or file of the images, as for `train`.",
)
@click.option("--leave-out", multiple=True, help="Class to leave out; can be repeated.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV file to write.",
)
@click.option(
    "--fractions",
    default="0.7,0.1,0.2",
    help="Fractions of the training, validation and test images.",
)
@click.option(
    "--per-class",
    help="Numbers of images per class instead: 25-train,5-val,50-test.",
)
@click.option(
    "--from-indices",
    type=click.Path(exists=True),
    help="File with a stored split instead: .npz, or .pth from PyTorch.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed.")
@click.option("--force", is_flag=True, help="Replace an existing OUTPUT.")
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

    The table has the columns `name` and `split`. The same seed gives the same split on
    every machine. Official splits of the dataset are kept; if only a test split is
    official, validation images are taken from the training images. With --per-class,
    every class gets the given number of training images, and at most the given numbers
    of validation and test images.

    --from-indices reads row numbers in the order of torchvision, where folders and
    files are sorted by name. The stored validation set becomes the test split, and
    validation images are taken from the stored training set. No code in a .pth file is
    executed.
    """
    with reported():
        check_writable(output, force)
        if per_class and from_indices:
            raise ValueError("Use either `--per-class` or `--from-indices`, not both.")
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
            warn(
                f"Left out, because they hold no image: {', '.join(collection.empty)}."
            )
        classes = len(collection.class_names)
        click.echo(f"{collection.kind}, {classes} classes: {counted(found)}")
