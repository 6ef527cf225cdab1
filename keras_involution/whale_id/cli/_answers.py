"""The answers for QUERIES, which several commands write down in forms of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keras_involution.whale_id.cli._models import (
    check_same_photographs,
    load_pairs,
    read_threshold,
    with_new,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from keras_involution.whale_id import Ranking

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Answers:
    """Rankings and what they count in.

    Attributes:
        ranking: `Ranking` of the queries.
        queries: DataFrame of the queries.
        database: DataFrame of the known photographs.
        chances: Array like the labels, the chances of being right; or `None`.
        protocol: Where threshold and calibration come from.
        left: Queries beyond the limit, which have no answer.
    """

    ranking: Ranking
    queries: pd.DataFrame
    database: pd.DataFrame
    chances: np.ndarray | None
    protocol: str
    left: int


def answer_options(command: Command) -> Command:
    """What is said of an animal beside its score."""
    for decorate in (
        click.option(
            "--leave-one-out", is_flag=True, help="No photograph matches itself."
        ),
        click.option(
            "--calibration",
            type=click.Path(exists=True),
            help="File of `evaluate`: adds the chance of being right.",
        ),
        click.option(
            "--threshold", help="File of `evaluate`, or a number: calls animals new."
        ),
    ):
        command = decorate(command)
    return command


def find_answers(
    *,
    top: int,
    reduce: str,
    head_share: float,
    threshold: str | None,
    calibration: str | None = None,
    leave_one_out: bool = False,
    limit: int | None = None,
    **pairs: Any,
) -> Answers:
    """The animals of the database for the first queries, as the options say."""
    from keras_involution.whale_id import Calibration, identify

    line = read_threshold(threshold)
    chance = None if calibration is None else Calibration.load(calibration)
    queries, database = load_pairs(**pairs)
    check_same_photographs(queries)
    count = len(queries[0]) if limit is None else min(limit, len(queries[0]))
    asked = [model.rows(range(count)) for model in queries]
    ranking = identify(
        asked,
        database,
        top=top,
        reduce=reduce,
        head_share=head_share,
        leave_one_out=leave_one_out,
    )
    ranking = with_new(ranking, asked[0], line)
    return Answers(
        ranking,
        asked[0].table,
        database[0].table,
        None if chance is None else chance.of(ranking),
        "; ".join(facts.protocol for facts in (line, chance) if facts is not None),
        len(queries[0]) - count,
    )
