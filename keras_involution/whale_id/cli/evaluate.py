"""`whale-id evaluate`: measures the accuracy of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import cloup

from keras_involution._commands import Command, reported
from keras_involution.whale_id.cli._calibration import learn
from keras_involution.whale_id.cli._collections import (
    build_matcher,
    load_collection,
    matching,
)
from keras_involution.whale_id.cli._models import check_same_photos, usable
from keras_involution.whale_id.cli._options import (
    describe_options,
    force_option,
    match_options,
)

if TYPE_CHECKING:
    import pandas as pd

    from keras_involution.whale_id import Embeddings, Evaluation
    from keras_involution.whale_id.fusion import Matcher

PLOTS = (".png", ".svg", ".pdf")


@cloup.command(cls=Command, extras=("whale-id",))
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True))
@describe_options
@match_options
@cloup.option_group(
    "Splits",
    cloup.option("--split", default="split", help="Column of the test split."),
    cloup.option(
        "--validation",
        default="val_split",
        help="Column of the validation split inside the training part.",
    ),
    cloup.option(
        "--counter", default="photo_number", help="Column of the frame counter."
    ),
    cloup.option(
        "--baselines/--no-baselines",
        default=True,
        help="Also rank the queries by methods without training.",
    ),
)
@cloup.option_group(
    "Files to write",
    cloup.option("--out", type=click.Path(), help="Metrics, as .json or .csv."),
    cloup.option("--per-query", type=click.Path(), help="One row per query, as .csv."),
    cloup.option(
        "--reliability",
        type=click.Path(),
        help="Reliability diagram, as .png, .svg or .pdf; needs matplotlib.",
    ),
    cloup.option(
        "--save-calibration",
        type=click.Path(),
        help="Calibration for identify, report, serve, submit and cluster.",
    ),
    cloup.option(
        "--save-embeddings", type=click.Path(), help="The embeddings, as .npz."
    ),
    force_option,
)
def command(sources: tuple[str, ...], **options: Any) -> None:
    """Measure the accuracy of the answers for the photos of SOURCES.

    A source is a folder, a table, or a file of `whale-id embed`. Several files are
    several models of the same photos. The database consists of the training photos, the
    queries are the test photos. The calibration is learned from the validation split,
    or from the database if there is none.
    """
    with reported():
        from keras_involution.whale_id import write_results
        from keras_involution.whale_id.fusion.scorers import with_models

        _check_written(sources, options)
        # Photos that one model cannot use are removed from all models.
        whole = options | {"on_error": "stop"} if len(sources) > 1 else options
        models = [load_collection(source, **whole) for source in sources]
        models = usable(models, options["on_error"])
        check_same_photos(models)
        joined = with_models(models)
        if options["save_embeddings"] is not None:
            joined.save(options["save_embeddings"], force=options["force"])
        matcher, result = _measure(joined, options)
        _save(matcher, result, options)
        if options["per_query"] is not None:
            write_results(result.queries, options["per_query"], force=options["force"])
        if options["reliability"] is not None:
            _plot(matcher, result, options)
    _print(result)


def _check_written(sources: tuple[str, ...], options: dict[str, Any]) -> None:
    from keras_involution._files import check_outputs
    from keras_involution.whale_id import evaluation
    from keras_involution.whale_id.metrics.reliability import require_matplotlib
    from keras_involution.whale_id.retrieve import results

    if options["reliability"] is not None:
        require_matplotlib()
    suffixes = {"out": evaluation.SUFFIXES, "per_query": results.SUFFIXES}
    suffixes |= {"save_calibration": (".json",), "save_embeddings": (".npz",)}
    suffixes |= {"reliability": PLOTS}
    written = {name: (options[name], known) for name, known in suffixes.items()}
    check_outputs(options["force"], *sources, **written)


def _measure(
    embeddings: Embeddings, options: dict[str, Any]
) -> tuple[Matcher, Evaluation]:
    """The calibrated matcher of the test, and its evaluation."""
    from keras_involution._arguments import positive_integer, received
    from keras_involution.whale_id import evaluate
    from keras_involution.whale_id.evaluation_rows import RANKS
    from keras_involution.whale_id.metrics import image_average_precisions

    parts = _split(embeddings, options["split"])
    if parts is None:
        raise ValueError(
            "The photos are not split into training and test photos; `whale-id split` "
            f"writes a table with the column. {received(split=options['split'])}"
        )
    queries, database = parts
    # An animal that is cut off would count as not found.
    top = max(positive_integer(options["top"], "top"), *RANKS)
    matcher = build_matcher(database, options)
    _calibrate(matcher, embeddings, options)
    candidates = matcher.rank(queries, top=top)
    apart = matcher.rank(queries, top=top, leave_out="encounter")
    precisions = image_average_precisions(
        queries.features,
        database.features,
        queries.table["identity"].to_list(),
        database.table["identity"].to_list(),
    )
    result = evaluate(
        candidates.ranking,
        queries.table,
        database.table,
        image_precisions=precisions,
        counter=options["counter"],
        candidates=candidates,
        apart=apart.ranking,
        baselines=_baselines(matcher, queries, database, top, options),
    )
    return matcher, result


def _calibrate(
    matcher: Matcher, embeddings: Embeddings, options: dict[str, Any]
) -> None:
    """Calibrates on the validation split, or on the database itself."""
    from keras_involution.whale_id.fusion import Matcher

    parts = _split(embeddings, options["validation"])
    if parts is None:
        learn(matcher)
        return
    _check_apart(embeddings.table, options["validation"], options["split"])
    queries, database = parts
    inner = Matcher(database, matcher.scorers, **matching(options))
    learn(inner, queries)
    matcher.calibration, matcher.reason = inner.calibration, inner.reason


def _baselines(
    matcher: Matcher,
    queries: Embeddings,
    database: Embeddings,
    top: int,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Rankings of the same queries by methods that are not trained."""
    from pathlib import Path

    from keras_involution.whale_id import baselines
    from keras_involution.whale_id.fusion import LocalScorer

    if not options["baselines"]:
        return {}
    found = {}
    for scorer in matcher.scorers:
        if isinstance(scorer, LocalScorer):
            names = (scorer.name, top)
            found["local matching"] = baselines.rank_by_one(
                queries, database, matcher.scorers, *names, **matching(options)
            )
    if not any(Path(path).is_file() for path in queries.table["path"]):
        click.echo(
            "The photos are missing, so oriented gradients and the frozen preset "
            "cannot be compared.",
            err=True,
        )
        return found
    found["oriented gradients"] = baselines.rank_by_gradients(queries, database, top)
    return found | {
        f"frozen {baselines.PRESET}": baselines.rank_by_preset(queries, database, top)
    }


