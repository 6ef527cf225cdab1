"""Photos that commands read: folders, tables, or files of embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from keras_involution.whale_id import Embeddings
    from keras_involution.whale_id.fusion import Matcher


def load_collection(
    source: str,
    rows: Sequence[str] = (),
    *,
    like: Embeddings | None = None,
    unknown: str | None = None,
    **options: Any,
) -> Embeddings:
    """The photos of a folder, a table, or a file of embeddings.

    Args:
        source: Path.
        rows: Sequence of `COLUMN=VALUE,...`.
        like: `Embeddings` whose network and extractor describe the photos; `None`
            uses the options.
        unknown: String, what to do if no photo shows a known animal; `None` allows it.
        **options: Options of `describe_options`. With `add`, photos that `like`
            already contains are taken from it.

    Returns:
        `Embeddings`.

    Raises:
        ValueError: If two photos have the same `image_id`, `unknown` is given and no
            animal is known, or `like` comes from another network.
    """
    from keras_involution.whale_id.cli._models import usable
    from keras_involution.whale_id.cli._rows import load_part, part_of

    if holds_embeddings(source):
        found = usable([load_part(source, rows)], options["on_error"])[0]
        check_distinct(found.table)
        if unknown is not None:
            _check_known(found.table, source, unknown)
        return found
    from keras_involution.whale_id import read_table

    table = read_table(source, options["images"], boxes=options["boxes"])
    table = part_of(table, rows, source)
    check_distinct(table)
    if unknown is not None:
        _check_known(table, source, unknown)
    if like is None:
        return _described(table, options)
    return _described_like(like, table, options)


def build_matcher(database: Embeddings, options: dict[str, Any]) -> Matcher:
    """Builds the `Matcher` from `match_options`, with the calibration if given."""
    from keras_involution.whale_id.fusion import FusionCalibration, Matcher
    from keras_involution.whale_id.fusion.scorers import default_scorers

    path = options.get("calibration")
    return Matcher(
        database,
        default_scorers([database], options["rerank"], options["pairs"]),
        calibration=None if path is None else FusionCalibration.load(path),
        **matching(options),
    )


def matching(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Matcher` in `match_options`, except the scorers."""
    return {name: options[name] for name in ("shortlist", "reduce", "sides")}


def check_distinct(table: pd.DataFrame) -> None:
    """Rejects duplicate ids: an answer could mean either of two photos."""
    from keras_involution._arguments import received

    twice = table["image_id"][table["image_id"].duplicated()].unique().tolist()
    if twice:
        raise ValueError(
            "Each photo needs a unique `image_id`; `whale-id check` lists all "
            f"duplicates. {received(image_id=twice[:5])}"
        )


def _described_like(
    like: Embeddings, table: pd.DataFrame, options: dict[str, Any]
) -> Embeddings:
    """Describes the photos of a table; photos that `like` contains are reused."""
    from keras_involution._arguments import received
    from keras_involution.whale_id import Embeddings

    settings = like.settings
    if settings:
        options = options | {"flip": settings["flip"]} | _keypoints(settings["local"])
    places = {name: row for row, name in enumerate(like.table["image_id"])}
    known = table["image_id"].isin(list(places)) & options.get("add", False)
    rows = [places[name] for name in table["image_id"][known]]
    paths = like.table["path"].iloc[rows].to_list()
    other = [p for p, q in zip(table["path"][known], paths) if str(p) != str(q)]
    if other:
        raise ValueError(
            "The database has another photo with the same `image_id`. "
            + received(path=other[0])
        )
    if len(table) and known.all():
        return like.rows(rows)
    described = _described(table[~known].reset_index(drop=True), options)
    if settings and described.settings["model"] != settings["model"]:
        raise ValueError(
            "The database was embedded with another network; name it with --model. "
            + received(model=options["model"])
        )
    if not rows:
        return described
    return Embeddings.concatenate([like.rows(rows), described])


def _keypoints(local: dict[str, Any] | None) -> dict[str, Any]:
    """The options for the arguments `local` of `build_extractor`."""
    if local is None:
        return {"local": "none"}
    names = ("side", "keypoints", "region")
    return {"local": local["name"]} | {name: local[name] for name in names}


def _described(table: pd.DataFrame, options: dict[str, Any]) -> Embeddings:
    from keras_involution.whale_id.cli._progress import Progress
    from keras_involution.whale_id.describe import describe
    from keras_involution.whale_id.embeddings.embedders import Source
    from keras_involution.whale_id.embeddings.job import Job
    from keras_involution.whale_id.local import build_extractor
    from keras_involution.whale_id.runs import load_run

    run = load_run(options["model"])
    local = local_arguments(options)
    extractor = None if local is None else build_extractor(**local)
    with Progress("Photos", len(table) * (1 + (extractor is not None))) as bar:
        embeddings, left_out = describe(
            run.network,
            table,
            extractor,
            box_margin=run.box_margin,
            flip=options["flip"],
            batch_size=options["batch_size"],
            on_error=options["on_error"],
            on_image=lambda number: bar.bar.update(number),
        )
    for reason in left_out.values():
        click.echo(f"skipped {reason}", err=True)
    source = Source(options["model"])
    job = Job(table, source, Path("described"), options["flip"], local=local)
    return replace(embeddings, settings=job.settings())


def local_arguments(options: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments of `build_extractor` in `keypoint_options`."""
    if options["local"] == "none":
        return None
    names = ("side", "keypoints", "region")
    return {"name": options["local"]} | {name: options[name] for name in names}


def holds_embeddings(source: str) -> bool:
    """Whether a file contains embeddings instead of a table of photos."""
    suffix = Path(source).suffix.lower()
    if suffix == ".npz" or any(Path(source).glob("*.npz")):
        return True
    if suffix == ".parquet":
        import pyarrow.parquet

        return "features" in pyarrow.parquet.read_schema(source).names
    if suffix == ".csv":
        with open(source, encoding="utf-8", errors="replace") as file:
            return "feature_0" in file.readline()
    return False


def _check_known(table: pd.DataFrame, source: str, unknown: str) -> None:
    """Rejects a database without known animals before its photos are read."""
    from keras_involution._arguments import received
    from keras_involution.whale_id.tables import UNKNOWN

    if (table["identity"] == UNKNOWN).all():
        raise ValueError(
            "The database has no photo of a known animal. A folder needs one "
            "subfolder for each animal, and a table needs the column `identity`. "
            f"{unknown} {received(source=source, rows=len(table))}"
        )
