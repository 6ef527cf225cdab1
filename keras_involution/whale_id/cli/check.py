"""`whale-id check`: lists the problems of a table."""

from __future__ import annotations

from collections import Counter

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._options import force_option, table_source


@cloup.command(cls=Command, extras=("whale-id",), backend=False)
@table_source
@click.option(
    "--fix", "fixed", type=click.Path(), help="Write a table without broken rows."
)
@force_option
@click.option("--workers", type=int, help="Number of images decoded at once.")
@click.pass_context
def command(
    context: click.Context,
    table: str,
    images: str | None,
    boxes: bool,
    fixed: str | None,
    force: bool,
    workers: int | None,
) -> None:
    """List every broken row of TABLE.

    The exit status is 1 if there are broken rows and --fix is not given. TABLE is a
    CSV, parquet or COCO file, or a folder with one subfolder per animal. Names that a
    spreadsheet would run as a formula, and names of animals that differ only in case or
    blanks, are listed too, but do not count as broken.
    """
    with reported():
        from keras_involution._arguments import received
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import (
            check_table,
            fix_table,
            read_table,
            write_table,
        )
        from keras_involution.whale_id.cli._progress import Progress
        from keras_involution.whale_id.tables.check import WARNINGS
        from keras_involution.whale_id.tables.write import SUFFIXES

        check_outputs(force, fix=(fixed, SUFFIXES))
        rows = read_table(table, images, boxes=boxes)
        with Progress("Images", rows["path"].nunique()) as progress:
            problems = check_table(rows, workers=workers, progress=progress)
        for problem in problems:
            name = str(rows.at[problem.row, "image_id"])
            click.echo(f"row {problem.row} ({name}): {problem.kind}: {problem.what}")
        click.echo(_summary(len(rows), Counter(p.kind for p in problems)))
        if fixed is not None:
            kept = fix_table(rows, problems)
            if kept.empty:
                asked = received(rows=len(rows), fix=fixed)
                raise ValueError(f"No row would be left; no table is written. {asked}")
            write_table(kept, fixed, force=force)
            click.echo(f"{fixed}: {len(kept)} of {len(rows)} rows")
        elif any(problem.kind not in WARNINGS for problem in problems):
            context.exit(1)


def _summary(rows: int, kinds: Counter[str]) -> str:
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return f"{rows} rows: {counts or 'no problems'}"