def _save(
    matcher: Matcher,
    result: Evaluation,
    options: dict[str, Any],
) -> None:
    from keras_involution._arguments import received

    contents: dict[str, Any] = {"out": result, "save_calibration": matcher.calibration}
    for name, content in contents.items():
        if options[name] is not None:
            if content is None:
                asked = received(**{name: options[name]})
                raise ValueError(f"There is no data to calibrate on. {asked}")
            content.save(options[name], force=options["force"])


def _plot(matcher: Matcher, result: Evaluation, options: dict[str, Any]) -> None:
    from keras_involution._arguments import received
    from keras_involution._files import atomic_write
    from keras_involution.whale_id.metrics import plot_reliability

    path = options["reliability"]
    if result.reliability is None:
        raise ValueError(
            "Without calibration there are no probabilities to plot. "
            f"{received(reliability=path, reason=matcher.reason)}"
        )
    with atomic_write(path, options["force"], PLOTS) as draft:
        plot_reliability(result.reliability).savefig(draft, dpi=150)


def _split(embeddings: Embeddings, column: str) -> tuple[Embeddings, Embeddings] | None:
    """Queries and database according to a column, `None` if it does not exist."""
    from keras_involution.whale_id import split_table

    table = embeddings.table
    if column not in table:
        return None
    parts = split_table(table, "given", given=column)["split"]
    queries = parts.str.startswith("test").to_numpy()
    return embeddings.rows(queries), embeddings.rows((parts == "train").to_numpy())


def _check_apart(table: pd.DataFrame, validation: str, test: str) -> None:
    """Checks that the validation photos are not test photos."""
    from keras_involution._arguments import received
    from keras_involution.whale_id import split_table

    if test not in table:
        return
    tested = [
        split_table(table, "given", given=column)["split"].str.startswith("test")
        for column in (validation, test)
    ]
    both = int((tested[0] & tested[1]).sum())
    if both:
        raise ValueError(
            "The test split contains validation photos; `whale-id split "
            "--column val_split --within split=train` keeps them apart. "
            + received(validation=validation, split=test, photos=both)
        )


def _print(result: Evaluation) -> None:
    for name, text in result.protocol.items():
        click.echo(f"{name}: {text}")
    group = ""
    for row in result.rows.itertuples():
        if row.group != group:
            group = str(row.group)
            click.echo(f"\n{group:<32} value   95 % interval      n")
        interval = f"[{row.low:.3f}, {row.high:.3f}]"
        click.echo(f"  {row.name:<30} {row.value:.3f}  {interval}  {row.n:>6}")
    if result.reliability is not None:
        click.echo("\nreliability of the first answer: confidence, accuracy, n")
        for row in result.reliability.itertuples():
            click.echo(f"  {row.probability:.3f}  {row.right:.3f}  {row.n:>6}")
