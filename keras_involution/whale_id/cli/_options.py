"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import cloup

from keras_involution._commands import positive

Command = TypeVar("Command", bound=Callable[..., Any])

images_option = cloup.option(
    "--images",
    type=click.Path(exists=True, file_okay=False),
    help="Base folder of the paths in tables (default: the folder of the table).",
)
_boxes_option = cloup.option(
    "--no-boxes",
    "boxes",
    flag_value=False,
    default=True,
    show_default=False,
    help="Ignore boxes, for example if they belong to other images.",
)
batch_size_option = cloup.option(
    "--batch-size", default=32, callback=positive, help="Number of photos per step."
)
force_option = cloup.option("--force", is_flag=True, help="Replace existing files.")
reduce_option = cloup.option(
    "--reduce",
    type=click.Choice(["best", "several"]),
    default="best",
    help="Score of an animal: its best photo, or the mean of up to three photos.",
)
shortlist_option = cloup.option(
    "--shortlist",
    default=300,
    callback=positive,
    help="Number of photos whose keypoints are compared with those of a query.",
)
pairs_option = cloup.option(
    "--pairs",
    type=click.Choice(["all", "verified"]),
    default="all",
    help="Pairs of keypoints that count: all pairs, for flexible parts such as faces, "
    "or pairs that fit one transform, for fins and flukes.",
)
sides_option = cloup.option(
    "--sides",
    type=click.Choice(["own", "any"]),
    default="own",
    help="Compare left sides with left sides only, or with any.",
)


def on_error_option(default: str, what: str = "photos") -> Callable[..., Any]:
    """The option for photos, or rows, that cannot be used."""
    return cloup.option(
        "--on-error",
        type=cloup.Choice(["skip", "stop"]),
        default=default,
        help=f"What to do about {what} that cannot be used.",
    )


def calibration_option(otherwise: str, **settings: Any) -> Callable[..., Any]:
    """The option for a calibration file; `otherwise` describes the default."""
    return cloup.option(
        "--calibration",
        type=click.Path(exists=True, dir_okay=False),
        help=f"File of `evaluate --save-calibration`{otherwise}",
        **settings,
    )


_table_options = cloup.option_group("Table", images_option, _boxes_option)


def table_source(command: Command) -> Command:
    """TABLE, `--images` and `--no-boxes`: the arguments of `read_table`."""
    return _table_options(
        click.argument("table", type=click.Path(exists=True))(command)
    )


# Keypoints, which are matched in addition to the features of a network.
keypoint_options = cloup.option_group(
    "Keypoints",
    cloup.option(
        "--local",
        type=click.Choice(["xfeat", "sift", "none"]),
        default="xfeat",
        help="Keypoints to match in addition to the features of the network.",
    ),
    cloup.option(
        "--side",
        default=640,
        callback=positive,
        help="Longest side for keypoints, in pixels.",
    ),
    cloup.option(
        "--keypoints",
        default=800,
        callback=positive,
        help="Number of keypoints per photo.",
    ),
    cloup.option(
        "--region",
        type=click.Choice(["auto", "middle", "whole"]),
        default="auto",
        help="Region of the keypoints: auto uses the box, or without a box the middle "
        "70 % of each side.",
    ),
)

# How photos are embedded if they are not embedded yet.
_photo_options = cloup.option_group(
    "Photos",
    cloup.option(
        "--model",
        default="rednet_26_tiny_imagenet",
        help="Run, .keras file, preset folder, preset name or hf://user/name.",
    ),
    cloup.option(
        "--flip",
        type=click.Choice(["none", "average"]),
        default="none",
        help="average also uses the mirrored photo, for animals with similar sides.",
    ),
    batch_size_option,
    images_option,
    _boxes_option,
    on_error_option("skip"),
)


def describe_options(command: Command) -> Command:
    """Options for the features and keypoints of photos."""
    return _photo_options(keypoint_options(command))


# How animals are compared.
match_options = cloup.option_group(
    "Matching",
    cloup.option(
        "--top",
        default=5,
        callback=positive,
        help="Number of animals listed for each query.",
    ),
    shortlist_option,
    reduce_option,
    sides_option,
    pairs_option,
    cloup.option(
        "--rerank",
        type=click.Choice(["aqe", "k-reciprocal"]),
        help="Second ranking by features: average query expansion, or common "
        "neighbors. Neither improved results on harbor seals. A calibration is valid "
        "for one choice.",
    ),
)
