"""Logs the counts of a table to an experiment tracker."""

from __future__ import annotations

import importlib
import importlib.util

import pandas as pd

from keras_involution._arguments import one_of, received
from keras_involution.whale_id.eda.counts import count_tables

TRACKERS = ("wandb",)


def track_eda(table: pd.DataFrame, tracker: str, project: str = "whale-id") -> None:
    """Logs the counts of a table of photos as Weights & Biases tables.

    Args:
        table: DataFrame as returned by `read_table`.
        tracker: String, `"wandb"`.
        project: String, the project name.

    Raises:
        ValueError: If the tracker is unknown or not installed.
    """
    one_of(tracker, TRACKERS, "tracker")
    if importlib.util.find_spec(tracker) is None:
        raise ValueError(
            f"{tracker} is not installed: pip install {tracker}. "
            f"{received(tracker=tracker)}"
        )
    wandb = importlib.import_module(tracker)
    run = wandb.init(project=project, job_type="eda")
    tables = count_tables(table)
    run.log({name: wandb.Table(dataframe=counts) for name, counts in tables.items()})
    run.finish()
