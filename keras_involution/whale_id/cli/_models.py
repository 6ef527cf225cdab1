"""Embeddings that commands read; unusable rows are skipped and reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution.whale_id.cli._options import Command, on_error_option
from keras_involution.whale_id.cli._rows import load_part

if TYPE_CHECKING:
    from keras_involution.whale_id import Embeddings

_FILE = click.Path(exists=True, dir_okay=False)


_row_options = cloup.option_group(
    "Queries and database",
    cloup.option(
        "--also",
        nargs=2,
        multiple=True,
        type=_FILE,
        help="QUERIES and DATABASE of another model; its evidence is added.",
    ),
    on_error_option("stop", "rows"),
    cloup.option(
        "--query-rows",
        metavar="COLUMN=VALUE,...",
        multiple=True,
        help="Use only these rows of QUERIES. A value can contain a comma. Repeat the "
        "option for more values of the column, or for another column that must also "
        "match.",
    ),
    cloup.option(
        "--database-rows",
        metavar="COLUMN=VALUE,...",
        multiple=True,
        help="Use only these rows of DATABASE, as with --query-rows.",
    ),
)


def pair_options(command: Command) -> Command:
    """QUERIES and DATABASE, further models, and parts of the files."""
    for decorate in (
        _row_options,
        click.argument("database", type=_FILE),
        click.argument("queries", type=_FILE),
    ):
        command = decorate(command)
    return command


def files_of(search: dict[str, Any]) -> list[str]:
    """The files named by the options above and by `answer_options`."""
    named = [search["queries"], search["database"]]
    named += [path for pair in search["also"] for path in pair]
    return named + [search["calibration"]] * (search.get("calibration") is not None)


def load_pairs(
    options: dict[str, Any],
) -> tuple[list[Embeddings], list[Embeddings]]:
    """The usable rows of queries and database, for every model in `pair_options`."""
    pairs = [(options["queries"], options["database"]), *options["also"]]
    asked = [load_part(q, options["query_rows"]) for q, _ in pairs]
    known = [load_part(d, options["database_rows"]) for _, d in pairs]
    return usable(asked, options["on_error"]), usable(known, options["on_error"])


def check_same_photos(models: Sequence[Embeddings]) -> None:
    """Raises an error if the models have different photos or another order."""
    from keras_involution._arguments import received

    first = models[0].table["image_id"].to_list()
    for number, model in enumerate(models):
        if model.table["image_id"].to_list() != first:
            raise ValueError(
                "All models must have the same photos in the same order. "
                + received(model=number, photos=len(model), first=len(first))
            )


def usable(models: list[Embeddings], on_error: str) -> list[Embeddings]:
    """Removes rows that are unusable in one model from all models, and reports them."""
    from keras_involution._arguments import received

    if on_error == "stop":
        return models
    bad: dict[str, None] = {}
    for model in models:
        bad |= dict.fromkeys(model.table["image_id"].iloc[model.unusable_rows()])
    for image_id in bad:
        click.echo(f"skipped {image_id}: its embedding is not finite or zero", err=True)
    left = [m.rows(~m.table["image_id"].isin(list(bad))) for m in models]
    if bad and not len(left[0]):
        rows = len(models[0])
        raise ValueError(f"A file has no usable row. {received(rows=rows)}")
    return left
