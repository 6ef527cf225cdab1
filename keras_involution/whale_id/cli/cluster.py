"""`whale-id cluster`: groups photos of unknown animals."""

from __future__ import annotations

from typing import Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._calibration import calibrate
from keras_involution.whale_id.cli._collections import (
    holds_embeddings,
    load_collection,
)
from keras_involution.whale_id.cli._options import (
    calibration_option,
    describe_options,
    force_option,
    pairs_option,
    shortlist_option,
    sides_option,
)

_NO_CALIBRATION = "Use --calibration with a file of `evaluate --save-calibration`."


@cloup.command(cls=Command, extras=("whale-id",))
@click.argument("source", type=click.Path(exists=True))
@click.argument("out", type=click.Path())
@click.option("--rows", metavar="COLUMN=VALUE,...", multiple=True, help="Rows to use.")
@click.option(
    "--threshold",
    default=0.5,
    help="Groups are merged while the mean probability that their photos show the same "
    "animal is at least this value.",
)
@click.option(
    "--anchored/--not-anchored",
    default=True,
    help="Keep photos of one known animal together and photos of two known animals "
    "apart. By default, known identities only evaluate the groups.",
)
@calibration_option(
    " (default: learned from the known animals of SOURCE and stored next to a file)."
)
@shortlist_option
@sides_option
@pairs_option
@describe_options
@force_option
def command(source: str, out: str, **options: Any) -> None:
    """Group the photos of SOURCE by animal; write proposals to OUT (CSV).

    SOURCE is a folder, a table, or a file of `whale-id embed`. The proposals are for
    review: SOURCE is not changed.
    """
    with reported():
        from keras_involution._files import check_outputs
        from keras_involution.whale_id import write_results
        from keras_involution.whale_id.cluster import cluster, cluster_metrics
        from keras_involution.whale_id.retrieve.results import SUFFIXES

        check_outputs(options["force"], source, out=(out, SUFFIXES))
        rows = options.pop("rows")
        unknown = _NO_CALIBRATION if options["calibration"] is None else None
        embeddings = load_collection(source, rows, unknown=unknown, **options)
        file = source if holds_embeddings(source) and not rows else None
        probabilities = _probabilities(embeddings, file, options)
        found = cluster(
            embeddings,
            probabilities,
            threshold=options["threshold"],
            anchored=options["anchored"],
        )
        write_results(found, out, force=options["force"])
        groups = found["group"].nunique()
        click.echo(f"{out}: {len(found)} photos in {groups} groups")
        if not options["anchored"]:
            metrics = cluster_metrics(
                *(found[c].to_list() for c in ("group", "identity"))
            )
            for name, value in metrics.items():
                click.echo(f"{name}: {value:.3f}" if name != "n" else f"n: {value}")


def _probabilities(embeddings: Any, file: str | None, options: dict[str, Any]) -> Any:
    from keras_involution._arguments import received
    from keras_involution.whale_id.cluster import pair_probabilities
    from keras_involution.whale_id.fusion import FusionCalibration, Matcher
    from keras_involution.whale_id.fusion.scorers import default_scorers

    chosen = {name: options[name] for name in ("shortlist", "sides")}
    scorers = default_scorers([embeddings], pairs=options["pairs"])
    if options["calibration"] is not None:
        calibration = FusionCalibration.load(options["calibration"])
        return pair_probabilities(embeddings, calibration, scorers, **chosen)
    matcher = Matcher(embeddings, scorers, **chosen)
    calibrate(matcher, file)
    if matcher.calibration is None:
        raise ValueError(
            f"Groups need probabilities. {_NO_CALIBRATION} "
            + received(reason=matcher.reason)
        )
    click.echo(f"probabilities from {matcher.calibration.protocol}")
    return pair_probabilities(embeddings, matcher.calibration, scorers, **chosen)
