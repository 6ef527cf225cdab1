"""`whale-id check`: what is wrong with a table."""

from __future__ import annotations

from collections import Counter

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._options import table_source


@click.command()
@table_source
@click.option("--fix", "fixed", type=click.Path(), help="Write a table without them.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--workers", type=int, help="Pictures decoded at once.")
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
    """Name every broken row of TABLE; status 1 if there are any and no --fix.

    TABLE is a CSV, parquet or COCO file or a folder with one folder per animal.
    """
    with reported():
        from keras_involution.whale_id import (
            check_table,
            fix_table,
            read_table,
            write_table,
        )
        from keras_involution.whale_id._files import check_writable
        from keras_involution.whale_id.cli._progress import Progress

        if fixed is not None:
            check_writable(fixed, force)
        rows = read_table(table, images, boxes=boxes)
        with Progress("Pictures", rows["path"].nunique()) as progress:
            problems = check_table(rows, workers=workers, progress=progress)
        for problem in problems:
            name = str(rows.at[problem.row, "image_id"])
            click.echo(f"row {problem.row} ({name}): {problem.kind}: {problem.what}")
        click.echo(_summary(len(rows), Counter(p.kind for p in problems)))
        if fixed is not None:
            kept = fix_table(rows, problems)
            write_table(kept, fixed, force=force)
            click.echo(f"{fixed}: {len(kept)} of {len(rows)} rows")
        elif problems:
            context.exit(1)


def _summary(rows: int, kinds: Counter[str]) -> str:
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return f"{rows} rows: {counts or 'nothing wrong'}"
