"""`whale-id identify`: ranks the animals that photos may show."""

from __future__ import annotations

import math
from os.path import samefile
from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._calibration import calibrate
from keras_involution.whale_id.cli._collections import (
    build_matcher,
    holds_embeddings,
    load_collection,
)
from keras_involution.whale_id.cli._options import (
    calibration_option,
    describe_options,
    force_option,
    match_options,
)

if TYPE_CHECKING:
    import pandas as pd

    from keras_involution.whale_id import Embeddings
    from keras_involution.whale_id.fusion import Candidates

_EMBEDDINGS = (".npz",)
_LINES = 200
_NO_DATABASE = "--database names the photos of known animals."


@cloup.command(cls=Command, extras=("whale-id",))
@click.argument("queries", type=click.Path(exists=True))
@cloup.option_group(
    "Queries and database",
    cloup.option(
        "--database",
        type=click.Path(exists=True),
        help="Photos of known animals. Without it, each photo of QUERIES is compared "
        "with the others.",
    ),
    cloup.option(
        "--query-rows",
        metavar="COLUMN=VALUE,...",
        multiple=True,
        help="Use only these rows of QUERIES.",
    ),
    cloup.option(
        "--database-rows",
        metavar="COLUMN=VALUE,...",
        multiple=True,
        help="Use only these rows of the database.",
    ),
    cloup.option(
        "--encounters",
        is_flag=True,
        help="Treat photos with the same value in the column encounter as one query.",
    ),
)
@describe_options
@match_options
@cloup.option_group(
    "Answers",
    calibration_option(
        ". By default, photos of the database are compared with each other. If the "
        "database is a file of embeddings, this is done once, and the result is stored "
        "next to it."
    ),
    cloup.option(
        "--no-calibration",
        is_flag=True,
        help="Ranks only: do not compare photos of the database with each other.",
    ),
    cloup.option(
        "--add",
        is_flag=True,
        help="Add the photos of QUERIES to the database, a file of `whale-id embed`. "
        "Photos that it already contains are not embedded again.",
    ),
    cloup.option("--out", type=click.Path(), help="Answers as .csv, .parquet or .npz."),
    cloup.option(
        "--save-queries", type=click.Path(), help="Embeddings of QUERIES, as .npz."
    ),
    cloup.option(
        "--save-database",
        type=click.Path(),
        help="Embeddings of the database, as .npz.",
    ),
    force_option,
)
def command(queries: str, **options: Any) -> None:
    """List the animals that the photos of QUERIES may show.

    QUERIES and the database are folders (a database has one subfolder per animal),
    tables, or files of `whale-id embed`. No training is needed: the command compares
    the features of a preset and the keypoints of XFeat.
    """
    with reported():
        database = options["database"]
        if database is not None and not options["add"] and samefile(queries, database):
            # Otherwise each photo would be its own best match.
            options["database"] = None
        _check_outputs(queries, options)
        kept = _database_file(queries, options)
        asked, database, own = _loaded(queries, options)
        for name, embeddings in (("queries", asked), ("database", database)):
            if options[f"save_{name}"] is not None:
                embeddings.save(options[f"save_{name}"], force=options["force"])
        found = _answers(asked, database, own or options["add"], kept, options)
        table = found.table(database.table)
        if options["out"] is not None:
            from keras_involution.whale_id import write_results

            write_results(table, options["out"], force=options["force"])
            click.echo(f"{options['out']}: {len(found)} queries")
        else:
            _print(table, found)
        click.echo(found.protocol)
        if options["add"]:
            _add(asked, options["database"])


def _loaded(
    queries: str, options: dict[str, Any]
) -> tuple[Embeddings, Embeddings, bool]:
    """Queries, database, and whether both are the same photos."""
    parts, rows = options.pop("query_rows"), options.pop("database_rows")
    if options["database"] is None and not rows:
        asked = load_collection(queries, parts, unknown=_NO_DATABASE, **options)
        click.echo("Each photo is compared with all others, not with itself.")
        return asked, asked, True
    source = options["database"] or queries
    database = load_collection(source, rows, unknown=_NO_DATABASE, **options)
    # Photos are embedded in the same way as the stored database.
    like = database if database.settings else None
    asked = load_collection(queries, parts, like=like, **options)
    return asked, database, options["database"] is None


def _database_file(queries: str, options: dict[str, Any]) -> str | None:
    """The file of the whole database; its calibration is stored next to it."""
    if options["database_rows"] or (options["query_rows"] and not options["database"]):
        return None
    source = options["database"] or queries
    return source if holds_embeddings(source) else options["save_database"]


def _add(asked: Embeddings, path: str) -> None:
    """Writes the database with the queries that it did not contain."""
    from keras_involution.whale_id import Embeddings

    before = Embeddings.load(path)
    new = asked.rows(~asked.table["image_id"].isin(before.table["image_id"]))
    if len(new):
        Embeddings.concatenate([before, new]).save(path, force=True)
    click.echo(f"{path}: {len(new)} photos added to {len(before)}")


def _check_outputs(queries: str, options: dict[str, Any]) -> None:
    from keras_involution._arguments import received
    from keras_involution._files import check_outputs
    from keras_involution.whale_id.retrieve.results import SUFFIXES

    database = options["database"]
    if options["add"] and (database is None or not database.endswith(".npz")):
        raise ValueError(
            "--add needs a database in an .npz file of `whale-id embed`. "
            + received(database=database)
        )
    named = [queries, options["database"], options["calibration"]]
    check_outputs(
        options["force"],
        *[path for path in named if path is not None],
        out=(options["out"], SUFFIXES),
        save_queries=(options["save_queries"], _EMBEDDINGS),
        save_database=(options["save_database"], _EMBEDDINGS),
    )


def _answers(
    asked: Embeddings,
    database: Embeddings,
    own: bool,
    file: str | None,
    options: dict[str, Any],
) -> Candidates:
    from keras_involution._arguments import received

    matcher = build_matcher(database, options)
    if matcher.calibration is None and not options["no_calibration"]:
        calibrate(matcher, file)
    encounters = None
    if options["encounters"]:
        if "encounter" not in asked.table:
            columns = received(columns=list(asked.table))
            raise ValueError(f"The queries have no column 'encounter'. {columns}")
        encounters = asked.table["encounter"].to_list()
    return matcher.rank(
        asked,
        top=options["top"],
        leave_out="photo" if own else "nothing",
        encounters=encounters,
    )


def _print(table: pd.DataFrame, found: Candidates) -> None:
    """One line per query: the animals, with percentages only where they are known."""
    ids = found.queries["image_id"].to_list()
    grouped = dict(list(table.groupby("image_id", sort=False)))
    for image_id in ids[:_LINES]:
        rows = grouped.get(image_id)
        names = "no animal to compare with" if rows is None else _names(rows)
        click.echo(f"{image_id}: {names}")
    if len(ids) > _LINES:
        click.echo(f"... and {len(ids) - _LINES} more; --out writes all")


def _names(rows: pd.DataFrame) -> str:
    if "probability" not in rows:
        return ", ".join(rows["identity"])
    pairs = zip(rows["identity"], rows["probability"])
    named = [n if math.isnan(value) else f"{n} {value:.0%}" for n, value in pairs]
    note = rows["note"].iloc[0]
    return ", ".join(named) + (f" ({note})" if note else "")
