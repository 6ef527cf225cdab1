"""`whale-id evaluate`: how good the answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keras_involution._commands import reported
from keras_involution.whale_id.cli._models import (
    check_same_photographs,
    read_threshold,
    search_options,
    usable,
)

if TYPE_CHECKING:
    import pandas as pd

    from keras_involution.whale_id import Embeddings, Evaluation, Ranking


@click.command()
@click.argument(
    "embeddings", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False)
)
@search_options
@click.option("--split", default="split", show_default=True, help="Column of the test.")
@click.option(
    "--validation",
    default="val_split",
    show_default=True,
    help="Column of the validation split inside the training part.",
)
@click.option("--threshold", help="File or number; else chosen on the validation.")
@click.option("--method", default="grid", show_default=True, help="share, or species.")
@click.option("--share", type=float, help="For --method share.")
@click.option("--new-share", type=float, help="Share of new animals to expect.")
@click.option("--calibrate", default="isotonic", show_default=True, help="Or logistic.")
@click.option("--counter", default="photo_number", help="Column of the frame counter.")
@click.option("--out", type=click.Path(), help="Figures, as .json or .csv.")
@click.option("--per-query", type=click.Path(), help="What each query earned, as .csv.")
@click.option("--save-threshold", type=click.Path(), help="For identify and submit.")
@click.option("--save-calibration", type=click.Path(), help="For identify and report.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def command(embeddings: tuple[str, ...], **options: Any) -> None:
    """Measure EMBEDDINGS, files of `whale-id embed`, one for each model.

    The database is what trains, the queries are what tests. The threshold of new
    animals and the calibration come from the validation split alone.
    """
    with reported():
        from keras_involution._arguments import received
        from keras_involution.whale_id import write_results
        from keras_involution.whale_id.embeddings import Embeddings

        _check_written(embeddings, options)
        models = usable([Embeddings.load(p) for p in embeddings], options["on_error"])
        check_same_photographs(models)
        threshold, calibration = _from_validation(models, options)
        result = _measure(models, threshold, options)
        force = options["force"]
        for name, content in (
            ("out", result),
            ("save_threshold", threshold),
            ("save_calibration", calibration),
        ):
            if options[name] is not None:
                if content is None:
                    asked = received(**{name: options[name]})
                    raise ValueError(f"There is no validation split for it. {asked}")
                content.save(options[name], force=force)
        if options["per_query"] is not None:
            write_results(result.queries, options["per_query"], force=force)
    _print(result)


def _check_written(embeddings: tuple[str, ...], options: dict[str, Any]) -> None:
    from keras_involution._files import check_outputs
    from keras_involution.whale_id import evaluation
    from keras_involution.whale_id.retrieve import results

    suffixes = {"out": evaluation.SUFFIXES, "per_query": results.SUFFIXES}
    suffixes |= dict.fromkeys(("save_threshold", "save_calibration"), (".json",))
    written = {name: (options[name], known) for name, known in suffixes.items()}
    check_outputs(options["force"], *embeddings, **written)


def _split(
    models: list[Embeddings], column: str
) -> tuple[list[Embeddings], list[Embeddings]] | None:
    """Queries and database as a column says, `None` where there is no such column."""
    from keras_involution.whale_id import split_table

    table = models[0].table
    if column not in table:
        return None
    parts = split_table(table, "given", given=column)["split"]
    queries = parts.str.startswith("test").to_numpy()
    database = (parts == "train").to_numpy()
    return [m.rows(queries) for m in models], [m.rows(database) for m in models]


def _check_apart(table: pd.DataFrame, validation: str, test: str) -> None:
    """What is chosen on photographs of the test says nothing about them."""
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
            "Photographs of the validation are in the test too; `whale-id split "
            "--column val_split --within split=train` keeps them apart. "
            + received(validation=validation, split=test, photographs=both)
        )


def _rank(
    queries: list[Embeddings], database: list[Embeddings], options: dict[str, Any]
) -> Ranking:
    from keras_involution._arguments import positive_integer
    from keras_involution.whale_id import identify
    from keras_involution.whale_id.evaluation import RANKS

    # An animal that is not kept would pass for one that was not found.
    top = max(positive_integer(options["top"], "top"), *RANKS)
    names = ("reduce", "head_share")
    chosen = {name: options[name] for name in names}
    return identify(queries, database, top=top, **chosen)


def _from_validation(models: list[Embeddings], options: dict[str, Any]) -> Any:
    """The threshold and the calibration, `None` where they cannot be chosen."""
    from keras_involution.whale_id import choose_threshold, fit_calibration, open_truths

    given = read_threshold(options["threshold"])
    parts = _split(models, options["validation"])
    if parts is None:
        return given, None
    _check_apart(models[0].table, options["validation"], options["split"])
    queries, database = parts
    ranking = _rank(queries, database, options)
    known = set(database[0].table["identity"])
    truths = open_truths(queries[0].table["identity"].to_list(), known)
    calibration = fit_calibration(ranking, truths, options["calibrate"])
    if given is not None:
        return given, calibration
    species = queries[0].table.get("species")
    threshold = choose_threshold(
        ranking,
        truths,
        options["method"],
        share=options["share"],
        new_share=options["new_share"],
        species=None if species is None else species.to_list(),
    )
    return threshold, calibration


def _measure(
    models: list[Embeddings], threshold: Any, options: dict[str, Any]
) -> Evaluation:
    from keras_involution._arguments import received
    from keras_involution.whale_id import evaluate
    from keras_involution.whale_id.metrics import image_average_precisions

    parts = _split(models, options["split"])
    if parts is None:
        raise ValueError(f"There is no such column. {received(split=options['split'])}")
    (queries, *_), (database, *_) = parts
    precisions = image_average_precisions(
        queries.features,
        database.features,
        queries.table["identity"].to_list(),
        database.table["identity"].to_list(),
    )
    return evaluate(
        _rank(*parts, options),
        queries.table,
        database.table,
        threshold=threshold,
        image_precisions=precisions if len(models) == 1 else None,
        counter=options["counter"],
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
