"""`whale-id apply`: applies a reviewer's decisions to a table."""

from __future__ import annotations

import getpass
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._options import force_option, images_option

if TYPE_CHECKING:
    import pandas as pd

_PAIR: dict[str, Any] = {"nargs": 2, "multiple": True}


@cloup.command(cls=Command, extras=("whale-id",), backend=False)
@click.argument("paths", nargs=-1, required=True, metavar="[DECISIONS] TABLE")
@images_option
@click.option(
    "--add",
    "added",
    multiple=True,
    type=click.Path(exists=True),
    help="Another table with reviewed photos, added to TABLE.",
)
@click.option("--merge", metavar="A B", help="A is the same animal as B.", **_PAIR)
@click.option("--rename", metavar="A B", help="A is now called B.", **_PAIR)
@click.option(
    "--split",
    metavar="IMAGE_ID NEW",
    help="The photo shows another animal, NEW.",
    **_PAIR,
)
@click.option("--undo", is_flag=True, help="Undo the last step.")
@click.option(
    "--who", help="Name of the reviewer, if not in DECISIONS (default: user)."
)
@click.option(
    "--out", type=click.Path(), help="Output table (default: TABLE_decided.csv)."
)
@force_option
def command(
    paths: tuple[str, ...],
    images: str | None,
    added: tuple[str, ...],
    merge: tuple[tuple[str, str], ...],
    rename: tuple[tuple[str, str], ...],
    split: tuple[tuple[str, str], ...],
    undo: bool,
    who: str | None,
    out: str | None,
    force: bool,
) -> None:
    """Apply DECISIONS, a file from a report, to TABLE.

    Decisions assign a photo to an animal, name a new animal, merge, rename or
    split animals. OUT.history.csv records who decided what and when, and continues the
    history of TABLE; --undo undoes its last step.
    """
    with reported():
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import catalog, read_table, write_table
        from keras_involution.whale_id.tables.join import join_tables
        from keras_involution.whale_id.tables.write import SUFFIXES

        *given, source = paths
        chosen = [*_rows("merge", merge), *_rows("rename", rename)]
        _check_usage(given, [*chosen, *split], undo)
        target = Path(out or f"{Path(source).with_suffix('')}_decided.csv")
        check_outputs(force, out=(target, SUFFIXES))
        tables = [read_table(path, images) for path in (source, *added)]
        rows = join_tables(tables) if added else tables[0]
        history = catalog.read_history(catalog.history_path(source))
        person = who or getpass.getuser()
        if undo:
            rows, history = catalog.undo_decisions(rows, history, who=person)
        else:
            decisions = _decisions(given, chosen, split, rows)
            rows, history = catalog.apply_decisions(
                rows, decisions, history, who=person
            )
        # The history is written first: it may be ahead of the table, but never behind.
        catalog.write_history(history, catalog.history_path(target))
        write_table(rows, target, force=force)
    click.echo(f"{target}: {_summary(history)}")


def _check_usage(given: list[str], options: list, undo: bool) -> None:
    from keras_involution._arguments import received

    if len(given) > 1 or undo == bool(given or options):
        raise ValueError(
            "Give DECISIONS and TABLE, or TABLE and --merge, --rename, --split or "
            f"--undo. {received(decisions=given, undo=undo)}"
        )


def _rows(kind: str, pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"decision": kind, "identity": a, "into": b} for a, b in pairs]


def _decisions(
    given: list[str], rows: list, split: tuple, table: pd.DataFrame
) -> pd.DataFrame:
    """The decisions in the file, then those in the options."""
    import pandas as pd

    from keras_involution.whale_id import catalog

    identities = dict(zip(table["image_id"], table["identity"]))
    rows = rows + [
        {
            "decision": "split",
            "image_id": image_id,
            "identity": identities.get(image_id, "unknown"),
            "into": into,
        }
        for image_id, into in split
    ]
    frames = [catalog.read_decisions(path) for path in given]
    frames += [pd.DataFrame(rows)] if rows else []
    return pd.concat(frames, ignore_index=True).fillna("")


def _summary(history: pd.DataFrame) -> str:
    last = history[history["step"] == history["step"].max()]
    counts = Counter(last["decision"])
    what = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    step = int(last["step"].iloc[0]) if len(last) else 0
    return f"step {step}: {what or 'nothing to do'}"
