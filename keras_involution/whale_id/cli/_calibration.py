"""Calibration from a database, stored next to its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from keras_involution.whale_id import Embeddings
    from keras_involution.whale_id.fusion import FusionCalibration, Matcher

_SUFFIX = ".calibration.json"
_GROWTH = 0.1


def calibrate(matcher: Matcher, file: str | None = None) -> None:
    """Calibrates a matcher on its own database. This takes minutes, but only once.

    Args:
        matcher: `Matcher`.
        file: Path of the embeddings of the database. The calibration is stored next to
            it and reused while it is valid. `None` does not store it.
    """
    path = None if file is None else Path(file).with_suffix(_SUFFIX)
    kept = None if path is None else _kept(path, matcher)
    if kept is not None:
        matcher.calibration, matcher.reason = kept, ""
        click.echo(f"{path}: using the calibration of an earlier run")
        return
    learn(matcher)
    if path is not None and matcher.calibration is not None:
        _keep(matcher.calibration, path)


def learn(matcher: Matcher, queries: Embeddings | None = None) -> None:
    """Fits a matcher to validation photos or to its database, with a progress bar.

    Args:
        matcher: `Matcher`.
        queries: `Embeddings`; `None` uses photos of the database.
    """
    from keras_involution.whale_id.cli._progress import Progress
    from keras_involution.whale_id.fusion import LocalScorer
    from keras_involution.whale_id.fusion.matcher import CALIBRATION_QUERIES

    if queries is None:
        count, what = min(CALIBRATION_QUERIES, len(matcher.database)), "of the database"
    else:
        count, what = len(queries), "of the validation split"
    others = min(matcher.comparison.shortlist, len(matcher.database))
    scorers = [s for s in matcher.scorers if isinstance(s, LocalScorer)]
    click.echo(
        f"Calibration: {count} photos {what} are compared with up to {others} "
        "others each.",
        err=True,
    )
    pairs = count * others * len(scorers)
    with Progress("Pairs of photos", pairs) as bar:
        for scorer in scorers:
            scorer.on_pairs = bar.bar.update
        matcher.fit(queries)
    for scorer in scorers:
        scorer.on_pairs = lambda count: None


def _kept(path: Path, matcher: Matcher) -> FusionCalibration | None:
    """The calibration of an earlier run, if it is still valid."""
    from keras_involution.whale_id.fusion import FusionCalibration
    from keras_involution.whale_id.fusion.pairs import RELATIVE

    if not path.exists():
        return None
    found = FusionCalibration.load(path)
    both = (found.conditions, matcher.conditions)
    before, now = (json.loads(json.dumps(dict(c))) for c in both)
    count, had = now.pop("photos"), before.pop("photos", 0)
    names = {scorer.name for scorer in matcher.scorers}
    same = before == now and set(found.scorers) == names | {n + RELATIVE for n in names}
    # One season's photos hardly change a large catalog.
    return found if same and abs(count - had) <= _GROWTH * count else None


def _keep(calibration: FusionCalibration, path: Path) -> None:
    try:
        calibration.save(path, force=True)
    except OSError as error:
        click.echo(f"{path}: not stored for later runs: {error}", err=True)
    else:
        click.echo(f"{path}: stored for later runs")
