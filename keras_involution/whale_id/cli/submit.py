"""`whale-id submit`: writes a submission file for Kaggle."""

from __future__ import annotations

from typing import Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._answers import find_answers
from keras_involution.whale_id.cli._models import files_of, pair_options
from keras_involution.whale_id.cli._options import (
    calibration_option,
    force_option,
    match_options,
)


@cloup.command(cls=Command, extras=("whale-id",), backend=False)
@pair_options
@click.argument("out", type=click.Path())
@match_options
@click.option(
    "--form",
    type=click.Choice(["happywhale", "humpback"]),
    default="happywhale",
    help="Columns of the competition.",
)
@calibration_option(
    " from an open validation split: new animals are ranked by their probability.",
    required=True,
)
@click.option(
    "--pseudo-labels",
    type=(float, click.Path()),
    help="PROBABILITY FILE: also write a table of confident answers, for a second "
    "round.",
)
@click.option(
    "--sample",
    type=click.Path(exists=True, dir_okay=False),
    help="The competition's sample_submission.csv. OUT has its photos in its order; "
    "photos without an answer are labeled as new.",
)
@force_option
def command(
    out: str,
    form: str,
    pseudo_labels: tuple[float, str] | None,
    sample: str | None,
    force: bool,
    **search: Any,
) -> None:
    """Write five labels for every photo of QUERIES to OUT, in Kaggle's form."""
    with reported():
        from keras_involution import whale_id
        from keras_involution._arguments import positive_integer, received
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import submission
        from keras_involution.whale_id.tables import write

        least, sure_out = pseudo_labels or (None, None)
        check_outputs(
            force,
            *files_of(search),
            *([] if sample is None else [sample]),
            out=(out, submission.SUFFIXES),
            pseudo_labels=(sure_out, write.SUFFIXES),
        )
        read_sample = submission.read_sample_submission
        wanted = None if sample is None else read_sample(sample, form)
        top = positive_integer(search.pop("top"), "top")
        found = find_answers(top=max(top, submission.PLACES), **search)
        if found.candidates.condition:
            raise ValueError(
                "The calibration does not include new animals: it needs an open "
                f"validation split. {received(calibration=search['calibration'])}"
            )
        ranking, table = found.ranking, found.queries.table
        ids = table["image_id"].to_list()
        whale_id.write_submission(ranking, ids, out, form, sample=wanted, force=force)
        missing = 0 if wanted is None else len(wanted) - len(ids)
        click.echo(f"{out}: {len(ids) + missing} photos")
        if missing:
            click.echo(f"{missing} photos without an answer are labeled new", err=True)
        if least is not None and sure_out is not None:
            sure = whale_id.pseudo_labels(ranking, table, least)
            if sure.empty:
                asked = received(pseudo_labels=pseudo_labels)
                raise ValueError(
                    f"No answer reaches this probability; no table is written. {asked}"
                )
            whale_id.write_table(sure, sure_out, force=force)
            click.echo(f"{sure_out}: {len(sure)} confident answers")
