"""Training: from a table and settings to a folder with a network in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from keras_involution.distribution import Distribution
from keras_involution.training.logs import open_logs
from keras_involution.whale_id.assemble import training_rows
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.model import EmbeddingNetwork
from keras_involution.whale_id.train.folder import CONFIG, prepare, replaced_run
from keras_involution.whale_id.train.progress import Progress
from keras_involution.whale_id.train.run import TrainingRun


def train(
    table: pd.DataFrame,
    config: TrainConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    track: str | None = None,
    distribution: Distribution | None = None,
    on_progress: Callable[[Progress, int, int], None] | None = None,
) -> EmbeddingNetwork:
    """Trains a network on the photographs of a table.

    The folder then holds `model.keras`, the network; `config.yaml`, all settings;
    `classes.json`, the identities; `head.npz`, the centres of the head; `steps.csv` and
    `epochs.csv`, the figures; and `checkpoint.npz`, from which a run that was
    interrupted in any way goes on with the losses that it would have had.

    Args:
        table: DataFrame with `path` and `identity`; `bbox`, `species` and `split`
            where known. Rows of the split "val" are what `early_stop` looks at, and
            those that the column `held_out` of the settings keeps out of the training.
        config: `TrainConfig`.
        folder: Path of the folder.
        resume: Boolean, goes on with the run in the folder, if there is one.
        force: Boolean, replaces the run in the folder.
        track: `"wandb"` or `"trackio"`, or `None`.
        distribution: What `distribute` returns, for several devices. The batch of the
            settings is that of all of them. With several processes all call this, the
            first writes, and all see the folder; every one validates by itself.
        on_progress: Function that is called after every step with the progress, the
            steps of the whole run and those of an epoch.

    Returns:
        `EmbeddingNetwork` as saved.

    Raises:
        ValueError: If the folder holds a run and neither `resume` nor `force` is set,
            a setting does not fit, the table has nothing to train on, or it is not
            the one that a resumed run began with.
        PhotographError: If a picture cannot be used and `on_error` is `"stop"`.
    """
    folder = Path(folder)
    rows = training_rows(table, config.held_out)
    writes = distribution is None or distribution.is_writer
    with contextlib.ExitStack() as stack:
        if force and not resume and writes:
            stack.enter_context(replaced_run(folder))
        if distribution is not None:
            distribution.global_batch_size(config.batch_size, "global")
            stack.enter_context(distribution)
        resumed = writes and prepare(folder, config, resume=resume, force=force)
        if distribution is not None:
            resumed = bool(distribution.gather(np.array([resumed], "int32"))[0])
        run = TrainingRun(rows, table, config, folder, distribution)
        if resumed:
            run.restore()
        if writes:
            config.save(folder / CONFIG)
            run.logs = open_logs(
                folder, run.progress.step, config.to_dict(), track, "whale-id"
            )
        try:
            run.go(on_progress or (lambda *_: None))
        finally:
            for log in run.logs:
                log.close()
    return run.network
