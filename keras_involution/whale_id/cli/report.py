"""`whale-id report`: a page for reviewing answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, positive, reported
from keras_involution.whale_id.cli._answers import answer_options, find_answers
from keras_involution.whale_id.cli._models import pair_options
from keras_involution.whale_id.cli._options import force_option, match_options

if TYPE_CHECKING:
    from keras_involution.whale_id.cli._answers import Answers
    from keras_involution.whale_id.pages.points import MatchedPoints


@cloup.command(cls=Command, extras=("whale-id", "plots"))
@pair_options
@click.option("--out", default="report.html", type=click.Path(), help="The page.")
@match_options
@answer_options
@click.option(
    "--heatmaps",
    type=click.Path(exists=True),
    help="An .npz file of maps by image_id, or a folder of image_id.png files.",
)
@click.option(
    "--points/--no-points",
    default=True,
    help="Draw the matched points of a photo and a candidate, if keypoints are stored "
    "with both.",
)
@click.option(
    "--limit",
    default=200,
    callback=positive,
    help="Photos to show.",
)
@click.option("--title", default="Which animal is it?", help="Heading of the page.")
@force_option
def command(
    out: str,
    heatmaps: str | None,
    points: bool,
    title: str,
    force: bool,
    **search: Any,
) -> None:
    """Write an HTML page that shows QUERIES next to their best candidates.

    On the page, a reviewer accepts or rejects candidates or marks new animals, and
    downloads the decisions as CSV.
    """
    with reported():
        from keras_involution import whale_id
        from keras_involution._files import check_outputs
        from keras_involution.whale_id.pages import SUFFIXES

        check_outputs(force, out=(out, SUFFIXES))
        maps = None if heatmaps is None else whale_id.Heatmaps(heatmaps)
        found = find_answers(**search)
        whale_id.write_report(
            found.ranking,
            found.queries.table,
            found.database.table,
            out,
            top=search["top"],
            confidence=found.probabilities,
            matches=_points(found) if points else None,
            heatmaps=maps,
            title=title,
            notes=found.candidates.notes,
            protocol=found.candidates.protocol,
            on_error=search["on_error"],
            warn=lambda text: click.echo(text, err=True),
            force=force,
        )
    count = len(found.ranking)
    click.echo(f"{out}: {count} of {count + found.left} photos")


def _points(found: Answers) -> MatchedPoints | None:
    from keras_involution.whale_id.fusion import has_local_features
    from keras_involution.whale_id.pages.points import MatchedPoints

    both = (found.queries, found.database)
    if all(has_local_features(embeddings) for embeddings in both):
        return MatchedPoints(*both)
    click.echo(
        "No points are drawn: the files contain no keypoints. `whale-id embed` stores "
        "them in .npz files.",
        err=True,
    )
    return None
