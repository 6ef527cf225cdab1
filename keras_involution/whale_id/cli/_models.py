"""Embeddings that commands read, row by row usable or named."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keras_involution.whale_id.cli._rows import load_part

if TYPE_CHECKING:
    import numpy as np

    from keras_involution.whale_id import Embeddings, Ranking, Threshold

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False)


def search_options(command: Command) -> Command:
    """How animals are scored: what `identify` takes."""
    for decorate in (
        click.option("--top", default=10, show_default=True, help="Animals to keep."),
        click.option(
            "--reduce",
            default="best",
            show_default=True,
            help="Score of an animal: its best photograph, or the centre of all.",
        ),
        click.option(
            "--head-share",
            default=0.0,
            show_default=True,
            help="Weight of the head's logits, 0 to 1.",
        ),
        click.option(
            "--on-error",
            type=click.Choice(["skip", "stop"]),
            default="stop",
            show_default=True,
            help="What to do about rows that cannot be used.",
        ),
    ):
        command = decorate(command)
    return command


def pair_options(command: Command) -> Command:
    """QUERIES and DATABASE, further models, and parts of the files."""
    for decorate in (
        click.option(
            "--database-rows",
            metavar="COLUMN=VALUE,...",
            multiple=True,
            help="Part of DATABASE, as --query-rows.",
        ),
        click.option(
            "--query-rows",
            metavar="COLUMN=VALUE,...",
            multiple=True,
            help="Part of QUERIES. A value with a comma in it is found as it stands; "
            "given again: further values of the column, or another column that must "
            "hold as well.",
        ),
        click.option(
            "--also",
            nargs=2,
            multiple=True,
            type=_FILE,
            help="QUERIES and DATABASE of another model; scores are averaged.",
        ),
        click.argument("database", type=_FILE),
        click.argument("queries", type=_FILE),
    ):
        command = decorate(command)
    return command


def files_of(search: dict[str, Any]) -> list[str]:
    """The files that the options above and `answer_options` name."""
    named = [search["queries"], search["database"]]
    named += [path for pair in search["also"] for path in pair]
    return named + [search[n] for n in ("threshold", "calibration") if search.get(n)]


def load_pairs(
    queries: str,
    database: str,
    also: Sequence[tuple[str, str]],
    query_rows: Sequence[str],
    database_rows: Sequence[str],
    on_error: str,
) -> tuple[list[Embeddings], list[Embeddings]]:
    """The queries and the database of every model, usable rows only."""
    pairs = [(queries, database), *also]
    asked = [load_part(q, query_rows) for q, _ in pairs]
    known = [load_part(d, database_rows) for _, d in pairs]
    return usable(asked, on_error), usable(known, on_error)


def check_same_photographs(models: Sequence[Embeddings]) -> None:
    """Raises where models saw other photographs, or in another order."""
    from keras_involution._arguments import received

    first = models[0].table["image_id"].to_list()
    for number, model in enumerate(models):
        if model.table["image_id"].to_list() != first:
            raise ValueError(
                "All models must have the same photographs in the same order. "
                + received(model=number, photographs=len(model), first=len(first))
            )


def usable(models: list[Embeddings], on_error: str) -> list[Embeddings]:
    """Leaves out, in all models, what is not usable in one, and names it."""
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
        raise ValueError(f"No row of a file can be used. {received(rows=rows)}")
    return left


def read_threshold(text: str | None) -> Threshold | None:
    """A file that `evaluate` wrote, or a number."""
    if text is None:
        return None
    from keras_involution._arguments import received
    from keras_involution.whale_id import Threshold

    try:
        value = float(text)
    except ValueError:
        return Threshold.load(text)
    if not math.isfinite(value):
        raise ValueError(f"`threshold` must be finite. {received(threshold=text)}")
    return Threshold(value, f"given: {text}")


def with_new(
    ranking: Ranking, queries: Embeddings, threshold: Threshold | None
) -> Ranking:
    """The ranking with the label of new animals, where there is a threshold."""
    from keras_involution.whale_id import insert_new

    if threshold is None:
        return ranking
    return insert_new(ranking, thresholds_of(queries, threshold))


def thresholds_of(queries: Embeddings, threshold: Threshold) -> np.ndarray:
    table = queries.table
    return threshold.values(table.get("species", table["image_id"]).to_list())
